//! A window that shows pages: makes widgets from a [`Page`], puts them below one another, and
//! changes texts in place, so that the keyboard focus stays where it was.

use fltk::app;
use fltk::draw;
use fltk::enums::{Event, Key, Shortcut};
use fltk::frame::Frame;
use fltk::group::Group;
use fltk::prelude::*;
use fltk::window::DoubleWindow;

use super::button::{ActionHandler, PushButton};
use super::icon;
use super::item_widget::{self, ItemWidget};
use super::page::{self, Page, PageItem, Tone};
use super::text_layout::TextStyle;
use super::theme::{self, Rect};

const BANNER_HEIGHT: i32 = 30;

/// Whether a window takes the keyboard focus when it shows a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The button that asks for the focus gets it, and the window with it: FLTK raises a window
    /// that takes the focus.
    Take,
    /// The focus stays wherever it is.
    Keep,
}

/// A window that shows one page after another.
pub struct PageWindow {
    window: DoubleWindow,
    body: Group,
    widgets: Vec<ItemWidget>,
    buttons: Vec<PushButton>,
    page: Page,
    /// The y coordinate below the banner and whatever else is above every page.
    top: i32,
    on_action: ActionHandler,
}

impl PageWindow {
    /// Creates an empty, hidden window. `above` builds what is over every page, such as a menu bar,
    /// and returns its height; `banner` is the text of a strip that warns that this isn't for
    /// customers.
    pub fn new(
        title: &str,
        banner: Option<&str>,
        on_action: ActionHandler,
        above: impl FnOnce(&mut DoubleWindow) -> i32,
    ) -> Self {
        let mut window = DoubleWindow::new(0, 0, theme::WINDOW_WIDTH, 300, None);
        window.set_label(title);
        window.set_xclass("etatuki");
        window.set_color(theme::BACKGROUND);
        window.set_icon(icon::icon());
        let mut top = above(&mut window);
        if let Some(text) = banner {
            add_banner(top, text);
            top += BANNER_HEIGHT;
        }
        let mut body = Group::new(0, top, theme::WINDOW_WIDTH, 300 - top, None);
        // FLTK must not move the focus once more after `cycle_focus`.
        body.super_handle_first(false);
        body.handle(cycle_focus);
        body.end();
        window.end();
        // Otherwise FLTK would stretch the widgets whenever the height changes.
        window.make_resizable(false);
        let widgets = Vec::new();
        Self {
            window,
            body,
            widgets,
            buttons: Vec::new(),
            page: Page::default(),
            top,
            on_action,
        }
    }

    /// Returns the FLTK window, to be shown, hidden or raised.
    pub fn fltk_window(&mut self) -> &mut DoubleWindow {
        &mut self.window
    }

    /// Returns the current page.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// Shows a page.
    pub fn set(&mut self, page: Page, focus: Focus) {
        if page == self.page && !self.widgets.is_empty() {
            return;
        }
        if page.has_layout_of(&self.page) && !self.widgets.is_empty() {
            self.update(&page, focus);
        } else {
            self.rebuild(&page);
            if focus == Focus::Take {
                self.focus(&page);
            }
        }
        self.page = page;
        self.lay_out();
        self.window.redraw();
    }

    /// Puts the window in the middle of the screen with the pointer, a little above the centre.
    pub fn centre(&mut self) {
        let (x, y) = app::get_mouse();
        let (left, top, width, height) = app::screen_work_area(app::screen_num(x, y));
        let (w, h) = (self.window.w(), self.window.h());
        self.window.resize(
            left + (width - w) / 2,
            top + (height - h).max(0) * 2 / 5,
            w,
            h,
        );
        // To the window manager a window that was hidden is a new one, which it would put anywhere.
        self.window.force_position(true);
    }

    fn update(&mut self, page: &Page, focus: Focus) {
        for (widget, new) in self.widgets.iter_mut().zip(&page.items) {
            widget.set(new);
        }
        for (button, new) in self.buttons.iter_mut().zip(&page.buttons) {
            let became_enabled = button.set(new, None);
            if became_enabled && new.focus && focus == Focus::Take {
                button.focus();
            }
        }
    }

    fn rebuild(&mut self, page: &Page) {
        self.widgets.clear();
        self.buttons.clear();
        self.body.clear();
        self.body.make_resizable(false);
        self.body.begin();
        self.widgets = page
            .items
            .iter()
            .map(|item| ItemWidget::new(item, &self.on_action))
            .collect();
        let push =
            |button| PushButton::new(button, None, theme::BACKGROUND, self.on_action.clone());
        self.buttons = page.buttons.iter().map(push).collect();
        self.body.end();
        // Otherwise FLTK would put the next window into this one.
        Group::set_current(None::<&Group>);
    }

