//! libFuzzer's entry to [`zabra_fuzz::notification`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zabra_fuzz::notification(bytes));
