//! The words of the page; every figure in them comes from the results.

use super::{percent, small, span};
use crate::evaluate::results::{Evaluation, WayResult};
use crate::evaluate::ways::{CALL_SAMPLES, Way};
use crate::report::plural;

pub(super) fn opening() -> String {
    format!(
        "# The paper's claims, reproduced

Neural audio models such as RAVE are trained on whole sounds: each of their convolutions looks ahead as well as back. \
Such a model cannot simply be fed from a sound card, which knows nothing of the future. Caillon & Esling (*Streamable \
Neural Audio Synthesis With Non-Causal Convolutions*, 2022) convert the trained model into a stream, without training \
it again, and claim three things of the result:

1. it sounds as the trained model does, with **no loss of quality**;
2. it is **faster than overlap-add**, the usual way to run such a model on a signal that comes in pieces;
3. it plays in **real time on a laptop's processor**.

This page measures all three with Runnel's conversion, on models of the paper's own family. Anyone can make it again: \
the commands stand at its end.

## Four ways to run one model

- **offline**: the trained model run over the whole sound. What every other way should sound like.
- **our stream**: the converted model, called with {CALL_SAMPLES} samples at a time. Each layer keeps the few frames that \
it will need again (a *cache*), so nothing is cut and nothing is computed twice. It is heard later by the model's own \
look-ahead, its latency. *N later* is the same stream, allowed N samples more of latency to bundle its work.
- **cut blocks**: the trained model run on each block of N samples as if it were all there is, and the results put end to \
end. At each border the model sees silence where the sound went on; what it makes of that is heard as a click, or as a \
gap that repeats with every block.
- **overlap-add**: the trained model run on each window of N samples; windows start every N/2 samples, fade in and \
out, and are added. The borders are hidden, but each still shows the model silence where there was sound, and every \
sample is computed twice."
    )
}

pub(super) fn in_short(evaluation: &Evaluation) -> String {
    let of = |wanted: fn(Way) -> bool| -> Vec<&WayResult> {
        evaluation.models.iter().flat_map(|model| model.ways(wanted)).collect()
    };
    let streams = of(|way| matches!(way, Way::Stream { .. }));
    let cut = of(|way| matches!(way, Way::CutBlocks(_)));
    let added = of(|way| matches!(way, Way::OverlapAdd(_)));
    let most = |ways: &[&WayResult], value: fn(&WayResult) -> f64| ways.iter().map(|w| value(w)).fold(0.0, f64::max);
    let range = |ways: &[&WayResult]| span(ways.iter().map(|w| w.distance_mean), small);
    let clicks = |ways: &[&WayResult]| ways.iter().map(|w| w.clicks).sum::<usize>();
    let least = of(|way| way == Way::Stream { slack: 0 });
    let models = evaluation.models.len() as u64;
    format!(
        "## In short

{sounds}; {models} {noun}; {machine}.

1. **Quality.** Over all models and sounds our stream differs from the offline run by at most {largest} in any sample (full \
scale is 1), a spectral distance of at most {distance}: rounding. {clicks} of its joins click. Cut blocks are {cut} apart \
from offline, with {cut_clicks} clicks; overlap-add {added}. How much they lose depends on how far a model sees beside how \
long its windows are.
2. **Speed.** {ratios}
3. **Real time.** Our stream takes {cpu} of one core at its least latency.

In the table, spectral distances to offline are worst cases over all sounds for our stream, and means over the sounds, from the best \
to the worst length, for the others. CPU time is the share of one core. A model's name leads to its figures.",
        sounds = capitalized(&evaluation.sounds),
        noun = plural(models, "model"),
        machine = evaluation.machine,
        largest = small(most(&streams, |w| w.largest_difference)),
        distance = small(most(&streams, |w| w.distance_worst)),
        clicks = match clicks(&streams) {
            0 => "None".into(),
            count => count.to_string(),
        },
        cut = range(&cut),
        cut_clicks = clicks(&cut),
        added = range(&added),
        ratios = ratios(evaluation),
        cpu = span(least.iter().filter_map(|w| w.cpu_per_second), percent),
    )
}

