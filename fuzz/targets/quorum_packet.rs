//! libFuzzer's entry to [`zabra_fuzz::quorum_packet`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zabra_fuzz::quorum_packet(bytes));
