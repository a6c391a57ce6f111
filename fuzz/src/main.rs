//! libFuzzer's main for the target that `ETATUKI_FUZZ_TARGET` names; started by `run`.

#![no_main]

use etatuki_fuzz::{Target, target};
use std::sync::LazyLock;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("ETATUKI_FUZZ_TARGET").unwrap_or_default();
    target(&name).expect("ETATUKI_FUZZ_TARGET names a target")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
