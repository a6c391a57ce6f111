//! Containment of panics: none may leave a function that C called.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Failure;

/// Runs `work`, and turns a panic in it into a [`Failure`]. The panic hook has printed location and
/// message by then.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let failure = Failure::ours(
            "plugin-failed",
            format!("the plugin panicked: {}", message(&*payload)),
        );
        // A payload may panic again in its drop, so a few leaked bytes are better.
        std::mem::forget(payload);
        failure
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}
