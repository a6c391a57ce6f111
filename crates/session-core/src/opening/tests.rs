//! One test for every edge of the drawing in `opening.rs`.

use etatuki_trust::CodeForm;

use super::*;
use PluginState::{Attached, Closed, Closing, Waiting};

const CODE: &str = "12345678";

fn code(digits: &str) -> Zeroizing<String> {
    Zeroizing::new(digits.to_owned())
}

fn open_plugin() -> OpeningStep {
    OpeningStep::OpenPlugin(code(CODE))
}

fn ready() -> OpeningStep {
    OpeningStep::Report(Event::CodeReady)
}

/// A plugin that is being loaded, while a code is being minted.
fn minting() -> Opening {
    let mut opening = Opening::new(Transport::Link(CodeForm::SingleCode));
    opening.mint();
    opening
}

/// The plugin was given the code.
fn given() -> Opening {
    let mut opening = minting();
    opening.plugin_loaded();
    assert_eq!(opening.code_minted(code(CODE)), Some(open_plugin()));
    opening
}

/// The plugin waits with the code.
fn shown() -> Opening {
    let mut opening = given();
    let steps = opening.plugin_changed(Waiting, Some(code(CODE)));
    assert_eq!(steps, [ready()]);
    opening
}

fn is_failure(steps: &[OpeningStep]) -> bool {
    let [OpeningStep::Report(Event::Failed(failure))] = steps else {
        return false;
    };
    failure.name == FailureName::PluginFailed
}

#[test]
fn minted_then_loaded_is_given() {
    let mut opening = minting();
    assert_eq!(opening.code_minted(code(CODE)), None);
    assert_eq!(opening.plugin_loaded(), Some(open_plugin()));
    assert_eq!(opening.plugin_changed(Closed, None), [], "it is given once");
}

#[test]
fn loaded_then_minted_is_given() {
    let mut opening = minting();
    assert_eq!(opening.plugin_loaded(), None);
    assert_eq!(opening.code_minted(code(CODE)), Some(open_plugin()));
}

#[test]
fn given_then_waiting_with_it_is_shown_once() {
    let mut opening = shown();
    assert_eq!(opening.plugin_changed(Waiting, Some(code(CODE))), []);
    assert_eq!(opening.plugin_changed(Attached, Some(code(CODE))), []);
    assert_eq!(opening.plugin_changed(Waiting, Some(code(CODE))), []);
}

#[test]
fn a_plugin_with_another_code_has_failed() {
    for other in [Some(code("87654321")), None] {
        assert!(is_failure(&given().plugin_changed(Waiting, other.clone())));
        assert!(is_failure(&shown().plugin_changed(Waiting, other)));
    }
}

#[test]
fn a_plugin_that_waits_before_it_was_given_a_code_means_nothing() {
    assert_eq!(minting().plugin_changed(Waiting, Some(code(CODE))), []);
}

#[test]
fn a_dropped_code_is_closed_where_it_was_given() {
    let mut opening = minting();
    assert_eq!(opening.drop_code(), None);
    let mut opening = minting();
    opening.code_minted(code(CODE));
    assert_eq!(opening.drop_code(), None);
    for mut opening in [given(), shown()] {
        assert_eq!(opening.drop_code(), Some(OpeningStep::ClosePlugin));
        assert_eq!(opening.drop_code(), None);
    }
}

#[test]
fn a_code_that_was_dropped_while_it_was_minted_is_not_given() {
    let mut opening = minting();
    opening.plugin_loaded();
    opening.drop_code();
    assert_eq!(opening.code_minted(code(CODE)), None);
}

#[test]
fn a_fresh_code_waits_until_the_plugin_has_closed_the_old_one() {
    let mut opening = shown();
    opening.drop_code();
    opening.mint();
    assert_eq!(opening.code_minted(code(CODE)), None);
    assert_eq!(opening.plugin_changed(Waiting, Some(code("1"))), []);
    assert_eq!(opening.plugin_changed(Closing, None), []);
    assert_eq!(opening.plugin_changed(Closed, None), [open_plugin()]);
}

#[test]
fn a_fresh_code_is_given_at_once_if_the_plugin_has_closed_the_old_one() {
    let mut opening = shown();
    opening.drop_code();
    opening.mint();
    opening.plugin_changed(Closed, None);
    assert_eq!(opening.code_minted(code(CODE)), Some(open_plugin()));
}

#[test]
fn a_reset_awaits_another_plugin_and_another_code() {
    let mut opening = shown();
    opening.reset();
    assert_eq!(opening.plugin_loaded(), None);
    assert_eq!(opening.code_minted(code(CODE)), None);
    opening.mint();
    assert_eq!(opening.code_minted(code(CODE)), Some(open_plugin()));
}

#[test]
fn an_external_transport_has_the_plugins_own_code() {
    let mut opening = Opening::new(Transport::External);
    opening.mint();
    opening.plugin_loaded();
    assert_eq!(opening.external_code(), None);
    assert_eq!(opening.code_minted(code(CODE)), Some(open_plugin()));
    let steps = opening.plugin_changed(Waiting, Some(code("123 456")));
    assert_eq!(steps, [ready()]);
    let shown = opening.external_code().expect("a code");
    assert_eq!(&*shown.fields[0].digits, "123 456");
}
