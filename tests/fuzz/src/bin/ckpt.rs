//! Any bytes as a checkpoint.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use runnel::import::archive::Archive;
use runnel::import::{Values, checkpoint};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    runnel_fuzz::mutate_archive(data, size, max_size, seed, fuzzer_mutate)
});

fuzz_target!(|bytes: &[u8]| {
    runnel_fuzz::limited(bytes, |bytes| {
        let Ok(mut archive) = Archive::new(Cursor::new(bytes), "x.ckpt") else { return };
        let Ok(checkpoint) = checkpoint::from_archive(&mut archive, |_| true) else { return };
        for array in checkpoint.state.values().chain(checkpoint.ema.iter().flat_map(|ema| ema.values())) {
            let len = match &array.values {
                Values::Float(values) => values.len(),
                Values::Int(values) => values.len(),
            };
            assert_eq!(array.shape.iter().product::<usize>(), len);
        }
    });
});
