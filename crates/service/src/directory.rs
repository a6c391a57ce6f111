//! The directory of sessions: the nameplates in use, their owners, and the addresses at which their
//! customers can be reached. Pure: time and randomness are passed in, and nothing waits.
//!
//! ```text
//!  free ──open──▶ live ──close, or 11 minutes──▶ quarantined ──an hour──▶ free
//! ```
//! A nameplate is live for one session only. Nobody gets one that is quarantined, so that a code
//! that was misheard or written down yesterday leads nowhere.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use etatuki_trust::{CodeForm, Nameplate};

use crate::rate_limit::{Gcra, Quota, RateLimited};

/// Longest life of a waiting session, in seconds: ten minutes on the customer's screen, and one to
/// spare.
pub(crate) const LIFETIME_SECONDS: u64 = 660;
const LIFETIME: Duration = Duration::from_secs(LIFETIME_SECONDS);

/// Time for which a used nameplate isn't handed out again.
const QUARANTINE: Duration = Duration::from_secs(60 * 60);

/// Nameplates of a form for each one that may be live: a nameplate tried at random meets a session
/// in 2 % of cases.
const NAMEPLATES_PER_LIVE: u32 = 50;

/// Nameplates of a form for each one that may be quarantined. Reached only by a flood of short
/// sessions.
const NAMEPLATES_PER_QUARANTINED: u32 = 5;

/// Random picks before a form counts as full. With a fifth of the nameplates in use, all picks fail
/// once in 10^40.
const MAX_PICK_ATTEMPTS: usize = 64;

/// The proof of a session's ownership: a number that only its opener and the service know.
pub(crate) type OwnerId = [u8; 16];

/// No nameplate is free, or none may be given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoNameplate;

/// The reason why a session couldn't be reached or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// The session doesn't exist, or has ended.
    Unknown,
    /// The session is there, but its customer's address isn't known yet.
    NotReady,
    /// The session was looked up or changed too often.
    RateLimited(RateLimited),
}

impl From<RateLimited> for LookupError {
    fn from(limited: RateLimited) -> Self {
        Self::RateLimited(limited)
    }
}

/// The quotas of each session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionQuotas {
    pub(crate) lookups: Quota,
    pub(crate) address_changes: Quota,
}

/// Every waiting session.
#[derive(Debug)]
pub(crate) struct Directory {
    slots: HashMap<Nameplate, Slot>,
    /// Expiry of each session that was opened, oldest first; closed ones stay in until then.
    expiring: VecDeque<(Duration, Nameplate)>,
    /// End of each nameplate's quarantine, oldest first.
    quarantined: VecDeque<(Duration, Nameplate)>,
    single_code: SlotCount,
    id_and_password: SlotCount,
    max_sessions: usize,
    quotas: SessionQuotas,
}

/// The state of a nameplate that isn't free.
#[derive(Debug)]
enum Slot {
    Live(Session),
    Quarantined,
}

#[derive(Debug)]
struct Session {
    owner: OwnerId,
    expires: Duration,
    /// JSON, checked by the caller of [`Directory::set_address`].
    address: Option<Box<str>>,
    lookups: Gcra,
    address_changes: Gcra,
}

/// The slots of one form, by state.
#[derive(Clone, Copy, Debug, Default)]
struct SlotCount {
    live: u32,
    quarantined: u32,
}

