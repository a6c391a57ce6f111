//! One session on a display: whoever starts a second one is shown the first.
//!
//! A launcher holds the display's claim from the click on an entry until the session is over and
//! its window gone. So consent belongs to the display, not to a process: no agent who has control
//! can start another session there and answer its questions.

use std::time::Duration;

use etatuki_screen::{Acquired, CancelToken, ClaimHolder, ClaimRequest, DisplayClaim, ScreenError};
use etatuki_session_core::{State, View};

use crate::hung_launcher::HungLauncher;

/// The selection that a launcher with a session holds.
const SESSION: &str = "_ETATUKI_SESSION";
/// The selection that a launcher with the menu holds.
const MENU: &str = "_ETATUKI_MENU";
/// Time-out of an answer. A launcher looks for requests twice a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Time-out of a session that gives way: a little more than the session's own.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(4);
/// Attempts while other launchers come and go.
const ATTEMPTS: usize = 4;

/// Another start on the same display, as it is told to the launcher that holds the claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The window of the entry with this id.
    Entry(String),
    /// The window with all entries.
    Menu,
    /// A session without a window of ours, `etatuki session`.
    Embedded,
}

/// The answer to another start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The customer has been shown the session that there is.
    Raised,
    /// The session gives way.
    GivesWay,
    /// The menu may open; the session stays.
    MayOpen,
    /// There is a session, and no window of it that could be shown.
    Refused,
}

/// The standing of the launcher that holds the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing runs: before a session, or after it.
    Idle,
    /// A session runs, and nobody is connected.
    Open,
    /// Somebody is connected, or may come back.
    Connected,
}

impl Standing {
    /// Returns the standing of a session with this view.
    pub(crate) fn of(view: &View) -> Self {
        match view.state {
            State::Closed | State::Failed => Self::Idle,
            State::Opening | State::Waiting => Self::Open,
            State::Connected | State::Interrupted | State::Closing => Self::Connected,
        }
    }
}

/// The outcome of a start.
pub(crate) enum Started {
    /// The display is this launcher's.
    Claimed(Claim),
    /// The customer has been shown another launcher's window: nothing is left to do here.
    Elsewhere,
    /// Another launcher has the display and can't show a window.
    Refused(Refusal),
}

/// The reason why another launcher's session keeps the display.
pub(crate) struct Refusal {
    /// The reason in words, for support.
    pub(crate) detail: String,
    /// The launcher, if it gives no answer.
    pub(crate) hung: Option<HungLauncher>,
}

/// The display's claim.
#[derive(Debug)]
pub(crate) struct Claim(Box<DisplayClaim>);

impl Claim {
    fn requests(&self) -> Result<Vec<(Start, ClaimRequest)>, ScreenError> {
        let requests = self.0.requests()?;
        let known = |request: ClaimRequest| Some((start_of(&request)?, request));
        Ok(requests.into_iter().filter_map(known).collect())
    }

    /// Answers a start. One that is gone meanwhile is no error.
    pub(crate) fn answer(&self, request: &ClaimRequest, answer: Answer) {
        if let Err(error) = self.0.answer(request, answer as u32) {
            tracing::warn!("another start gets no answer: {error}");
        }
    }
}

/// Returns the other starts since the last call; `None` if the claim is lost, which is gone then: its
/// session must end.
pub(crate) fn requests(claim: &mut Option<Claim>) -> Option<Vec<(Start, ClaimRequest)>> {
    match claim.as_ref().map(Claim::requests) {
        None => Some(Vec::new()),
        Some(Ok(requests)) => Some(requests),
        Some(Err(error)) => {
            tracing::error!("the display's claim is lost: {error}");
            *claim = None;
            None
        }
    }
}

/// Decides what another start gets. `entry` is the holder's own; `None` for a session without a
/// window of ours.
pub(crate) fn answer(start: &Start, entry: Option<&str>, standing: Standing) -> Answer {
    let is_same = matches!(start, Start::Entry(id) if Some(id.as_str()) == entry);
    match (start, standing) {
        (Start::Embedded, Standing::Open | Standing::Connected) => Answer::Refused,
        (_, Standing::Connected) if entry.is_none() => Answer::Refused,
        (_, Standing::Connected) => Answer::Raised,
        _ if is_same => Answer::Raised,
        (Start::Menu, _) => Answer::MayOpen,
        // The customer wants another entry, and nobody has used the code.
        (Start::Entry(_), Standing::Open) | (_, Standing::Idle) => Answer::GivesWay,
    }
}

/// Claims the display for a session, or has the launcher that holds it show its window.
pub(crate) fn claim_session(start: &Start) -> Started {
    claim(SESSION, start).unwrap_or_else(|error| {
        Started::Refused(Refusal {
            detail: error.to_string(),
            hung: None,
        })
    })
}

