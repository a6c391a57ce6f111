//! The directory of sessions: which nameplates are taken, whose they are, and where their customers can
//! be reached. Pure: time and randomness are passed in, and nothing waits.
//!
//! ```text
//!  free ──open──▶ live ──close, or 11 minutes──▶ held back ──an hour──▶ free
//! ```
//! A nameplate is live for one session only. Held back means that nobody gets it, so that a code that
//! was misheard or written down yesterday leads nowhere.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use etatuki_trust::{CodeForm, Nameplate};

use crate::rate_limit::{Gcra, Quota, RateLimited};

/// How long a session may wait, in seconds: ten minutes on the customer's screen, and one to spare.
pub(crate) const LIFETIME_SECONDS: u64 = 660;
const LIFETIME: Duration = Duration::from_secs(LIFETIME_SECONDS);

/// How long a nameplate isn't handed out again.
const QUARANTINE: Duration = Duration::from_secs(60 * 60);

/// One nameplate in so many may be live: who tries one at random meets a session in 2 % of cases.
const NAMEPLATES_PER_LIVE: u32 = 50;

/// One nameplate in so many may be held back. Reached only by a flood of short sessions.
const NAMEPLATES_PER_QUARANTINED: u32 = 5;

/// How often a free nameplate is looked for. With a fifth of them taken, all tries fail once in 10^40.
const MAX_PICK_ATTEMPTS: usize = 64;

/// What proves that a session is one's own: a number that only its opener and the service know.
pub(crate) type OwnerId = [u8; 16];

/// No nameplate is free, or none may be given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoNameplate;

/// Why a session couldn't be reached or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// No such session, or not any more.
    Unknown,
    /// The session is there, but its customer's address isn't known yet.
    NotReady,
    /// Looked up or changed too often.
    RateLimited(RateLimited),
}

impl From<RateLimited> for LookupError {
    fn from(limited: RateLimited) -> Self {
        Self::RateLimited(limited)
    }
}

/// How often one session may be looked up, and have its address changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionQuotas {
    pub(crate) lookups: Quota,
    pub(crate) addresses: Quota,
}

/// Every session that waits.
#[derive(Debug)]
pub(crate) struct Directory {
    slots: HashMap<Nameplate, Slot>,
    /// When each session that was opened expires, oldest first; closed ones stay in until then.
    expiring: VecDeque<(Duration, Nameplate)>,
    /// When each nameplate that is held back is free again, oldest first.
    held: VecDeque<(Duration, Nameplate)>,
    remoteus: SlotCount,
    ecom: SlotCount,
    max_sessions: usize,
    rates: SessionQuotas,
}

#[derive(Debug)]
enum Slot {
    Live(Session),
    Held,
}

#[derive(Debug)]
struct Session {
    owner: OwnerId,
    expires: Duration,
    /// JSON, checked by whoever brought it.
    address: Option<Box<str>>,
    lookups: Gcra,
    addresses: Gcra,
}

#[derive(Clone, Copy, Debug, Default)]
struct SlotCount {
    live: u32,
    held: u32,
}

impl Directory {
    /// An empty directory that takes at most `max_sessions` at a time.
    pub(crate) fn new(max_sessions: usize, rates: SessionQuotas) -> Self {
        Self {
            slots: HashMap::new(),
            expiring: VecDeque::new(),
            held: VecDeque::new(),
            remoteus: SlotCount::default(),
            ecom: SlotCount::default(),
            max_sessions,
            rates,
        }
    }

