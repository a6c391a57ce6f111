//! A window that shows pages: makes widgets from a [`Page`], puts them below one another, and
//! changes texts in place, so that the keyboard focus stays where it was.

use std::cell::Cell;
use std::rc::Rc;

use etatuki_screen::{CancelToken, ScreenError, request_free_keyboard, set_wants_keyboard};
use fltk::app;
use fltk::draw;
use fltk::frame::Frame;
use fltk::group::Group;
use fltk::prelude::*;
use fltk::valuator::Scrollbar;
use fltk::window::DoubleWindow;

use super::button::{ActionHandler, PushButton};
use super::icon;
use super::item_widget::ItemWidget;
use super::layout::{self, Layout, Room};
use super::page::{self, Page, PageItem, Tone};
use super::page_events::{on_body_event, scrollbar};
use super::page_place::{PagePlace, inside};
use super::text_layout::{self, TextStyle};
use super::theme::{self, Rect};

const BANNER_HEIGHT: i32 = 30;
/// Height of a title bar that isn't known yet.
const TITLE_HEIGHT: i32 = 30;

/// Whether a window takes the keyboard focus when it shows a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The button that asks for the focus gets it, and the window with it: FLTK raises a window
    /// that takes the focus.
    Take,
    /// The focus stays wherever it is.
    Keep,
    /// As `Keep`, and no button can have the focus before `PageWindow::take_focus`: the toolkit
    /// gives it to one whenever the window gets the keyboard.
    Withhold,
}

