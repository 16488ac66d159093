//! libFuzzer's entry to [`zabra_fuzz::txn`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zabra_fuzz::txn(bytes));
