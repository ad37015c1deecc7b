//! The target that the variable `LUNI_FUZZ_TARGET` names, under libFuzzer. One program
//! for all of them, because linking each takes longer than compiling it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lunikernel_fuzz::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("LUNI_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("LUNI_FUZZ_TARGET is `{name}`, which is no target"))
});

fuzz_target!(|data: &[u8]| {
    (TARGET.read)(data);
});
