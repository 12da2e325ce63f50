//! Any text as the code of a TorchScript module, and any bytes as an archive whose code is walked; then as streams.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use runnel::import::archive::Archive;
use runnel::import::{Options, exported};
use runnel::rewrite::{rewrite, rewrite_graph};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if data[..size].starts_with(b"PK") {
        runnel_fuzz::mutate_archive(data, size, max_size, seed, fuzzer_mutate)
    } else {
        fuzzer_mutate(data, size, max_size)
    }
});

fuzz_target!(|bytes: &[u8]| {
    runnel_fuzz::limited(bytes, |bytes| {
        if !bytes.starts_with(b"PK") {
            if let Ok(graph) = exported::from_code(bytes) {
                let _ = rewrite_graph(&graph);
            }
            return;
        }
        let Ok(mut archive) = Archive::new(Cursor::new(bytes), "x.ts") else { return };
        // What there is, and a method of the seed that has several.
        for method in [None, Some("shape".to_owned())] {
            let options = Options { method, ..Options::default() };
            if let Ok(model) = exported::from_archive("x", &mut archive, &options) {
                let _ = rewrite(&model);
            }
        }
    });
});
