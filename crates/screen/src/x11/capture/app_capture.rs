//! App sharing: capture of the shared program's windows alone.

use std::collections::HashMap;

use x11rb::connection::SequenceNumber;
use x11rb::protocol::Event;
use x11rb::wrapper::ConnectionExt as _;

use super::Capture;
use crate::error::ScreenError;
use crate::exact_region::ExactRegion;
use crate::geometry::Rect;
use crate::shared_app::SharedApp;
use crate::signed_rect::SignedRect;
use crate::x11::app_filter::AppFilter;
use crate::x11::connection::Connection;
use crate::x11::frame::Frame;
use crate::x11::grabber::ReadRequest;
use crate::x11::visible_app_region::VisibleAppRegion;

/// The state of a capture that is restricted to one program.
#[derive(Debug)]
pub(super) struct AppCapture {
    filter: AppFilter,
    visible: VisibleAppRegion,
    /// Whether windows have changed since a read of pixels began.
    windows_changed: bool,
}

impl AppCapture {
    pub(super) fn new(
        connection: &Connection,
        app: &SharedApp,
        visuals: HashMap<u32, u32>,
    ) -> Result<Self, ScreenError> {
        Ok(Self {
            filter: AppFilter::new(connection, app, visuals)?,
            visible: VisibleAppRegion::default(),
            windows_changed: false,
        })
    }
}

impl Capture {
    /// Returns whether the pixel at this position is shown. Always true without app sharing.
    pub(super) fn is_shown_at(&self, x: i32, y: i32) -> bool {
        let app = self.app.as_ref();
        app.is_none_or(|app| app.visible.contains(x, y))
    }

    /// Reads the windows that must be read, with the server grabbed, until the tree is up to date.
    /// Without app sharing it only processes events.
    pub(super) fn sync_window_tree(&mut self) -> Result<(), ScreenError> {
        self.pump()?;
        while self.app.as_ref().is_some_and(|app| app.filter.has_unread()) {
            self.connection.grab_server()?;
            self.connection.server.sync()?;
            self.pump()?;
            if let Some(app) = &mut self.app {
                app.filter.read_unread(&self.connection.server)?;
            }
            self.update_visible_region()?;
            self.connection.ungrab_server()?;
            self.pump()?;
        }
        Ok(())
    }

    /// Processes an event of the program's windows. Without app sharing it does nothing.
    pub(super) fn on_app_event(
        &mut self,
        event: &Event,
        sequence: SequenceNumber,
    ) -> Result<(), ScreenError> {
        let Some(app) = &mut self.app else {
            return Ok(());
        };
        if let Event::DamageNotify(e) = event {
            let rect = SignedRect::new(
                e.area.x.into(),
                e.area.y.into(),
                e.area.width.into(),
                e.area.height.into(),
            );
            let damaged = app.visible.visible_damage(e.damage, rect);
            self.mark_region_damaged(&damaged);
        } else if app.filter.apply(event) {
            let AppCapture {
                filter, visible, ..
            } = app;
            if let Some(window) = filter.window_moved_within(event) {
                visible.repaint_after_inner_move(&self.connection, filter, window, sequence)?;
            }
            self.update_visible_region()?;
        }
        Ok(())
    }

    fn update_visible_region(&mut self) -> Result<(), ScreenError> {
        if let Some(app) = &mut self.app {
            app.windows_changed = true;
            let changed = app.visible.update(&self.connection, &app.filter)?;
            self.mark_region_damaged(&changed);
        }
        Ok(())
    }

    fn mark_region_damaged(&mut self, region: &ExactRegion) {
        for rect in region.rects() {
            self.mark_damaged(rect.to_screen_rect());
        }
    }

    /// Reads the damage inside `within` of the program's windows. Tree and pixels must be of one
    /// moment: the first try runs without a grab, the second with the server grabbed.
    pub(super) fn grab_app(&mut self, within: Rect) -> Result<Option<Frame<'_>>, ScreenError> {
        self.sync_window_tree()?;
        let mut damaged = self.damage.rects().iter();
        if damaged.all(|r| r.intersection(&within).is_empty()) {
            return Ok(None);
        }
        if !self.try_grab_app(within)? {
            self.connection.grab_server()?;
            self.connection.server.sync()?;
            self.sync_window_tree()?;
            let is_read = self.try_grab_app(within)?;
            self.connection.ungrab_server()?;
            if !is_read {
                // A window can't be read though nothing changes: nothing of it is shown.
                let hidden = self.damage.take_within(within);
                self.grabber.store_hidden(hidden.rects());
            }
        }
        Ok(Some(self.frame()))
    }

    /// Returns false when windows changed meanwhile; the damage stays then.
    fn try_grab_app(&mut self, within: Rect) -> Result<bool, ScreenError> {
        let Some(app) = &mut self.app else {
            return Ok(false);
        };
        let changed = self.damage.take_within(within);
        let mut region = ExactRegion::default();
        for rect in changed.rects() {
            region.add((*rect).into());
        }
        let (mut requests, mut hidden) = (Vec::new(), Vec::new());
        for rect in region.rects() {
            let (sources, rest) = app.visible.sources(*rect);
            requests.extend(sources.into_iter().map(|source| ReadRequest {
                drawable: source.window,
                x: (source.rect.left - source.origin.0) as i16,
                y: (source.rect.top - source.origin.1) as i16,
                rect: source.rect.to_screen_rect(),
            }));
            hidden.extend(rest.rects().iter().map(|rect| rect.to_screen_rect()));
        }
        // Before the pixels are read, so that drawing in between is reported again.
        app.visible.acknowledge_damage(&self.connection.server)?;
        app.windows_changed = false;
        let is_read = self
            .grabber
            .grab_windows(&self.connection, self.size, &requests, &hidden)?;
        // Events of everything before the read have arrived before its reply.
        self.pump()?;
        let has_changed = |app: &AppCapture| app.windows_changed || app.filter.has_unread();
        if !is_read || self.app.as_ref().is_none_or(has_changed) {
            // The pixels may be another program's.
            self.grabber.store_hidden(&[]);
            self.mark_region_damaged(&region);
            return Ok(false);
        }
        Ok(true)
    }
}
