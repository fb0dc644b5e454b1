//! Request headers, one per line.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pool_worker::fuzz::headers(data));
