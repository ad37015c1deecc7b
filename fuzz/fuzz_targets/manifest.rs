//! `lunikernel_fuzz::manifest` under libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lunikernel_fuzz::manifest(data));
