//! Classification of an upstream error and the request that caused it.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|data: &[u8]| pool_engine::fuzz::verdict(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    pool_fuzz::mutate(data, size, max_size, seed, include_str!("../dictionaries/verdict.dict"))
});
