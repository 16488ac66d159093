//! libFuzzer's entry to [`zabra_fuzz::snapshot_stream`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zabra_fuzz::snapshot_stream(bytes));
