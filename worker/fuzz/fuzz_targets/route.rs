//! Request paths and targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pool_worker::fuzz::route(data));
