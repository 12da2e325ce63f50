//! Any text as a gin configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runnel::import::gin;

fuzz_target!(|text: &str| {
    runnel_fuzz::limited(text.as_bytes(), |_| {
        if let Ok(config) = gin::parse(text) {
            config.constant("CAPACITY");
            config.value("variational", "EncoderV2", "ratios");
        }
    });
});