    /// Opens a session under a nameplate that `random` picks.
    pub(crate) fn open(
        &mut self,
        form: CodeForm,
        owner: OwnerId,
        now: Duration,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Nameplate, NoNameplate> {
        self.expire(now);
        let count = self.count(form);
        if count.live >= form.nameplates() / NAMEPLATES_PER_LIVE
            || count.held >= form.nameplates() / NAMEPLATES_PER_QUARANTINED
            || self.len() >= self.max_sessions
        {
            return Err(NoNameplate);
        }
        let nameplate = self.pick(form, random).ok_or(NoNameplate)?;
        let expires = now + LIFETIME;
        let (lookups, addresses) = (Gcra::default(), Gcra::default());
        let session = Session {
            owner,
            expires,
            address: None,
            lookups,
            addresses,
        };
        self.slots.insert(nameplate, Slot::Live(session));
        self.expiring.push_back((expires, nameplate));
        self.count_mut(form).live += 1;
        Ok(nameplate)
    }

    /// Writes down where the customer of `owner`'s session can be reached.
    pub(crate) fn set_address(
        &mut self,
        nameplate: Nameplate,
        owner: &OwnerId,
        address: Box<str>,
        now: Duration,
    ) -> Result<(), LookupError> {
        let rate = self.rates.addresses;
        let session = self.session(nameplate, now).ok_or(LookupError::Unknown)?;
        if session.owner != *owner {
            return Err(LookupError::Unknown);
        }
        session.addresses.count(rate, now)?;
        session.address = Some(address);
        Ok(())
    }

    /// Closes `owner`'s session; does nothing if it is closed already.
    pub(crate) fn close(&mut self, nameplate: Nameplate, owner: &OwnerId, now: Duration) {
        if self
            .session(nameplate, now)
            .is_some_and(|session| session.owner == *owner)
        {
            self.quarantine(nameplate, now);
        }
    }

    /// Where the customer of a session can be reached: JSON.
    pub(crate) fn look_up(
        &mut self,
        nameplate: Nameplate,
        now: Duration,
    ) -> Result<&str, LookupError> {
        let rate = self.rates.lookups;
        let session = self.session(nameplate, now).ok_or(LookupError::Unknown)?;
        session.lookups.count(rate, now)?;
        session.address.as_deref().ok_or(LookupError::NotReady)
    }

    /// Forgets what is over by `now`.
    pub(crate) fn expire(&mut self, now: Duration) {
        while let Some((expires, nameplate)) = self.expiring.pop_front_if(|entry| entry.0 <= now) {
            // A slot that was closed and opened again belongs to a later session.
            let is_this = matches!(self.slots.get(&nameplate), Some(Slot::Live(session)) if session.expires == expires);
            if is_this {
                self.quarantine(nameplate, expires);
            }
        }
        while let Some((_, nameplate)) = self.held.pop_front_if(|entry| entry.0 <= now) {
            self.slots.remove(&nameplate);
            self.count_mut(nameplate.form()).held -= 1;
        }
    }

    /// How many sessions wait.
    pub(crate) fn len(&self) -> usize {
        self.remoteus.live as usize + self.ecom.live as usize
    }

    fn session(&mut self, nameplate: Nameplate, now: Duration) -> Option<&mut Session> {
        self.expire(now);
        match self.slots.get_mut(&nameplate) {
            Some(Slot::Live(session)) => Some(session),
            _ => None,
        }
    }

    fn quarantine(&mut self, nameplate: Nameplate, from: Duration) {
        self.slots.insert(nameplate, Slot::Quarantined);
        self.held.push_back((from + QUARANTINE, nameplate));
        let count = self.count_mut(nameplate.form());
        count.live -= 1;
        count.held += 1;
    }

    fn pick(&self, form: CodeForm, random: &mut dyn FnMut() -> u64) -> Option<Nameplate> {
        let mut candidates = (0..MAX_PICK_ATTEMPTS).filter_map(|_| {
            let number = u32::try_from(random() % u64::from(form.nameplates())).ok()?;
            Nameplate::from_number(form, number)
        });
        candidates.find(|nameplate| !self.slots.contains_key(nameplate))
    }

    const fn count(&self, form: CodeForm) -> SlotCount {
        match form {
            CodeForm::Remoteus => self.remoteus,
            CodeForm::Ecom => self.ecom,
        }
    }

    const fn count_mut(&mut self, form: CodeForm) -> &mut SlotCount {
        match form {
            CodeForm::Remoteus => &mut self.remoteus,
            CodeForm::Ecom => &mut self.ecom,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWNER: OwnerId = [1; 16];
    const THIEF: OwnerId = [2; 16];
    const FORM: CodeForm = CodeForm::Remoteus;

    fn directory() -> Directory {
        let rates = SessionQuotas {
            lookups: Quota::UNLIMITED,
            addresses: Quota::UNLIMITED,
        };
        Directory::new(100_000, rates)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn open(
        directory: &mut Directory,
        now: Duration,
        number: u64,
    ) -> Result<Nameplate, NoNameplate> {
        let mut next = number;
        directory.open(FORM, OWNER, now, &mut || {
            next += 1;
            next - 1
        })
    }

    fn reachable(directory: &mut Directory, now: Duration) -> Nameplate {
        let nameplate = open(directory, now, 7).unwrap();
        directory
            .set_address(nameplate, &OWNER, "{}".into(), now)
            .unwrap();
        nameplate
    }

    #[test]
    fn a_session_is_not_ready_until_its_address_is_known() {
        let mut directory = directory();
        let nameplate = open(&mut directory, at(0), 7).unwrap();
        assert_eq!(nameplate.as_str(), "000007");
        assert_eq!(
            directory.look_up(nameplate, at(1)),
            Err(LookupError::NotReady)
        );
        directory
            .set_address(nameplate, &OWNER, "{}".into(), at(2))
            .unwrap();
        assert_eq!(directory.look_up(nameplate, at(3)), Ok("{}"));
        directory
            .set_address(nameplate, &OWNER, "[]".into(), at(4))
            .unwrap();
        assert_eq!(directory.look_up(nameplate, at(5)), Ok("[]"));
    }

    #[test]
    fn only_the_owner_changes_a_session() {
        let mut directory = directory();
        let nameplate = reachable(&mut directory, at(0));
        let stolen = directory.set_address(nameplate, &THIEF, "evil".into(), at(1));
        assert_eq!(stolen, Err(LookupError::Unknown));
        directory.close(nameplate, &THIEF, at(1));
        assert_eq!(directory.look_up(nameplate, at(1)), Ok("{}"));
    }

    #[test]
    fn a_session_expires_by_itself() {
        let mut directory = directory();
        let nameplate = reachable(&mut directory, at(100));
        assert!(
            directory
                .look_up(nameplate, at(100 + LIFETIME_SECONDS - 1))
                .is_ok()
        );
        let later = at(100 + LIFETIME_SECONDS);
        assert_eq!(
            directory.look_up(nameplate, later),
            Err(LookupError::Unknown)
        );
        assert_eq!(
            directory.set_address(nameplate, &OWNER, "{}".into(), later),
            Err(LookupError::Unknown)
        );
    }

    #[test]
    fn a_closed_session_is_gone_and_closing_again_does_nothing() {
        let mut directory = directory();
        let nameplate = reachable(&mut directory, at(0));
        directory.close(nameplate, &OWNER, at(1));
        directory.close(nameplate, &OWNER, at(2));
        assert_eq!(
            directory.look_up(nameplate, at(2)),
            Err(LookupError::Unknown)
        );
        assert_eq!(directory.len(), 0);
    }

    #[test]
    fn a_nameplate_is_held_back_for_an_hour() {
        let mut directory = directory();
        let first = open(&mut directory, at(0), 7).unwrap();
        directory.close(first, &OWNER, at(10));
        let next = open(&mut directory, at(3609), 7).unwrap();
        assert_eq!(next.as_str(), "000008");
        directory.expire(at(3610));
        assert_eq!(open(&mut directory, at(3610), 7), Ok(first));
    }

    #[test]
    fn an_expired_nameplate_is_held_back_from_its_expiry() {
        let mut directory = directory();
        let first = open(&mut directory, at(0), 7).unwrap();
        let free = LIFETIME_SECONDS + 3600;
        assert_ne!(open(&mut directory, at(free - 1), 7), Ok(first));
        directory.expire(at(free + 3600 * 2));
        assert_eq!(open(&mut directory, at(free + 3600 * 2), 7), Ok(first));
    }

    #[test]
    fn an_old_expiry_leaves_a_later_session_alone() {
        let mut directory = directory();
        let nameplate = open(&mut directory, at(0), 7).unwrap();
        directory.close(nameplate, &OWNER, at(0));
        // The first session's expiry would be due long before the second's.
        let second = reachable(&mut directory, at(3600));
        assert_eq!(second, nameplate);
        assert!(
            directory
                .look_up(second, at(3600 + LIFETIME_SECONDS - 1))
                .is_ok()
        );
    }

    #[test]
    fn at_most_two_in_a_hundred_are_live() {
        let mut directory = directory();
        for number in 0..20_000 {
            assert!(open(&mut directory, at(0), number).is_ok());
        }
        assert_eq!(open(&mut directory, at(0), 50_000), Err(NoNameplate));
        // The other form has nameplates of its own.
        assert!(
            directory
                .open(CodeForm::Ecom, OWNER, at(0), &mut || 3)
                .is_ok()
        );
        assert!(open(&mut directory, at(LIFETIME_SECONDS), 50_000).is_ok());
    }

    #[test]
    fn short_sessions_cannot_use_up_the_nameplates() {
        let mut directory = directory();
        let opened = (0..300_000).filter(|number| {
            let nameplate = open(&mut directory, at(0), *number);
            if let Ok(nameplate) = nameplate {
                directory.close(nameplate, &OWNER, at(0));
            }
            nameplate.is_ok()
        });
        assert_eq!(opened.count(), 200_000);
    }

    #[test]
    fn the_node_has_a_limit_of_its_own() {
        let rates = SessionQuotas {
            lookups: Quota::UNLIMITED,
            addresses: Quota::UNLIMITED,
        };
        let mut directory = Directory::new(2, rates);
        assert!(open(&mut directory, at(0), 1).is_ok());
        assert!(open(&mut directory, at(0), 2).is_ok());
        assert_eq!(open(&mut directory, at(0), 3), Err(NoNameplate));
    }

    #[test]
    fn bad_randomness_ends_in_a_refusal() {
        let mut directory = directory();
        assert!(directory.open(FORM, OWNER, at(0), &mut || 5).is_ok());
        assert_eq!(
            directory.open(FORM, OWNER, at(0), &mut || 5),
            Err(NoNameplate)
        );
    }

    #[test]
    fn one_session_is_looked_up_and_changed_only_so_often() {
        let rate = Quota::new(2, at(10));
        let mut directory = Directory::new(
            10,
            SessionQuotas {
                lookups: rate,
                addresses: rate,
            },
        );
        let nameplate = reachable(&mut directory, at(0));
        assert!(
            directory
                .set_address(nameplate, &OWNER, "{}".into(), at(0))
                .is_ok()
        );
        let missed = directory.set_address(nameplate, &OWNER, "{}".into(), at(0));
        assert_eq!(missed, Err(LookupError::RateLimited(RateLimited(at(10)))));
        assert!(directory.look_up(nameplate, at(0)).is_ok());
        assert!(directory.look_up(nameplate, at(0)).is_ok());
        assert_eq!(
            directory.look_up(nameplate, at(0)),
            Err(LookupError::RateLimited(RateLimited(at(10))))
        );
        assert!(directory.look_up(nameplate, at(10)).is_ok());
    }

    #[test]
    fn a_session_is_small() {
        // With its keys, its two queue entries and the table's spare room: well below a kilobyte.
        assert!(size_of::<(Nameplate, Slot)>() <= 128);
    }

    proptest! {
        /// Whatever happens in whatever order, the counts are right and no nameplate is live twice.
        #[test]
        fn the_books_balance(steps in proptest::collection::vec((0u8..3, 0u64..2000, 0u64..8), 1..200)) {
            let mut directory = directory();
            let (mut now, mut opened) = (at(0), Vec::new());
            for (what, pass, number) in steps {
                match what {
                    0 => opened.extend(open(&mut directory, now, number)),
                    1 => if let Some(nameplate) = opened.get(number as usize) {
                        directory.close(*nameplate, &OWNER, now);
                    },
                    _ => now += at(pass),
                }
                directory.expire(now);
                let live = directory.slots.values().filter(|slot| matches!(slot, Slot::Live(_))).count();
                prop_assert_eq!(live, directory.len());
                prop_assert_eq!(directory.slots.len() - live, directory.held.len());
                prop_assert_eq!(directory.remoteus.held as usize, directory.held.len());
            }
            directory.expire(now + at(LIFETIME_SECONDS + 3600));
            prop_assert!(directory.slots.is_empty());
        }
    }
}