impl Directory {
    /// Returns an empty directory of at most `max_sessions` sessions at a time.
    pub(crate) fn new(max_sessions: usize, quotas: SessionQuotas) -> Self {
        Self {
            slots: HashMap::new(),
            expiring: VecDeque::new(),
            quarantined: VecDeque::new(),
            single_code: SlotCount::default(),
            id_and_password: SlotCount::default(),
            max_sessions,
            quotas,
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
        if count.live >= form.nameplate_count() / NAMEPLATES_PER_LIVE
            || count.quarantined >= form.nameplate_count() / NAMEPLATES_PER_QUARANTINED
            || self.len() >= self.max_sessions
        {
            return Err(NoNameplate);
        }
        let nameplate = self.pick_free(form, random).ok_or(NoNameplate)?;
        let expires = now + LIFETIME;
        let session = Session {
            owner,
            expires,
            address: None,
            lookups: Gcra::default(),
            address_changes: Gcra::default(),
        };
        self.slots.insert(nameplate, Slot::Live(session));
        self.expiring.push_back((expires, nameplate));
        self.count_mut(form).live += 1;
        Ok(nameplate)
    }

    /// Sets the address at which the customer of `owner`'s session can be reached.
    pub(crate) fn set_address(
        &mut self,
        nameplate: Nameplate,
        owner: &OwnerId,
        address: Box<str>,
        now: Duration,
    ) -> Result<(), LookupError> {
        let quota = self.quotas.address_changes;
        let session = self.session(nameplate, now).ok_or(LookupError::Unknown)?;
        if session.owner != *owner {
            return Err(LookupError::Unknown);
        }
        session.address_changes.try_acquire(quota, now)?;
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

    /// Returns the address of a session's customer: JSON.
    pub(crate) fn look_up(
        &mut self,
        nameplate: Nameplate,
        now: Duration,
    ) -> Result<&str, LookupError> {
        let quota = self.quotas.lookups;
        let session = self.session(nameplate, now).ok_or(LookupError::Unknown)?;
        session.lookups.try_acquire(quota, now)?;
        session.address.as_deref().ok_or(LookupError::NotReady)
    }

    /// Quarantines sessions that have expired by `now`, and frees nameplates whose quarantine is
    /// over.
    pub(crate) fn expire(&mut self, now: Duration) {
        while let Some((expires, nameplate)) = self.expiring.pop_front_if(|entry| entry.0 <= now) {
            // A slot that was closed and opened again belongs to a later session.
            if let Some(Slot::Live(session)) = self.slots.get(&nameplate)
                && session.expires == expires
            {
                self.quarantine(nameplate, expires);
            }
        }
        while let Some((_, nameplate)) = self.quarantined.pop_front_if(|entry| entry.0 <= now) {
            self.slots.remove(&nameplate);
            self.count_mut(nameplate.form()).quarantined -= 1;
        }
    }

    /// Returns the number of waiting sessions.
    pub(crate) fn len(&self) -> usize {
        self.single_code.live as usize + self.id_and_password.live as usize
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
        self.quarantined.push_back((from + QUARANTINE, nameplate));
        let count = self.count_mut(nameplate.form());
        count.live -= 1;
        count.quarantined += 1;
    }

    fn pick_free(&self, form: CodeForm, random: &mut dyn FnMut() -> u64) -> Option<Nameplate> {
        let mut candidates = (0..MAX_PICK_ATTEMPTS).filter_map(|_| {
            let number = u32::try_from(random() % u64::from(form.nameplate_count())).ok()?;
            Nameplate::from_number(form, number)
        });
        candidates.find(|nameplate| !self.slots.contains_key(nameplate))
    }

    const fn count(&self, form: CodeForm) -> SlotCount {
        match form {
            CodeForm::SingleCode => self.single_code,
            CodeForm::IdAndPassword => self.id_and_password,
        }
    }

    const fn count_mut(&mut self, form: CodeForm) -> &mut SlotCount {
        match form {
            CodeForm::SingleCode => &mut self.single_code,
            CodeForm::IdAndPassword => &mut self.id_and_password,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWNER: OwnerId = [1; 16];
    const THIEF: OwnerId = [2; 16];
    const FORM: CodeForm = CodeForm::SingleCode;

    fn directory() -> Directory {
        let quotas = SessionQuotas {
            lookups: Quota::UNLIMITED,
            address_changes: Quota::UNLIMITED,
        };
        Directory::new(100_000, quotas)
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
    fn a_nameplate_is_quarantined_for_an_hour() {
        let mut directory = directory();
        let first = open(&mut directory, at(0), 7).unwrap();
        directory.close(first, &OWNER, at(10));
        let next = open(&mut directory, at(3609), 7).unwrap();
        assert_eq!(next.as_str(), "000008");
        directory.expire(at(3610));
        assert_eq!(open(&mut directory, at(3610), 7), Ok(first));
    }

    #[test]
    fn an_expired_nameplate_is_quarantined_from_its_expiry() {
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
                .open(CodeForm::IdAndPassword, OWNER, at(0), &mut || 3)
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
        let quotas = SessionQuotas {
            lookups: Quota::UNLIMITED,
            address_changes: Quota::UNLIMITED,
        };
        let mut directory = Directory::new(2, quotas);
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
        let quota = Quota::new(2, at(10));
        let mut directory = Directory::new(
            10,
            SessionQuotas {
                lookups: quota,
                address_changes: quota,
            },
        );
        let nameplate = reachable(&mut directory, at(0));
        assert!(
            directory
                .set_address(nameplate, &OWNER, "{}".into(), at(0))
                .is_ok()
        );
        let refused = directory.set_address(nameplate, &OWNER, "{}".into(), at(0));
        assert_eq!(refused, Err(LookupError::RateLimited(RateLimited(at(10)))));
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
        /// In any order of events, the counts are right and no nameplate is live twice.
        #[test]
        fn the_books_balance(steps in proptest::collection::vec((0u8..3, 0u64..2000, 0u64..8), 1..200)) {
            let mut directory = directory();
            let (mut now, mut opened) = (at(0), Vec::new());
            for (step, seconds, number) in steps {
                match step {
                    0 => opened.extend(open(&mut directory, now, number)),
                    1 => if let Some(nameplate) = opened.get(number as usize) {
                        directory.close(*nameplate, &OWNER, now);
                    },
                    _ => now += at(seconds),
                }
                directory.expire(now);
                let live = directory.slots.values().filter(|slot| matches!(slot, Slot::Live(_))).count();
                prop_assert_eq!(live, directory.len());
                prop_assert_eq!(directory.slots.len() - live, directory.quarantined.len());
                prop_assert_eq!(directory.single_code.quarantined as usize, directory.quarantined.len());
            }
            directory.expire(now + at(LIFETIME_SECONDS + 3600));
            prop_assert!(directory.slots.is_empty());
        }
    }
}
