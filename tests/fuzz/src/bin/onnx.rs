//! Any bytes as an ONNX model, then as a stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runnel::import::{Options, onnx};
use runnel::rewrite::rewrite;

fuzz_target!(|bytes: &[u8]| {
    runnel_fuzz::limited(bytes, |bytes| {
        if let Ok(model) = onnx::from_bytes("x", bytes, &Options::default()) {
            let _ = rewrite(&model);
        }
    });
});