/// Claims the display for the menu; `Started::Claimed` with `None` if another menu hangs.
///
/// Two menus do no harm, so nothing keeps the customer from having one.
pub(crate) fn claim_menu() -> Result<Option<Claim>, MenuElsewhere> {
    let start = Start::Menu;
    match find(SESSION) {
        Ok(Some(holder)) => match ask(&holder, &start) {
            Ok(Some(Answer::Raised)) => return Err(MenuElsewhere::Shown),
            Ok(Some(Answer::Refused)) => return Err(MenuElsewhere::Refused),
            _ => {}
        },
        Ok(None) => {}
        Err(error) => tracing::warn!("no look for another session: {error}"),
    }
    match claim(MENU, &start) {
        Ok(Started::Claimed(claim)) => Ok(Some(claim)),
        Ok(Started::Elsewhere) => Err(MenuElsewhere::Shown),
        Ok(Started::Refused(_)) | Err(_) => Ok(None),
    }
}

/// The reason why no menu opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MenuElsewhere {
    /// The customer has been shown the window that there is.
    Shown,
    /// A session without a window of ours is connected.
    Refused,
}

fn claim(name: &str, start: &Start) -> Result<Started, ScreenError> {
    let mut detail = "it gives no answer";
    let mut hung = None;
    for _ in 0..ATTEMPTS {
        let holder = match acquire(name)? {
            Acquired::Held(claim) => return Ok(Started::Claimed(Claim(Box::new(claim)))),
            Acquired::Other(holder) => holder,
        };
        match ask(&holder, start)? {
            Some(Answer::Raised) => return Ok(Started::Elsewhere),
            Some(Answer::Refused | Answer::MayOpen) => {
                detail = "it is open in another program's window";
                break;
            }
            Some(Answer::GivesWay) => {
                holder.wait_until_gone(RELEASE_TIMEOUT)?;
            }
            None if holder.is_gone()? => {}
            None => {
                hung = holder
                    .process()
                    .ok()
                    .flatten()
                    .and_then(HungLauncher::of_this_user);
                break;
            }
        }
    }
    let detail = format!("another session has this display, and {detail}");
    Ok(Started::Refused(Refusal { detail, hung }))
}

fn find(name: &str) -> Result<Option<ClaimHolder>, ScreenError> {
    match acquire(name)? {
        // Given back at once: this was a look alone.
        Acquired::Held(_) => Ok(None),
        Acquired::Other(holder) => Ok(Some(holder)),
    }
}

fn acquire(name: &str) -> Result<Acquired, ScreenError> {
    DisplayClaim::acquire(None, name, &CancelToken::new()?)
}

fn ask(holder: &ClaimHolder, start: &Start) -> Result<Option<Answer>, ScreenError> {
    let (kind, subject) = match start {
        Start::Entry(id) => (1, id.as_str()),
        Start::Menu => (2, ""),
        Start::Embedded => (3, ""),
    };
    let answer = holder.ask(kind, subject, ANSWER_TIMEOUT)?;
    let answers = [
        Answer::Raised,
        Answer::GivesWay,
        Answer::MayOpen,
        Answer::Refused,
    ];
    Ok(answer.and_then(|answer| answers.into_iter().find(|known| *known as u32 == answer)))
}

fn start_of(request: &ClaimRequest) -> Option<Start> {
    match request.kind {
        1 => Some(Start::Entry(request.subject.clone())),
        2 => Some(Start::Menu),
        3 => Some(Start::Embedded),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_shows_the_first_or_takes_its_place() {
        use Answer::*;
        let own = Start::Entry("ecom".into());
        let other = Start::Entry("remoteus-2008".into());
        let check = |start: &Start, entry: Option<&str>, expected: [Answer; 3]| {
            let standings = [Standing::Idle, Standing::Open, Standing::Connected];
            let answers = standings.map(|standing| answer(start, entry, standing));
            assert_eq!(answers, expected, "{start:?} {entry:?}");
        };
        check(&own, Some("ecom"), [Raised, Raised, Raised]);
        check(&other, Some("ecom"), [GivesWay, GivesWay, Raised]);
        check(&Start::Menu, Some("ecom"), [MayOpen, MayOpen, Raised]);
        check(&Start::Embedded, Some("ecom"), [GivesWay, Refused, Refused]);
        check(&own, None, [GivesWay, GivesWay, Refused]);
        check(&Start::Menu, None, [MayOpen, MayOpen, Refused]);
        check(&Start::Embedded, None, [GivesWay, Refused, Refused]);
    }
}
