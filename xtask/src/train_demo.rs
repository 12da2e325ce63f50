//! `train-demo`: makes the demo model from nothing.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use runnel_offline::demo::{Training, judge, train};

use crate::output::Output;
use crate::progress::Progress;
use crate::report::{self, Align};

/// Train the built-in demo model, from nothing, on sounds made here.
#[derive(Args)]
#[command(after_help = "\
A small non-causal autoencoder, trained with burn on synthesized notes, plucks, drums, noises, vowels, sweeps and bells. \\
The same settings give the same weights on the same machine. Afterwards its reconstruction is judged on sounds that it \\
has not heard. The next build embeds what was written to the default place.")]
pub(crate) struct Arguments {
    /// Where to write the weights [default: what the build embeds]
    #[arg(short, long, value_name = "OUT.safetensors")]
    output: Option<PathBuf>,
    /// Training steps [default: those of the embedded weights]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Names the sounds and the initial weights [default: that of the embedded weights]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// Names the sounds that the model is judged on; no training uses it.
const HELD_OUT: u64 = 77;
const HELD_OUT_SECONDS: usize = 10;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let embedded = || Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("core/offline/demo/weights.safetensors");
    let mut output = Output::create(&arguments.output.clone().unwrap_or_else(embedded), &[])?;
    let mut training = Training::published();
    training.steps = arguments.steps.unwrap_or(training.steps);
    training.seed = arguments.seed.unwrap_or(training.seed);

    let mut bar = Progress::new("Training", training.steps);
    let weights = train(&training, |progress| {
        bar.advance(1);
        bar.tell(&format!("loss {:.3}, {:.1} dB", progress.loss, progress.snr_db));
    });
    drop(bar);
    let bytes = weights.to_bytes()?;
    let path = output.path().to_owned();
    output.file().write_all(&bytes).map_err(|e| crate::output::explain(e.into(), &path))?;
    output.commit()?;

    let rows: Vec<_> = judge(&weights.model()?.forward, HELD_OUT, HELD_OUT_SECONDS)
        .into_iter()
        .map(|(kind, quality)| {
            vec![
                kind.map_or("all".into(), |kind| format!("{kind:?}").to_lowercase()),
                format!("{:.1} dB", quality.snr_db),
                format!("{:.1} dB", quality.log_spectral_distance_db),
            ]
        })
        .collect();
    let heads =
        [("held-out sound", Align::Left), ("signal to error", Align::Right), ("spectral distance", Align::Right)];
    report::print(&report::table(&heads, &rows))?;
    report::print(&format!("\nwrote {} ({})", path.display(), report::bytes(bytes.len() as u64)))
}
