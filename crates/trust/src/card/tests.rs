use proptest::prelude::*;

use super::*;
use crate::{
    keys::AgentKey,
    name::NameError,
    revocation::{RevocationList, SignedRevocations, StaleRevocations, VerifiedList},
};

const NOW: UnixTime = UnixTime(1_700_000_000);

pub(crate) fn vendor() -> VendorKey {
    VendorKey::from_seed([1; 32])
}

pub(crate) fn agent() -> AgentKey {
    AgentKey::from_seed([2; 32])
}

pub(crate) fn data() -> CardData {
    CardData {
        serial: 7,
        name: "Maija Mäkelä".into(),
        organisation: "Tilitieto Oy".into(),
        issued: NOW,
        expires: NOW.saturating_add(1000),
        key: agent().public(),
    }
}

pub(crate) fn card() -> AgentCard {
    AgentCard::issue(&vendor(), data()).unwrap()
}

/// Returns revocations without a list, under which every card of a known vendor is checked by
/// its signature and time alone.
fn no_lists() -> Revocations {
    Revocations::new(StaleRevocations::Warn)
}

/// Returns a list of `key` that counts until `until`.
fn list_of(key: &VendorKey, until: UnixTime, serials: &[u64]) -> VerifiedList {
    let list = RevocationList {
        number: 1,
        until,
        serials: serials.iter().copied().collect(),
    };
    let signed = SignedRevocations::sign(key, list).unwrap();
    signed.verify(&[key.public()]).unwrap()
}

#[track_caller]
fn check(card: &AgentCard, now: UnixTime, expected: Result<(), CardError>) {
    let verified = card.verify(&[vendor().public()], &no_lists(), now);
    assert_eq!(verified.map(|_| ()), expected);
}

/// Returns the card with one part of its payload replaced and the old signature kept.
fn forged(from: &str, to: &str) -> AgentCard {
    let mut card = card();
    let payload = str::from_utf8(&card.envelope.payload).unwrap();
    assert!(payload.contains(from));
    card.envelope.payload = payload.replace(from, to).into_bytes();
    AgentCard::from_text(&card.to_text()).unwrap()
}

#[test]
fn a_good_card_says_who_it_is() {
    let card = AgentCard::from_text(&card().to_text()).unwrap();
    let vendors = [VendorKey::from_seed([9; 32]).public(), vendor().public()];
    assert_eq!(card.verify(&vendors, &no_lists(), NOW), Ok(&data()));
    assert!(!card.to_text().contains('\n'));
}

#[test]
fn a_forged_card_is_refused() {
    check(&forged("Maija", "Saija"), NOW, Err(CardError::BadSignature));
    check(
        &forged("1700001000", "1900001000"),
        NOW,
        Err(CardError::BadSignature),
    );
}

#[test]
fn another_vendor_is_refused() {
    let other = AgentCard::issue(&VendorKey::from_seed([9; 32]), data()).unwrap();
    check(&other, NOW, Err(CardError::UnknownVendor));
    assert_eq!(
        card().verify(&[], &no_lists(), NOW),
        Err(CardError::UnknownVendor)
    );
}

#[test]
fn a_card_has_its_time() {
    check(&card(), UnixTime(NOW.0 - CLOCK_SKEW), Ok(()));
    check(
        &card(),
        UnixTime(NOW.0 - CLOCK_SKEW - 1),
        Err(CardError::NotYetValid),
    );
    check(&card(), NOW.saturating_add(999), Ok(()));
    check(&card(), NOW.saturating_add(1000), Err(CardError::Expired));
    check(&card(), UnixTime(u64::MAX), Err(CardError::Expired));
}

/// The lists that are known, and how this vendor's card 7 fares with them.
#[track_caller]
fn check_lists(
    when_stale: StaleRevocations,
    lists: &[VerifiedList],
    expected: Result<(), CardError>,
) {
    let mut revoked = Revocations::new(when_stale);
    for list in lists {
        revoked.advance(list.clone()).unwrap();
    }
    let card = card();
    let verify = |now| card.verify(&[vendor().public()], &revoked, now).map(|_| ());
    assert_eq!(verify(NOW), expected);
    if expected == Err(CardError::Revoked) {
        // Whatever the clocks say.
        assert_eq!(verify(UnixTime(0)), expected);
        assert_eq!(verify(UnixTime(u64::MAX)), expected);
    }
}

#[test]
fn a_revoked_card_is_refused_by_its_own_keys_list_alone() {
    let (ours, other) = (vendor(), VendorKey::from_seed([9; 32]));
    let later = NOW.saturating_add(1);
    for when_stale in [StaleRevocations::Refuse, StaleRevocations::Warn] {
        let revoked = Err(CardError::Revoked);
        check_lists(when_stale, &[list_of(&ours, later, &[3, 7])], revoked);
        // An outdated list revokes as well.
        check_lists(when_stale, &[list_of(&ours, NOW, &[3, 7])], revoked);
        let newer_of_other = [list_of(&ours, later, &[3, 7]), list_of(&other, later, &[9])];
        check_lists(when_stale, &newer_of_other, revoked);
        let of_other = [list_of(&ours, later, &[3]), list_of(&other, later, &[7])];
        check_lists(when_stale, &of_other, Ok(()));
    }
}

