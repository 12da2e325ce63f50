//! Any bytes as a TorchScript archive.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use runnel::import::archive::Archive;
use runnel::import::script;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    runnel_fuzz::mutate_archive(data, size, max_size, seed, fuzzer_mutate)
});

fuzz_target!(|bytes: &[u8]| {
    runnel_fuzz::limited(bytes, |bytes| {
        let Ok(mut archive) = Archive::new(Cursor::new(bytes), "x.ts") else { return };
        if let Ok(module) = script::from_archive(&mut archive) {
            module.children();
            module.at("encoder.net.0");
        }
    });
});
