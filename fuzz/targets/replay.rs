//! libFuzzer's entry to [`zabra_fuzz::replay`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zabra_fuzz::replay(bytes));