#[test]
fn without_a_list_that_counts_a_card_is_refused_unless_warning_is_enough() {
    let (ours, other) = (vendor(), VendorKey::from_seed([9; 32]));
    let later = NOW.saturating_add(1);
    for lists in [
        vec![],
        vec![list_of(&ours, NOW, &[])],
        vec![list_of(&other, later, &[])],
    ] {
        let stale = Err(CardError::RevocationsStale);
        check_lists(StaleRevocations::Refuse, &lists, stale);
        check_lists(StaleRevocations::Warn, &lists, Ok(()));
    }
}

#[test]
fn a_card_signed_for_another_purpose_is_refused() {
    let mut card = card();
    card.envelope.signature = vendor().sign(&card.envelope.payload);
    check(&card, NOW, Err(CardError::BadSignature));
}

#[test]
fn hostile_names_are_refused() {
    let cases = [
        ("", NameError::Empty),
        (" Maija", NameError::Untrimmed),
        ("Maija\n", NameError::Untrimmed),
        ("Mai\nja", NameError::Invisible),
        ("Mai\u{202e}aj", NameError::Invisible),
        ("Mai\u{200b}ja", NameError::Invisible),
        ("Mai\0ja", NameError::Invisible),
        (&"ä".repeat(81), NameError::TooLong),
    ];
    for (name, expected) in cases {
        assert_eq!(check_name(name), Err(expected), "{name:?}");
        for bad in [
            CardData {
                name: name.into(),
                ..data()
            },
            CardData {
                organisation: name.into(),
                ..data()
            },
        ] {
            assert_eq!(AgentCard::issue(&vendor(), bad), Err(CardError::Malformed));
        }
    }
    assert_eq!(check_name(&"ä".repeat(80)), Ok(()));
    assert_eq!(check_name("Søren O’Neill-Ødegård, 山田"), Ok(()));
}

#[test]
fn hostile_names_are_refused_even_when_signed() {
    let payload = Payload {
        vendor: vendor().public(),
        card: CardData {
            name: "a\u{202e}b".into(),
            ..data()
        },
    };
    let bytes = serde_json::to_vec(&payload).unwrap();
    let signature = vendor().sign(&signing_input(CONTEXT, &bytes));
    let text = Envelope {
        payload: bytes,
        signature,
    }
    .to_text(PREFIX);
    assert_eq!(AgentCard::from_text(&text), Err(CardError::Malformed));
}

#[test]
fn the_longest_names_fit_in() {
    let name: String = "\u{10FFFD}".repeat(80);
    let long = CardData {
        name: name.clone(),
        organisation: name,
        serial: u64::MAX,
        ..data()
    };
    let card = AgentCard::issue(&vendor(), long).unwrap();
    assert_eq!(AgentCard::from_text(&card.to_text()), Ok(card));
}

#[test]
fn texts_that_are_no_card_are_refused() {
    let good = card().to_text();
    let texts = [
        String::new(),
        "etcard1-".into(),
        "etcard1-.".into(),
        good.replace("etcard1", "etcard2"),
        good[..good.len() - 1].into(),
        format!("{good}A"),
        format!("{good}="),
        "x".repeat(1_000_000),
        format!("etcard1-{}", "A".repeat(1_000_000)),
    ];
    for text in texts {
        assert_eq!(AgentCard::from_text(&text), Err(CardError::Malformed));
    }
}

#[test]
fn the_hash_names_one_card() {
    let other = AgentCard::issue(
        &vendor(),
        CardData {
            serial: 8,
            ..data()
        },
    )
    .unwrap();
    assert_eq!(card().hash(), card().hash());
    assert_ne!(card().hash(), other.hash());
}

proptest! {
    #[test]
    fn round_trip(serial: u64, name in "[^\\p{C}\\p{Z}]{1,80}", issued in 0..u64::MAX) {
        let data = CardData { serial, name, issued: UnixTime(issued), expires: UnixTime(u64::MAX), ..data() };
        if let Ok(card) = AgentCard::issue(&vendor(), data.clone()) {
            let read = AgentCard::from_text(&card.to_text()).unwrap();
            prop_assert_eq!(read.claims(), &data);
            prop_assert_eq!(read, card);
        } else {
            prop_assert!(check_name(&data.name).is_err());
        }
    }

    #[test]
    fn no_changed_character_is_accepted(position: proptest::sample::Index, with in "[A-Za-z0-9_-]") {
        let good = card();
        let mut text = good.to_text();
        let position = position.index(text.len());
        text.replace_range(position..=position, &with);
        if let Ok(read) = AgentCard::from_text(&text) {
            let verified = read.verify(&[vendor().public()], &no_lists(), NOW);
            prop_assert_eq!(verified.is_ok(), read == good);
        }
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = AgentCard::from_text(&format!("etcard1-{text}"));
    }
}
