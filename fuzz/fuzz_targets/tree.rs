//! `lunikernel_fuzz::tree` under libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lunikernel_fuzz::tree(data));