/// What overlap-add costs beside our streams, over all models.
fn ratios(evaluation: &Evaluation) -> String {
    let over = |later: bool, cheapest: bool| {
        let ratio = |model: &crate::evaluate::results::ModelResult| {
            let ours = model.ways(|way| matches!(way, Way::Stream { slack } if (slack > 0) == later)).next()?;
            let costs = model.ways(|way| matches!(way, Way::OverlapAdd(_))).filter_map(|w| w.cpu_per_second);
            let chosen = if cheapest { costs.fold(f64::INFINITY, f64::min) } else { costs.fold(0.0, f64::max) };
            Some(chosen / ours.cpu_per_second?)
        };
        span(evaluation.models.iter().filter_map(ratio), |r| format!("{r:.2}"))
    };
    format!(
        "Overlap-add takes {} times the CPU time of our stream where its window is dearest, and {} times where it is \
         cheapest, if our stream may bundle its work as the shortest window may (*later*). At the least latency that the \
         model allows, where nothing can be bundled, it is {} and {} times. Below 1, overlap-add is the cheaper one.",
        over(true, false),
        over(true, true),
        over(false, false),
        over(false, true)
    )
}

pub(super) fn how() -> String {
    "## How the figures are made

**distance** is the multi-scale spectral distance to the offline run, after the loss that RAVE is trained with: the mean over \
the sounds, and the **worst** sound. For transforms of 2048, 1024, 512, 256 and 128 samples (Hann window, hop of a \
quarter), with magnitudes *A* of offline and *B* of the other, a full-scale sine being 1:

> D = Σ ( ‖A − B‖ / ‖A‖ + mean |ln(A + ε) − ln(B + ε)| ), ε = 10⁻⁴, that is −80 dB

0 is the same sound. As a yardstick: a sound of twice the amplitude is 8.5 apart from itself.

**largest** is the largest difference of a sample, full scale being 1; **error** the RMS of the difference in dB of \
offline's RMS, over all sounds. A sample is compared with the sample of the same index: no latency is left in.

**clicks** counts joins: borders of cut blocks, starts of windows, borders of the stream's calls. Offline and stream are \
counted at every place where the shortest blocks and windows have a join, too. With the bend at a sample being the second \
difference |x[n−1] − 2·x[n] + x[n+1]|, a join clicks where the sharper of the two bends across it is above each of: 8 \
times the median bend of offline within 256 samples, twice the sharpest bend of offline within 8 samples, and −80 dB of \
full scale. A model with random weights plays noise, in which no join stands out, however wrong it is: there the distance tells.

**latency** is how long a sound waits until what the model makes of it is heard, computing being instant. Overlap-add with a \
window shorter than the model's look-ahead has less latency than our stream, for it does not look as far ahead: that is \
what its distance shows. **offline** is the sound embedded in silence; offline, cut blocks and windows are computed in 64 bits, our stream in 32. Cut blocks and windows are padded with zeros at \
every layer, as the untouched model pads; their lengths are multiples of two frames, so that all frames lie on the same grid.

**CPU** is CPU time of one thread per second of sound, the median of turns that all ways take on the same engine, so that \
methods are compared and not libraries. Our stream is timed as it plays. For cut blocks and overlap-add we count the \
cheapest that they can be: what our engine spends on N samples in one call, bundling work over N samples. Nothing is \
charged for starting anew with each window, nor for its edges. Overlap-add pays for two such runs per sample, and for \
the measured windowing. Random parts of the models are silent in the sounds, and drawn in the timings."
        .into()
}

pub(super) fn again(evaluation: &Evaluation) -> String {
    format!(
        "## Make it again

```sh
xtask/evaluate/all.sh        # everything on this page; two to three hours on two cores, most of it training a RAVE
```

installs what is needed into `target/evaluate`, makes the clips, trains the small RAVE, draws full-size models \
with random weights, and ends with the one command that wrote this page and `evaluation.json`, in which each sound and \
each way has its own figures:

```sh
{}
```

Weights of RAVE are not kept here: its code and what is trained with it are for non-commercial use. \
`cargo xtask evaluate --help` tells how to try other models and other sounds. With no argument it takes the demo model, and \
without clips synthesized sounds, and needs nothing but Rust.",
        evaluation.command
    )
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}
