//! The least latency, found a second way: the last input frame that each value depends on, carried through the
//! *offline* graph channel by channel, with weights replaced by whether they are zero. Nothing here knows of rates,
//! phases, gathers or rings.

use runnel::Graph;
use runnel::graph::{LayerNorm, Op};

/// Before anything: depends on no input.
const NEVER: i64 = i64::MIN;

/// A signal of dependences: `[frame][channel]`, from frame `first`.
struct Depends {
    first: i64,
    channels: usize,
    last: Vec<i64>,
}

impl Depends {
    fn at(&self, frame: i64, channel: usize) -> i64 {
        let index = frame - self.first;
        let frames = (self.last.len() / self.channels) as i64;
        if (0..frames).contains(&index) { self.last[index as usize * self.channels + channel] } else { NEVER }
    }
}

/// The last input frame that each value of the output depends on, for an input of frames `-half .. half`; the values of
/// frame `n` are reduced to their maximum. Gives the output's first frame and one dependence per frame. Values near
/// the ends miss what lies outside the input.
pub(crate) fn last_input(graph: &Graph, half: i64) -> (i64, Vec<i64>) {
    let mut signals: Vec<Depends> = Vec::new();
    let mut readers = vec![0usize; graph.nodes().len()];
    for node in graph.nodes() {
        node.inputs.iter().for_each(|&i| readers[i] += 1);
    }
    for node in graph.nodes() {
        let scale = |frames: i64| frames * node.rate.numerator() as i64 / node.rate.denominator() as i64;
        let (first, end, channels) = (scale(-half), scale(half), node.channels);
        let mut last = vec![NEVER; (end - first) as usize * channels];
        for frame in first..end {
            let row = &mut last[(frame - first) as usize * channels..][..channels];
            match &node.op {
                Op::Input { .. } => row.fill(frame),
                // The player is an input too: what stands there at its own time.
                Op::Parameter(_) => {
                    row.fill((frame * node.rate.denominator() as i64).div_euclid(node.rate.numerator() as i64))
                }
                op => depend(op, frame, row, &node.inputs.iter().map(|&i| &signals[i]).collect::<Vec<_>>()),
            }
        }
        signals.push(Depends { first, channels, last });
        for &i in &node.inputs {
            readers[i] -= 1;
            if readers[i] == 0 {
                signals[i].last = vec![];
            }
        }
    }
    let output = signals.pop().expect("a graph has an output");
    (output.first, output.last.chunks(output.channels).map(|row| row.iter().copied().max().unwrap_or(NEVER)).collect())
}

fn depend(op: &Op, n: i64, row: &mut [i64], inputs: &[&Depends]) {
    let x = inputs[0];
    let all = |frame: i64| (0..x.channels).map(|c| x.at(frame, c)).max().unwrap_or(NEVER);
    match op {
        Op::Conv1d(conv) => {
            let [outs, per_group, kernel_size] = dims(conv.weight.shape());
            for tap in 0..kernel_size {
                let frame = n * conv.stride as i64 + (tap * conv.dilation) as i64 - conv.left_padding;
                let highest = all(frame);
                for out in 0..outs {
                    let group = out / (outs / conv.groups);
                    for i in 0..per_group {
                        if row[out] >= highest {
                            break;
                        }
                        if conv.weight.data()[(out * per_group + i) * kernel_size + tap] != 0.0 {
                            row[out] = row[out].max(x.at(frame, group * per_group + i));
                        }
                    }
                }
            }
        }
        Op::ConvTranspose1d(conv) => {
            let [ins, per_group, kernel_size] = dims(conv.weight.shape());
            for tap in 0..kernel_size as i64 {
                let scattered = n + conv.left_trim as i64 - tap;
                if scattered.rem_euclid(conv.stride as i64) != 0 {
                    continue;
                }
                let frame = scattered.div_euclid(conv.stride as i64);
                let highest = all(frame);
                for (out, value) in row.iter_mut().enumerate() {
                    let (group, column) = (out / per_group, out % per_group);
                    for i in 0..ins / conv.groups {
                        if *value >= highest {
                            break;
                        }
                        let input = group * (ins / conv.groups) + i;
                        if conv.weight.data()[(input * per_group + column) * kernel_size + tap as usize] != 0.0 {
                            *value = (*value).max(x.at(frame, input));
                        }
                    }
                }
            }
        }
        Op::Add | Op::Mul | Op::Max => {
            for x in inputs {
                row.iter_mut()
                    .enumerate()
                    .for_each(|(c, v)| *v = (*v).max(x.at(n, if x.channels == 1 { 0 } else { c })));
            }
        }
        Op::Concat => {
            let values = inputs.iter().flat_map(|x| (0..x.channels).map(|c| x.at(n, c)));
            row.iter_mut().zip(values).for_each(|(v, x)| *v = x);
        }
        Op::Slice { start, .. } => row.iter_mut().enumerate().for_each(|(c, v)| *v = x.at(n, start + c)),
        Op::DepthToTime { factor } => {
            let (frame, phase) = (n.div_euclid(*factor as i64), n.rem_euclid(*factor as i64) as usize);
            row.iter_mut().enumerate().for_each(|(c, v)| *v = x.at(frame, c * factor + phase));
        }
        Op::Repeat { factor } => {
            row.iter_mut().enumerate().for_each(|(c, v)| *v = x.at(n.div_euclid(*factor as i64), c));
        }
        Op::NoiseSynth(synth) => {
            let [size, bands] = [synth.response.shape()[0], synth.response.shape()[1]];
            for (c, v) in row.iter_mut().enumerate() {
                *v = (0..bands).map(|b| x.at(n.div_euclid(size as i64), c * bands + b)).max().unwrap_or(NEVER);
            }
        }
        Op::PowerSpectrum { window, hop, left } => {
            let read = (0..window.len()).filter(|&i| window.data()[i] != 0.0);
            let last = read.map(|i| x.at(n * *hop as i64 + i as i64 - *left as i64, 0)).max().unwrap_or(NEVER);
            row.fill(last);
        }
        Op::Gaussian { .. } => {}
        Op::Gru(_) | Op::Lstm(_) | Op::Rnn(_) => {
            // It remembers every frame from 0 on; the newest reaches furthest.
            row.fill(if n < 0 { NEVER } else { all(n) });
        }
        Op::LayerNorm(LayerNorm { groups, .. }) | Op::Softmax { groups } => {
            let width = x.channels / groups;
            for (c, v) in row.iter_mut().enumerate() {
                *v = (c / width * width..(c / width + 1) * width).map(|c| x.at(n, c)).max().unwrap_or(NEVER);
            }
        }
        Op::UnitNorm | Op::ToAngles | Op::FromAngles | Op::Quantize { .. } | Op::Dequantize { .. } => row.fill(all(n)),
        Op::BatchNorm(_)
        | Op::AdaIn { .. }
        | Op::Pointwise(_)
        | Op::Snake { .. }
        | Op::AlternateSign
        | Op::LatentEdit
        | Op::PRelu { .. } => row.iter_mut().enumerate().for_each(|(c, v)| *v = x.at(n, c)),
        Op::Input { .. } | Op::Parameter(_) => unreachable!("reads no inputs"),
    }
}

fn dims(shape: &[usize]) -> [usize; 3] {
    shape.try_into().expect("three dimensions")
}
