//! Memory bound of parsing and converting a body, and a fragment repeated in every list of a body.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|data: &[u8]| {
    pool_worker::fuzz::body_bounds(data, |run| allocation_counter::measure(run).bytes_max);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    pool_fuzz::mutate(data, size, max_size, seed, include_str!("../dictionaries/request.dict"))
});
