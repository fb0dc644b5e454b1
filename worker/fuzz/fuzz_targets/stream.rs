//! Bytes of upstream streams.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pool_translate::fuzz::stream(data));
