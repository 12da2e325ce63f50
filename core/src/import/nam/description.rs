//! What was found, for people.

use serde_json::Value;

use super::ASSUMED_RATE;
use super::file::{File, KNOWN, printable};
use crate::graph::NodeId;
use crate::model::Levels;

/// A network that was built.
pub(super) struct Found {
    pub(super) output: NodeId,
    /// Architecture and size.
    pub(super) what: String,
    /// Samples that an output sample depends on; `None` behind a memory.
    pub(super) receptive_field: Option<usize>,
}

/// What was found, in one line.
pub(super) fn describe(file: &File, found: &Found, rate: Option<u32>) -> String {
    let mut parts = vec![format!("NAM {} {}", printable(&file.version), found.what)];
    if let Some(samples) = found.receptive_field {
        parts.push(format!("receptive field {samples} samples"));
    }
    parts.push(match rate {
        Some(rate) => format!("{rate} Hz"),
        None => format!("{ASSUMED_RATE} Hz assumed, the file names no rate"),
    });
    let levels = levels(file);
    parts.extend(levels.loudness_db.map(|level| format!("loudness {level:.1} dB")));
    parts.extend(levels.input_dbu.map(|level| format!("input {level:.1} dBu")));
    parts.extend(levels.output_dbu.map(|level| format!("output {level:.1} dBu")));
    let text =
        |key: &str| file.metadata.get(key).and_then(Value::as_str).map(printable).filter(|text| !text.is_empty());
    parts.extend(text("name").map(|name| match text("modeled_by") {
        Some(person) => format!("\"{name}\" by {person}"),
        None => format!("\"{name}\""),
    }));
    if let Some((_, minor, patch)) = file.version()
        && KNOWN.iter().any(|(known, newest)| *known == minor && patch > *newest)
    {
        parts.push("a newer version than Runnel knows: what it added is not read".into());
    }
    parts.join(", ")
}

/// The levels that the file tells.
pub(super) fn levels(file: &File) -> Levels {
    let number = |key: &str| file.metadata.get(key).and_then(Value::as_f64);
    Levels {
        loudness_db: number("loudness"),
        input_dbu: number("input_level_dbu"),
        output_dbu: number("output_level_dbu"),
    }
}
