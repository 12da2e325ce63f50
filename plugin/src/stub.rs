//! Stands in for the core until it lands.
#![allow(missing_docs, dead_code)]
use std::path::Path;
use std::sync::Arc;

pub(crate) use runnel::model::{Info, Provenance};
pub(crate) use runnel::random::Randomness;

#[derive(Debug)]
pub(crate) struct Plan {
    pub lookahead: usize,
    pub channels: usize,
}
#[derive(Debug)]
pub(crate) struct Engine {
    plan: Arc<Plan>,
    lines: Vec<crate::delay::Delay>,
}
impl Engine {
    pub(crate) fn new(plan: Arc<Plan>, _: Randomness) -> Self {
        Self { lines: (0..plan.channels).map(|_| crate::delay::Delay::new(plan.lookahead)).collect(), plan }
    }
    pub(crate) fn process(&mut self, input: &[&[f32]], output: &mut [&mut [f32]]) -> usize {
        assert_eq!(input.len(), self.plan.channels);
        for ((line, input), output) in self.lines.iter_mut().zip(input).zip(output) {
            input.iter().zip(output.iter_mut()).for_each(|(x, y)| *y = line.next(*x));
        }
        input[0].len()
    }
    pub(crate) fn reset(&mut self) {
        self.lines.iter_mut().for_each(|l| l.reset());
    }
    pub(crate) fn set_randomness(&mut self, _: Randomness) {}
}
#[derive(Debug)]
pub(crate) struct StreamGraph(pub Plan);
#[derive(Debug)]
pub(crate) struct StreamModel {
    pub forward: StreamGraph,
    pub info: Info,
}
impl StreamGraph {
    pub(crate) fn latency_samples(&self) -> u64 {
        self.0.lookahead as u64
    }
    pub(crate) fn input_channels(&self) -> usize {
        self.0.channels
    }
    pub(crate) fn output_channels(&self) -> usize {
        self.0.channels
    }
}
impl Plan {
    pub(crate) fn new(graph: &StreamGraph) -> Result<Arc<Self>, String> {
        Ok(Arc::new(Self { lookahead: graph.0.lookahead, channels: graph.0.channels }))
    }
}
pub(crate) fn open(path: &Path, _: &runnel::import::Options) -> Result<StreamModel, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lookahead = text.trim().parse().map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(StreamModel {
        forward: StreamGraph(Plan { lookahead, channels: 1 }),
        info: Info {
            name: "stub".into(),
            description: "a stub".into(),
            sampling_rate: 44100,
            latent_names: vec![],
            provenance: Provenance { source: String::new(), sha256: String::new(), converter: String::new() },
        },
    })
}
