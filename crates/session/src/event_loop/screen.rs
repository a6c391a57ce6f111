//! The watch over the screen while the agent sees it: takes the facts to
//! [`ScreenWatch`](etatuki_session_core::screen_watch), and its condition to the agent and the
//! customer.

use std::time::Duration;

use etatuki_protocol::{ScreenCondition, ToAgent};
use etatuki_session_core::plugin_rfb_client::PluginRfbEvent;
use etatuki_session_core::screen_watch::{DisplayFacts, ScreenWatch, SourceStep};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::SessionLoop;
use crate::display_watch::DisplayWatch;

/// The watch over the attached picture.
pub(super) struct AttachedScreen {
    watch: ScreenWatch,
    looks: UnboundedReceiver<DisplayFacts>,
    /// Ends the looks at the display.
    _display: Option<Box<dyn Send>>,
}

impl AttachedScreen {
    fn new(has_tool: bool, display: Option<&dyn DisplayWatch>) -> Self {
        let (sender, looks) = unbounded_channel();
        let report = Box::new(move |facts| {
            let _ = sender.send(facts);
        });
        Self {
            watch: ScreenWatch::new(has_tool),
            looks,
            _display: display.map(|display| display.start(report)),
        }
    }

    /// Waits for the next look at the display. Cancel safe.
    pub(super) async fn next(&mut self) -> DisplayFacts {
        match self.looks.recv().await {
            Some(facts) => facts,
            None => std::future::pending().await,
        }
    }

    /// Notes that the agent's input went to the plugin.
    pub(super) fn on_input(&mut self, now: Duration) {
        self.watch.on_input(now);
    }
}

impl SessionLoop<'_> {
    /// Begins with a picture that has just been attached.
    pub(super) fn watch_screen(&mut self) {
        self.screen = Some(AttachedScreen::new(
            self.plugin_info.tool.is_some(),
            self.config.display_watch.as_deref(),
        ));
    }

    pub(super) fn on_display(&mut self, facts: DisplayFacts) {
        if let Some(screen) = &mut self.screen {
            screen.watch.on_display(facts, self.clock.elapsed());
        }
    }

    /// Notes that the plugin's server has said something, if it has.
    pub(super) fn note_source_heard(&mut self, event: &PluginRfbEvent) {
        if let Some(screen) = &mut self.screen
            && *event != PluginRfbEvent::InputDrained
        {
            screen.watch.on_source();
        }
    }

    /// Moves the watch on, and tells the agent of a change. To be called after every event.
    pub(super) fn update_screen(&mut self) {
        let now = self.clock.elapsed();
        let (Some(screen), Some(agent)) = (&mut self.screen, &mut self.agent) else {
            return;
        };
        let since = agent.unacknowledged_since();
        let since = since.map(|since| now.saturating_sub(since.elapsed()));
        screen.watch.on_line(since, now);
        if let Some(plugin) = &mut self.plugin_stream
            && screen.watch.step(!agent.holds_source(), now) == SourceStep::Probe
        {
            plugin.probe();
        }
        let status = screen.watch.status(now);
        if std::mem::replace(&mut agent.told_screen, status.condition) != status.condition {
            self.send_control(ToAgent::Screen(status));
        }
    }

    /// Returns when [`update_screen`](Self::update_screen) is to be called although nothing happens.
    pub(super) fn screen_deadline(&self) -> Option<Instant> {
        let screen = self.screen.as_ref().filter(|_| self.agent.is_some())?;
        let due = screen.watch.deadline(self.clock.elapsed())?;
        Some(self.clock.instant(due))
    }

    /// Returns the state of the screen as the agent was told it last.
    pub(super) fn screen_condition(&self) -> ScreenCondition {
        let agent = self.agent.as_ref();
        agent.map(|agent| agent.told_screen).unwrap_or_default()
    }
}
