//! `lunikernel_fuzz::zip` under libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lunikernel_fuzz::zip(data));
