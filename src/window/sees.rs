//! The sentence for what support sees, when that isn't plainly what is on the screen.

use etatuki_session_core::{ScreenCondition, State, View};

use crate::texts::Texts;

/// Returns the sentence about what support sees; `None` while they see the screen as it is, or
/// nothing at all.
pub fn support_sees<'a>(texts: &'a Texts, view: &View) -> Option<&'a str> {
    if view.state != State::Connected || !view.permissions.view {
        return None;
    }
    let app_only = view.app_sharing.as_ref().is_some_and(|app| app.app_only);
    let texts = &texts.sees;
    Some(match view.screen {
        ScreenCondition::Visible => return None,
        // The locker's window isn't the program's.
        ScreenCondition::Locked if app_only => &texts.locked_program,
        ScreenCondition::Locked => &texts.locked,
        ScreenCondition::Blanked => &texts.blanked,
        ScreenCondition::OtherSession => &texts.other_session,
        ScreenCondition::ProgramHung => &texts.program_hung,
        ScreenCondition::ToolHung | ScreenCondition::PluginHung => &texts.stands_still,
        ScreenCondition::LineSlow => &texts.line_slow,
    })
}
