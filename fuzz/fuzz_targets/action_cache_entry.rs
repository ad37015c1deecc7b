//! `lunikernel_fuzz::action_cache_entry` under libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lunikernel_fuzz::action_cache_entry(data));
