//! Any bytes as a pickled module.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use runnel::import::archive::Archive;
use runnel::import::tcn;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    runnel_fuzz::mutate_archive(data, size, max_size, seed, fuzzer_mutate)
});

fuzz_target!(|bytes: &[u8]| {
    runnel_fuzz::limited(bytes, |bytes| {
        let Ok(mut archive) = Archive::new(Cursor::new(bytes), "x.pt") else { return };
        let _ = tcn::from_archive(&mut archive);
    });
});
