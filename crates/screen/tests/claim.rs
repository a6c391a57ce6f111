//! One process at a time holds a display's claim.

use std::time::Duration;

use etatuki_screen::{Acquired, CancelToken, ClaimHolder, DisplayClaim, ScreenError};
use etatuki_testkit::Xvfb;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

const NAME: &str = "_TEST_CLAIM";
const TIMEOUT: Duration = Duration::from_secs(30);

fn acquire(x: &Xvfb) -> Acquired {
    let cancel = CancelToken::new().expect("a pipe");
    DisplayClaim::acquire(Some(&x.display), NAME, &cancel).expect("the display answers")
}

fn held(x: &Xvfb) -> DisplayClaim {
    match acquire(x) {
        Acquired::Held(claim) => claim,
        Acquired::Other(holder) => panic!("{holder:?} holds it"),
    }
}

fn other(x: &Xvfb) -> ClaimHolder {
    match acquire(x) {
        Acquired::Other(holder) => holder,
        Acquired::Held(_) => panic!("nobody held it"),
    }
}

#[test]
fn one_holds_it_and_answers_the_others() {
    let x = Xvfb::start("64x64x24", &[]);
    let claim = held(&x);
    let holder = other(&x);
    assert_eq!(holder.process().expect("known"), Some(std::process::id()));
    let answering = std::thread::spawn(move || {
        let request = loop {
            if let Some(request) = claim.requests().expect("held").pop() {
                break request;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        claim.answer(&request, 7).expect("answered");
        (claim, request)
    });
    let answer = holder.ask(3, "ecom", TIMEOUT).expect("asked");
    assert_eq!(answer, Some(7));
    let (claim, request) = answering.join().expect("answers");
    assert_eq!((request.kind, request.subject.as_str()), (3, "ecom"));

    assert!(!holder.is_gone().expect("answers"));
    let silent = holder.ask(3, "", Duration::from_millis(50));
    assert_eq!(silent.expect("asked"), None, "nobody answered");
    drop(claim);
    assert!(holder.wait_until_gone(TIMEOUT).expect("answers"));
    held(&x);
}

#[test]
fn of_many_at_once_one_gets_it() {
    let x = Xvfb::start("64x64x24", &[]);
    let claims: Vec<_> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8).map(|_| scope.spawn(|| acquire(&x))).collect();
        tries
            .into_iter()
            .map(|one| one.join().expect("ends"))
            .collect()
    });
    let held = claims
        .iter()
        .filter(|claim| matches!(claim, Acquired::Held(_)));
    assert_eq!(held.count(), 1);
}

#[test]
fn a_claim_that_somebody_takes_is_lost_and_said() {
    let x = Xvfb::start("64x64x24", &[]);
    let claim = held(&x);
    let (thief, _) = RustConnection::connect(Some(&x.display)).expect("connects");
    let selection = thief.intern_atom(false, NAME.as_bytes()).expect("sent");
    let selection = selection.reply().expect("an atom").atom;
    thief
        .set_selection_owner(x11rb::NONE, selection, x11rb::CURRENT_TIME)
        .expect("sent");
    thief.sync().expect("synced");
    assert!(matches!(claim.requests(), Err(ScreenError::Lost(_))));
}
