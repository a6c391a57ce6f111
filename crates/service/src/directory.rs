//! The directory of sessions: the nameplates in use, their owners, and the addresses at which their
//! customers can be reached. Pure: time and randomness are passed in, and nothing waits.
//!
//! ```text
//!  free ──open, restore──▶ live ──close, or 11 minutes──▶ quarantined ──an hour──▶ free
//! ```
//! A restarted service has forgotten all of it. An owner's signed token then restores its session,
//! if nobody has its nameplate.
//!
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

/// Size of a form's number space per live nameplate: a random guess meets a session in 2 % of
/// cases.
const NAMEPLATES_PER_LIVE: u32 = 50;

/// Size of a form's number space per quarantined nameplate. Only a flood of short sessions reaches
/// this bound.
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
    Live(WaitingSession),
    Quarantined,
}

/// A session that waits for its agent.
#[derive(Debug)]
struct WaitingSession {
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
        self.check_room(form)?;
        let nameplate = self.pick_free(form, random).ok_or(NoNameplate)?;
        self.insert(nameplate, owner, now + LIFETIME);
        Ok(nameplate)
    }

    /// Restores a session that `owner` opened before the service was restarted, for the rest of its
    /// time. Does nothing if the nameplate isn't free: the session is there, or has ended, or
    /// somebody else has the nameplate by now.
    pub(crate) fn restore(
        &mut self,
        nameplate: Nameplate,
        owner: OwnerId,
        rest: Duration,
        now: Duration,
    ) -> Result<(), NoNameplate> {
        self.expire(now);
        if rest.is_zero() || self.slots.contains_key(&nameplate) {
            return Ok(());
        }
        self.check_room(nameplate.form())?;
        self.insert(nameplate, owner, now + rest.min(LIFETIME));
        Ok(())
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

    /// Returns the number of waiting sessions of each form.
    pub(crate) fn waiting(&self) -> [(CodeForm, usize); 2] {
        [CodeForm::SingleCode, CodeForm::IdAndPassword]
            .map(|form| (form, self.count(form).live as usize))
    }

    fn check_room(&self, form: CodeForm) -> Result<(), NoNameplate> {
        let count = self.count(form);
        if count.live >= form.nameplate_count() / NAMEPLATES_PER_LIVE
            || count.quarantined >= form.nameplate_count() / NAMEPLATES_PER_QUARANTINED
            || self.len() >= self.max_sessions
        {
            return Err(NoNameplate);
        }
        Ok(())
    }

    /// Makes a free nameplate live.
    fn insert(&mut self, nameplate: Nameplate, owner: OwnerId, expires: Duration) {
        let session = WaitingSession {
            owner,
            expires,
            address: None,
            lookups: Gcra::default(),
            address_changes: Gcra::default(),
        };
        self.slots.insert(nameplate, Slot::Live(session));
        // Restored sessions end before those that were opened meanwhile.
        let at = self.expiring.partition_point(|entry| entry.0 <= expires);
        self.expiring.insert(at, (expires, nameplate));
        self.count_mut(nameplate.form()).live += 1;
    }

    fn session(&mut self, nameplate: Nameplate, now: Duration) -> Option<&mut WaitingSession> {
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
mod tests;
