//! Any bytes as a pickle.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runnel::import::pickle::{Dialect, Pickle};

fuzz_target!(|bytes: &[u8]| {
    runnel_fuzz::limited(bytes, |bytes| {
        for dialect in [Dialect::Checkpoint, Dialect::TorchScript] {
            let Ok(pickle) = Pickle::parse(bytes, "data.pkl", dialect) else { continue };
            let root = pickle.root();
            pickle.entry(root, "state_dict");
            for (id, _) in pickle.values() {
                pickle.describe(id);
                pickle.call(id);
            }
        }
    });
});