    fn focus(&mut self, page: &Page) {
        let wanted = |button: &page::Button| button.focus && button.enabled;
        if let Some(at) = page.buttons.iter().position(wanted) {
            return self.buttons[at].focus();
        }
        let has_focus = |item: &PageItem| match item {
            PageItem::Code(code) => wanted(&code.copy),
            PageItem::Choice(choice) => wanted(&choice.button),
            _ => false,
        };
        if let Some(at) = page.items.iter().position(has_focus) {
            match &mut self.widgets[at] {
                ItemWidget::Code { copy: button, .. } | ItemWidget::Choice(button) => {
                    button.focus()
                }
                ItemWidget::Painted { .. } => {}
            }
        }
    }

    /// Sets the window's height first, and then the positions in it.
    fn lay_out(&mut self) {
        let mut y = self.top + theme::MARGIN;
        let mut tops = Vec::with_capacity(self.widgets.len());
        let mut above: Option<&PageItem> = None;
        for item in &self.page.items {
            y += above.map_or(0, |above| item_widget::gap(above, item));
            tops.push((y, item_widget::height(item)));
            y += item_widget::height(item);
            above = Some(item);
        }
        let buttons = y + theme::MARGIN;
        if !self.buttons.is_empty() {
            y = buttons + self.button_height();
        }
        self.set_height(y + theme::MARGIN - 4);
        for (widget, (y, h)) in self.widgets.iter_mut().zip(tops) {
            widget.set_rect(Rect {
                x: theme::MARGIN,
                y,
                w: theme::CONTENT_WIDTH,
                h,
            });
        }
        self.lay_out_buttons(buttons);
    }

    fn button_height(&self) -> i32 {
        if self.page.wide_buttons {
            theme::BUTTON_HEIGHT + 14
        } else {
            theme::BUTTON_HEIGHT
        }
    }

    fn lay_out_buttons(&mut self, y: i32) {
        let h = self.button_height();
        let count = i32::try_from(self.buttons.len()).unwrap_or(1).max(1);
        let share = (theme::CONTENT_WIDTH - (count - 1) * theme::GAP) / count;
        let wide = self.page.wide_buttons;
        let width = |button: &PushButton| if wide { share } else { button.width() };
        let total: i32 = self.buttons.iter().map(width).sum::<i32>() + (count - 1) * theme::GAP;
        let mut x = theme::WINDOW_WIDTH - theme::MARGIN - total;
        for button in &mut self.buttons {
            let w = width(button);
            button.set_rect(Rect { x, y, w, h });
            x += w + theme::GAP;
        }
    }

    fn set_height(&mut self, height: i32) {
        self.body
            .resize(0, self.top, theme::WINDOW_WIDTH, height - self.top);
        if self.window.h() != height {
            self.window
                .size_range(theme::WINDOW_WIDTH, height, theme::WINDOW_WIDTH, height);
            let (x, y) = (self.window.x(), self.window.y());
            let (_, top, _, screen) = app::screen_work_area(app::screen_num(x, y));
            // A window that grows must stay on the screen, with its title.
            let title = self.window.decorated_h() - self.window.h();
            let lowest = (top + screen - height).max(top + title);
            self.window
                .resize(x, y.min(lowest), theme::WINDOW_WIDTH, height);
        }
    }
}

/// Moves the focus on Tab and Shift+Tab round all buttons; FLTK's own Tab stops at the end of a
/// group.
fn cycle_focus(body: &mut Group, event: Event) -> bool {
    if event != Event::KeyDown || app::event_key() != Key::Tab {
        return false;
    }
    let held = app::event_state();
    if held.intersects(Shortcut::Ctrl | Shortcut::Alt | Shortcut::Meta) {
        return false;
    }
    let count = body.children();
    let step = if held.contains(Shortcut::Shift) {
        -1
    } else {
        1
    };
    let has_focus = |at: &i32| body.child(*at).is_some_and(|child| child.has_focus());
    let from = (0..count).find(has_focus).unwrap_or(0);
    (1..=count).any(|nth| {
        let child = body.child((from + nth * step).rem_euclid(count));
        child.is_some_and(|mut child| child.take_focus().is_ok())
    })
}

fn add_banner(y: i32, text: &str) {
    let mut frame = Frame::new(0, y, theme::WINDOW_WIDTH, BANNER_HEIGHT, None);
    let text = text.to_owned();
    frame.draw(move |frame| {
        let colours = Tone::Development.colours();
        let (x, y, w, h) = (frame.x(), frame.y(), frame.w(), frame.h());
        draw::draw_rect_fill(x, y, w, h, colours.fill);
        draw::draw_rect_fill(x, y + h - 1, w, 1, colours.border);
        let style = TextStyle {
            font: theme::REGULAR,
            size: theme::SMALL_SIZE,
            colour: colours.text,
        };
        style.draw_centred(&text, x, y, w, h);
    });
}

/// Sets the handlers for closing a window: `close` for the window manager's button and Alt+F4,
/// `escape` for Esc.
pub fn on_close(
    window: &mut DoubleWindow,
    close: impl Fn() + 'static,
    escape: impl Fn() + 'static,
) {
    window.set_callback(move |_| {
        let by_key = matches!(app::event(), Event::Shortcut | Event::KeyDown);
        if by_key && app::event_key() == Key::Escape {
            escape()
        } else {
            close()
        }
    });
}