/// A window that shows one page after another.
pub struct PageWindow {
    window: DoubleWindow,
    body: Group,
    /// The items, of which a screen that is too small shows a part.
    items: Group,
    scrollbar: Scrollbar,
    /// The distance that the items are scrolled by, in units.
    scrolled: Rc<Cell<i32>>,
    /// The row of buttons.
    row: Group,
    banner: Option<Frame>,
    widgets: Vec<ItemWidget>,
    buttons: Vec<PushButton>,
    page: Page,
    /// The y coordinate below the banner and whatever else is above every page.
    top: i32,
    /// Height at the top of the screen that belongs to the bar.
    reserved: i32,
    /// The work area and its scale that the page was laid out for.
    fitted: (Rect, f32),
    place: PagePlace,
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
        let mut window = DoubleWindow::new(0, 0, layout::MAX_WIDTH, 300, None);
        window.set_label(title);
        window.set_xclass("etatuki");
        window.set_color(theme::palette().background);
        window.set_icon(icon::icon());
        let mut top = above(&mut window);
        let banner = banner.map(|text| add_banner(top, text));
        if banner.is_some() {
            top += BANNER_HEIGHT;
        }
        let mut body = Group::new(0, top, layout::MAX_WIDTH, 300 - top, None);
        // FLTK must not move the focus once more after `on_body_key`.
        body.super_handle_first(false);
        let mut items = Group::new(0, top, layout::MAX_WIDTH, 100, None);
        items.set_clip_children(true);
        items.make_resizable(false);
        items.end();
        let scrolled = Rc::new(Cell::new(0));
        let scrollbar = scrollbar(&items, &scrolled);
        let mut row = Group::new(0, top + 100, layout::MAX_WIDTH, 10, None);
        row.make_resizable(false);
        row.end();
        body.handle({
            let groups = [items.clone(), row.clone()];
            let (scrollbar, on_action) = (scrollbar.clone(), on_action.clone());
            move |_, event| on_body_event(&groups, &scrollbar, &on_action, event)
        });
        body.end();
        window.end();
        // Otherwise FLTK would stretch the widgets whenever the height changes.
        body.make_resizable(false);
        window.make_resizable(false);
        Self {
            window,
            body,
            items,
            scrollbar,
            scrolled,
            row,
            banner,
            widgets: Vec::new(),
            buttons: Vec::new(),
            page: Page::default(),
            top,
            reserved: 0,
            fitted: (Rect::default(), 1.0),
            place: PagePlace::default(),
            on_action,
        }
    }

    /// Shows the window, above others if it is shown already.
    pub fn show(&mut self) {
        if !self.window.shown() {
            // To the window manager it is a new one, whose frame is put where the window was.
            let (x, y) = self.place.at();
            let (w, h) = (self.window.w(), self.window.h());
            self.place.put(&mut self.window, Rect { x, y, w, h });
        }
        self.window.show();
        self.place.settle();
    }

    /// Returns the FLTK window.
    pub fn fltk_window(&mut self) -> &mut DoubleWindow {
        &mut self.window
    }

    /// Returns the current page.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// Keeps that much free at the top of the screen, for the bar.
    pub fn reserve_top(&mut self, height: i32) {
        self.reserved = height;
    }

    /// Shows a page, and returns the window's width.
    pub fn set(&mut self, page: Page, focus: Focus) -> i32 {
        if page == self.page && !self.widgets.is_empty() {
            return self.window.w();
        }
        if page.has_layout_of(&self.page) && !self.widgets.is_empty() {
            self.update(&page, focus);
            self.page = page;
            self.lay_out();
        } else {
            self.rebuild(&page);
            self.page = page;
            self.lay_out();
            match focus {
                Focus::Take => self.focus(),
                Focus::Withhold => self.set_focusable(false),
                Focus::Keep => {}
            }
        }
        self.window.redraw();
        self.window.w()
    }

    /// Puts the window in the middle of the screen with the pointer, a little above the centre, and
    /// below the bar.
    pub fn centre(&mut self) {
        let (x, y) = app::get_mouse();
        let area = self.work_area(app::screen_num(x, y));
        let (w, h) = (self.window.w(), self.window.h());
        let title = self.title_height();
        let place = Rect {
            x: area.x + (area.w - w).max(0) / 2,
            y: area.y + title + (area.h - title - h).max(0) * 2 / 5,
            w,
            h,
        };
        self.place.put(&mut self.window, place);
        // To the window manager a window that was hidden is a new one, which it would put anywhere.
        self.window.force_position(true);
    }

    /// Tells the window manager whether the window wants the keyboard when it is shown.
    pub(crate) fn set_wants_keyboard(&self, wanted: bool) {
        self.tell_manager(|display, id, cancel| set_wants_keyboard(display, id, wanted, cancel));
    }

    fn tell_manager(
        &self,
        tell: impl FnOnce(Option<&str>, u32, &CancelToken) -> Result<(), ScreenError>,
    ) {
        if !self.window.shown() {
            return;
        }
        let Ok(id) = u32::try_from(self.window.raw_handle()) else {
            return;
        };
        let told = CancelToken::new().map_err(ScreenError::from);
        if let Err(error) = told.and_then(|cancel| tell(None, id, &cancel)) {
            tracing::warn!("the window manager isn't told of the keyboard: {error}");
        }
    }

    /// Gives the keyboard to the button that asks for it, and to the window with it.
    pub(crate) fn take_focus(&mut self) {
        self.set_focusable(true);
        self.focus();
    }

    fn set_focusable(&mut self, focusable: bool) {
        for button in &mut self.buttons {
            button.set_focusable(focusable);
        }
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
        self.items.clear();
        self.row.clear();
        self.items.begin();
        self.widgets = page
            .items
            .iter()
            .map(|item| ItemWidget::new(item, &self.on_action))
            .collect();
        self.items.end();
        self.row.begin();
        let background = theme::palette().background;
        let push = |button| PushButton::new(button, None, background, self.on_action.clone());
        self.buttons = page.buttons.iter().map(push).collect();
        self.row.end();
        // Otherwise FLTK would put the next window into this one.
        Group::set_current(None::<&Group>);
        self.scrollbar.set_value(0.0);
    }

    /// Gives the keyboard focus to the button that asks for it, else to the code: so that Enter
    /// presses nothing by chance.
    fn focus(&mut self) {
        let wanted = |button: &page::Button| button.focus && button.enabled;
        if let Some(at) = self.page.buttons.iter().position(wanted) {
            return self.buttons[at].focus();
        }
        let has_focus = |item: &PageItem| match item {
            PageItem::Code(_) | PageItem::Busy(_) => true,
            PageItem::Choice(choice) => wanted(&choice.button),
            _ => false,
        };
        if let Some(at) = self.page.items.iter().position(has_focus) {
            self.widgets[at].focus();
        }
    }

    /// Sets the window's size first, and then the positions in it.
    fn lay_out(&mut self) {
        let (area, scale) = self.screen();
        let room = Room::new(area.w, area.h - self.title_height(), scale);
        self.fitted = (area, scale);
        let layout = layout::fit(&self.page, self.top, room, &text_layout::measure);
        self.set_size(&layout);
        let Rect { x, y, w, h } = layout.viewport;
        self.items.resize(x, y, w, h);
        let foot = y + h;
        self.row.resize(0, foot, w, layout.height - foot);
        let offset = self.set_scrollbar(&layout);
        for (widget, place) in self.widgets.iter_mut().zip(&layout.items) {
            let place = place.map(|rect| Rect {
                y: rect.y - offset,
                ..rect
            });
            widget.place(place, layout.metrics);
        }
        for (button, rect) in self.buttons.iter_mut().zip(&layout.buttons) {
            button.set_metrics(layout.metrics);
            button.set_rect(*rect);
        }
    }

    /// Shows the scroll bar if the items need one, and returns how far they are scrolled.
    fn set_scrollbar(&mut self, layout: &Layout) -> i32 {
        if !layout.scrolls {
            self.scrollbar.hide();
            self.scrolled.set(0);
            return 0;
        }
        let Rect { y, w, h, .. } = layout.viewport;
        let bottoms = layout.items.iter().flatten().map(|item| item.y + item.h);
        let hidden = (bottoms.max().unwrap_or(y) - y - h).max(0);
        let width = layout::SCROLLBAR - 4;
        self.scrollbar.resize(w - width, y, width, h);
        let size = f64::from(h) / f64::from(h + hidden);
        self.scrollbar.set_slider_size(size as f32);
        self.scrollbar.set_bounds(0.0, f64::from(hidden));
        let offset = self.scrollbar.clamp(self.scrollbar.value());
        self.scrollbar.set_value(offset);
        self.scrollbar.show();
        self.scrolled.set(offset as i32);
        offset as i32
    }

    fn set_size(&mut self, layout: &Layout) {
        let (w, h) = (layout.width, layout.height);
        self.body.resize(0, self.top, w, h - self.top);
        // A window that grows must stay on the screen, with its title, and one that is below the
        // bar stays below it.
        let now = self.place.at();
        let (x, y) = now;
        let (right, below) = inside(Rect { x, y, w, h }, self.free_area());
        let x = x.min(right);
        let y = match self.reserved {
            0 => y.min(below),
            _ => below,
        };
        if (now, (self.window.w(), self.window.h())) != ((x, y), (w, h)) {
            self.window.size_range(w, h, w, h);
            self.place.put(&mut self.window, Rect { x, y, w, h });
        }
        if let Some(banner) = &mut self.banner {
            banner.resize(0, self.top - BANNER_HEIGHT, w, BANNER_HEIGHT);
        }
    }

    /// Follows a screen or a scale that has changed (FLTK's Ctrl with plus changes the scale), and
    /// checks the place of a window that has just been shown or changed. Such a window asks for a
    /// keyboard that nobody has, if it may have it. To be called a few times a second.
    pub fn tick(&mut self, may_take_keyboard: bool) {
        if !self.window.shown() || !self.window.visible() {
            return;
        }
        if self.fitted != self.screen() {
            self.lay_out();
            self.window.redraw();
        }
        let area = self.free_area();
        if self.place.tick(&mut self.window, area) && may_take_keyboard {
            self.tell_manager(request_free_keyboard);
        }
    }

    /// Returns the work area and the scale of the window's screen.
    fn screen(&self) -> (Rect, f32) {
        let (x, y) = match self.window.shown() {
            true => self.place.at(),
            false => app::get_mouse(),
        };
        let screen = app::screen_num(x, y);
        (self.work_area(screen), app::screen_scale(screen))
    }

    /// Returns where the window may be without its title bar, which is above.
    fn free_area(&self) -> Rect {
        let (area, _) = self.screen();
        let title = self.title_height();
        Rect {
            y: area.y + title,
            h: area.h - title,
            ..area
        }
    }

    /// Returns the part of a screen that is free for windows.
    fn work_area(&self, screen: i32) -> Rect {
        let (x, y, w, h) = app::screen_work_area(screen);
        let (_, top, ..) = app::screen_xywh(screen);
        let covered = (top + self.reserved - y).clamp(0, h / 2);
        Rect {
            x,
            y: y + covered,
            w,
            h: h - covered,
        }
    }

    /// Returns the height of the window's title bar: a guess until the window manager has made one.
    fn title_height(&self) -> i32 {
        match self.window.decorated_h() - self.window.h() {
            known if known > 0 => known,
            _ => TITLE_HEIGHT,
        }
    }
}

fn add_banner(y: i32, text: &str) -> Frame {
    let mut frame = Frame::new(0, y, layout::MAX_WIDTH, BANNER_HEIGHT, None);
    let text = text.to_owned();
    frame.draw(move |frame| {
        let colours = Tone::Development.colours();
        let (x, y, w, h) = (frame.x(), frame.y(), frame.w(), frame.h());
        draw::draw_rect_fill(x, y, w, h, colours.fill);
        draw::draw_rect_fill(x, y + h - 1, w, 1, colours.border);
        let style = TextStyle {
            font: theme::REGULAR,
            size: 15,
            colour: colours.text,
        };
        style.draw_centred(&text, Rect { x, y, w, h });
    });
    frame
}
