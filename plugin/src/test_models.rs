//! Models small enough to know what they do.
use crate::hosted::LoadedModel;
use crate::stub::{Info, Plan, Provenance, StreamGraph, StreamModel};

/// The identity, which waits for `ahead` samples all the same.
pub(crate) fn lookahead(ahead: usize, channels: usize, sampling_rate: u32) -> LoadedModel {
    let forward = StreamGraph(Plan { lookahead: ahead, channels });
    LoadedModel::new(StreamModel { forward, info: info(sampling_rate) }).unwrap()
}

fn info(sampling_rate: u32) -> Info {
    Info {
        name: "lookahead".into(),
        description: String::new(),
        sampling_rate,
        latent_names: vec![],
        provenance: Provenance { source: String::new(), sha256: String::new(), converter: String::new() },
    }
}
