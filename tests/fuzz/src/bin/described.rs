//! Any text as the description of a few tensors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runnel::import::{Array, StateDict, Values, described};

fuzz_target!(|text: &str| {
    let shapes: [(&str, &[usize]); 5] =
        [("conv.weight", &[2, 1, 3]), ("conv.bias", &[2]), ("matrix", &[2, 2]), ("vector", &[1, 2, 1]), ("books", &[3, 5, 2])];
    let array = |shape: &[usize]| Array {
        shape: shape.to_vec(),
        values: Values::Float(vec![0.5; shape.iter().product()]),
    };
    let state: StateDict = shapes.iter().map(|(name, shape)| ((*name).to_owned(), array(shape))).collect();
    runnel_fuzz::limited(text.as_bytes(), |_| {
        if let Err(error) = described::describe("x.toml", text, &state) {
            assert!(error.to_string().starts_with("x.toml, line "), "{error}");
        }
    });
});
