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

fn open(directory: &mut Directory, now: Duration, number: u64) -> Result<Nameplate, NoNameplate> {
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

#[test]
fn after_a_restart_an_owner_has_the_rest_of_its_time() {
    let nameplate: Nameplate = "000007".parse().unwrap();
    let mut directory = directory();
    let later = open(&mut directory, at(0), 100).unwrap();
    let restore = |directory: &mut Directory, owner, now| {
        directory.restore(nameplate, owner, at(60), now).unwrap();
        directory.set_address(nameplate, &owner, "{}".into(), now)
    };
    assert_eq!(restore(&mut directory, OWNER, at(0)), Ok(()));
    let stolen = restore(&mut directory, THIEF, at(1));
    assert_eq!(stolen, Err(LookupError::Unknown));
    assert_eq!(directory.look_up(nameplate, at(59)), Ok("{}"));
    let ended = directory.look_up(nameplate, at(60));
    assert_eq!(ended, Err(LookupError::Unknown));
    assert_eq!(directory.len(), 1, "{later} was opened for longer");
}

#[test]
fn a_nameplate_that_was_closed_is_not_restored() {
    let mut directory = directory();
    let nameplate = reachable(&mut directory, at(0));
    directory.close(nameplate, &OWNER, at(1));
    directory.restore(nameplate, OWNER, at(60), at(2)).unwrap();
    let closed = directory.look_up(nameplate, at(2));
    assert_eq!(closed, Err(LookupError::Unknown));
}

#[test]
fn no_more_are_restored_than_opened() {
    let quotas = SessionQuotas {
        lookups: Quota::UNLIMITED,
        address_changes: Quota::UNLIMITED,
    };
    let mut directory = Directory::new(1, quotas);
    open(&mut directory, at(0), 100).unwrap();
    let full = directory.restore("000007".parse().unwrap(), OWNER, at(60), at(0));
    assert_eq!(full, Err(NoNameplate));
}
