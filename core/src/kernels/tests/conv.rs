//! Convolutions: the textbook sum, and what must not change a bit of it.

use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;

use crate::graph::Pointwise;
use crate::kernels::{Epilogue, Function, InstructionSet, Isa, PackedConv, Source};
use crate::plan::Ring;
use crate::stream::{CachedConv, ConvKind, Part};
use crate::tensor::Tensor;

/// Convolutions of every layout and of all sizes of tiles; weights are exact in half precision.
fn conv() -> impl Strategy<Value = CachedConv> {
    let kind = prop_oneof![
        Just(ConvKind::Strided { stride: 1 }),
        (1..5usize).prop_map(|stride| ConvKind::Strided { stride }),
        (1..5usize).prop_map(|stride| ConvKind::Transposed { stride }),
        (1..18usize).prop_map(|factor| ConvKind::Subpixel { factor }),
    ];
    let sizes = prop_oneof![
        4 => (1..4usize, 1..20usize, 1..40usize),
        2 => (1..3usize, prop_oneof![Just(32usize), Just(64), Just(96)], 1..40usize),
        2 => (Just(1usize), 1..40usize, 100..200usize),
        1 => (Just(1usize), Just(32usize), 100..200usize),
        2 => (Just(1usize), prop_oneof![Just(8usize), 1..40usize], 5..9usize),
        1 => (2..40usize, Just(1usize), Just(1usize)),
        2 => (2..6usize, 1..5usize, 1..5usize),
    ];
    (kind, sizes, 1..8usize, 1..4usize, 0..5i64, any::<u64>()).prop_map(
        |(kind, (groups, group_inputs, group_outputs), kernel_size, dilation, left, seed)| {
            let mut draw = draws(seed);
            let outputs = groups * group_outputs;
            let (shape, biases) = match kind {
                ConvKind::Strided { .. } => ([outputs, group_inputs, kernel_size], outputs),
                ConvKind::Subpixel { factor } => ([outputs * factor, group_inputs, kernel_size], outputs * factor),
                ConvKind::Transposed { .. } => ([groups * group_inputs, group_outputs, kernel_size], outputs),
            };
            // Some phases lose their last tap, or their first: they read other frames than the rest.
            let [no_last, no_first] = [seed % 3 == 0, seed % 5 == 0];
            let zero = |at: usize| {
                let (row, k) = (at / kernel_size / shape[1], at % kernel_size);
                let phase = if let ConvKind::Subpixel { factor } = kind { row % factor } else { 0 };
                phase == 0 && (no_last && k + 1 == kernel_size || no_first && k == 0)
            };
            let weight =
                (0..shape.iter().product()).map(|at| if zero(at) { 0.0 } else { (draw() * 512.0).round() / 512.0 });
            CachedConv {
                kind,
                weight: Arc::new(Tensor::new(shape, weight.collect())),
                bias: Some(Arc::new(Tensor::new([biases], (0..biases).map(|_| draw()).collect()))),
                dilation: if matches!(kind, ConvKind::Transposed { .. }) { 1 } else { dilation },
                left,
                groups,
            }
        },
    )
}

/// Convolutions that may be summed in two parts.
fn splittable() -> impl Strategy<Value = CachedConv> {
    conv().prop_filter("inputs in whole blocks", |conv| conv.group_inputs().is_multiple_of(32))
}

/// Values in [−1, 1).
pub(super) fn draws(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed | 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

pub(super) fn value(frame: i64, c: usize) -> f32 {
    (((frame * 31 + c as i64 * 17) % 23) as f32 / 11.0).sin()
}

/// A signal whose frames `held` exist; all others are NaN.
struct Signal {
    ring: Ring,
    own: Vec<f32>,
}

impl Signal {
    fn new(held: Range<i64>, mirror: usize, channels: usize) -> Self {
        let ring = Ring::new(0, (held.end - held.start).max(1), mirror, channels).unwrap();
        let mut own = vec![f32::NAN; ring.len()];
        for frame in held.clone() {
            ring.row_mut(&mut own, frame).iter_mut().enumerate().for_each(|(c, v)| *v = value(frame, c));
        }
        ring.reflect(&mut own, held);
        Self { ring, own }
    }

    fn source(&self) -> Source<'_> {
        Source { ring: self.ring, own: &self.own }
    }
}

/// What a frame that no call is for holds.
const UNTOUCHED: f32 = 0.5;

/// The rows of `frames`, computed in calls of `frames_at_once` by `panels_at_once`.
#[derive(Clone)]
struct Run {
    isa: Isa,
    half: bool,
    epilogue: Epilogue,
    frames_at_once: i64,
    panels_at_once: usize,
}

impl Run {
    fn on(isa: Isa) -> Self {
        Self { isa, half: false, epilogue: Epilogue::default(), frames_at_once: i64::MAX, panels_at_once: usize::MAX }
    }

    fn rows(&self, conv: &CachedConv, part: Part, sums: Option<Source<'_>>, frames: Range<i64>) -> (Ring, Vec<f32>) {
        let packed = PackedConv::new(conv, part, self.epilogue.clone(), self.half, self.isa);
        let reads = conv.part_reads(part);
        let (kept, required) = (reads.kept(frames.start), reads.required(frames.end));
        let held = if kept < required { kept..required } else { 0..0 };
        let input = Signal::new(held, packed.input_mirror(64), conv.groups * conv.group_inputs());
        let addend = Signal::new(frames.clone(), 0, conv.out_channels());
        let addend = self.epilogue.add.then(|| addend.source());
        let ring = Ring::new(0, 64, 0, conv.out_channels()).unwrap();
        let mut own = vec![UNTOUCHED; ring.len()];
        let mut n = frames.start;
        while n < frames.end {
            let end = frames.end.min(n.saturating_add(self.frames_at_once));
            let mut panel = 0;
            while panel < packed.panels() {
                let to = packed.panels().min(panel.saturating_add(self.panels_at_once));
                packed.run(input.source(), sums, addend, ring, &mut own, n..end, panel..to);
                panel = to;
            }
            n = end;
        }
        let others = frames.end..frames.start + ring.frames();
        assert!(others.into_iter().all(|n| ring.row(&own, n).iter().all(|v| *v == UNTOUCHED)), "frames not asked for");
        (ring, own)
    }

    fn whole(&self, conv: &CachedConv, frames: Range<i64>) -> (Ring, Vec<f32>) {
        self.rows(conv, Part::Whole, None, frames)
    }
}

pub(super) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// The convolution's sum, in f64, straight from the definition of its kind.
fn textbook(conv: &CachedConv, x: impl Fn(i64, usize) -> f32, n: i64, out: usize) -> f64 {
    let shape = conv.weight.shape();
    let (kernel_size, inputs) = (shape[2], conv.group_inputs());
    let group = out / (conv.out_channels() / conv.groups);
    let w = |row: usize, column: usize, k: usize| {
        f64::from(conv.weight.data()[(row * shape[1] + column) * kernel_size + k])
    };
    let b = |index: usize| conv.bias.as_ref().map_or(0.0, |b| f64::from(b.data()[index]));
    let mut sum = 0.0;
    for k in 0..kernel_size {
        for i in 0..inputs {
            let channel = group * inputs + i;
            let ahead = (k * conv.dilation) as i64 - conv.left;
            sum += match conv.kind {
                ConvKind::Strided { stride } => w(out, i, k) * f64::from(x(n * stride as i64 + ahead, channel)),
                ConvKind::Subpixel { factor } => {
                    let (q, p) = (n.div_euclid(factor as i64), n.rem_euclid(factor as i64) as usize);
                    w(out * factor + p, i, k) * f64::from(x(q + ahead, channel))
                }
                ConvKind::Transposed { stride } => {
                    // Scatter: input frame m reaches output frame m·stride + k − left.
                    let m = n + conv.left - k as i64;
                    if m.rem_euclid(stride as i64) == 0 {
                        let x = f64::from(x(m.div_euclid(stride as i64), channel));
                        w(channel, out % shape[1], k) * x
                    } else {
                        0.0
                    }
                }
            };
        }
    }
    sum + match conv.kind {
        ConvKind::Subpixel { factor } => b(out * factor + n.rem_euclid(factor as i64) as usize),
        _ => b(out),
    }
}

fn each_set() -> impl Iterator<Item = Isa> {
    Isa::available().into_iter()
}

proptest! {
    #[test]
    fn convolution_is_the_textbook_sum(conv in conv(), from in -9..9i64, len in 0..41i64) {
        for isa in each_set() {
            let (ring, own) = Run::on(isa).whole(&conv, from..from + len);
            for n in from..from + len {
                for (out, y) in ring.row(&own, n).iter().enumerate() {
                    let expected = textbook(&conv, value, n, out);
                    prop_assert!((f64::from(*y) - expected).abs() < 1e-4, "{isa:?} frame {n} channel {out}: {y} {expected}");
                }
            }
        }
    }

    #[test]
    fn calls_of_any_frames_and_panels_give_the_same_bits(
        conv in conv(), from in -9..9i64, len in 1..41i64, frames_at_once in 1..12i64, panels_at_once in 1..4usize,
    ) {
        for isa in each_set() {
            let (_, whole) = Run::on(isa).whole(&conv, from..from + len);
            let (_, cut) = Run { frames_at_once, panels_at_once, ..Run::on(isa) }.whole(&conv, from..from + len);
            prop_assert_eq!(bits(&whole), bits(&cut), "{:?}", isa);
        }
    }

    #[test]
    fn sets_that_fuse_give_the_same_bits(conv in conv(), from in -9..9i64, len in 1..41i64) {
        let fused = each_set().filter(|isa| isa.name() != InstructionSet::Portable);
        let all: Vec<_> = fused.map(|isa| bits(&Run::on(isa).whole(&conv, from..from + len).1)).collect();
        prop_assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn older_taps_then_newest_give_the_same_bits(
        conv in splittable(), from in -9..9i64, len in 1..20i64, newest in 0..9usize,
    ) {
        for isa in each_set() {
            let run = Run { epilogue: epilogue(conv.out_channels()), ..Run::on(isa) };
            let (_, whole) = run.whole(&conv, from..from + len);
            let (ring, older) = run.rows(&conv, Part::Older { newest }, None, from..from + len);
            let sums = Some(Source { ring, own: &older });
            let (_, both) = run.rows(&conv, Part::Newest { newest }, sums, from..from + len);
            prop_assert_eq!(bits(&whole), bits(&both), "{:?}", isa);
        }
    }

    #[test]
    fn weights_that_fit_into_halves_give_the_same_bits(conv in conv(), from in -9..9i64, len in 1..20i64) {
        for isa in each_set() {
            let (_, full) = Run::on(isa).whole(&conv, from..from + len);
            let (_, half) = Run { half: true, ..Run::on(isa) }.whole(&conv, from..from + len);
            prop_assert_eq!(bits(&full), bits(&half), "{:?}", isa);
            let bytes = [false, true].map(|half| PackedConv::new(&conv, Part::Whole, Epilogue::default(), half, isa).weight_bytes());
            prop_assert!(bytes[1] < bytes[0] || conv.taps().iter().all(Vec::is_empty));
        }
    }

    #[test]
    fn epilogue_follows_in_order(conv in conv(), from in -9..9i64, len in 0..20i64) {
        let epilogue = epilogue(conv.out_channels());
        let Some(Function::Affine { scale, offset }) = &epilogue.then else { unreachable!() };
        for isa in each_set() {
            let (ring, plain) = Run::on(isa).whole(&conv, from..from + len);
            let (_, own) = Run { epilogue: epilogue.clone(), ..Run::on(isa) }.whole(&conv, from..from + len);
            for n in from..from + len {
                for (out, (y, sum)) in ring.row(&own, n).iter().zip(ring.row(&plain, n)).enumerate() {
                    let expected = (sum.tanh() + value(n, out)) * scale.data()[out] + offset.data()[out];
                    prop_assert!((y - expected).abs() < 1e-5, "{isa:?} frame {n} channel {out}: {y} {expected}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn short_epilogues_are_exact(
        conv in conv(), from in -9..9i64, len in 0..41i64, function in any::<bool>(), add in any::<bool>(), then in any::<bool>(),
    ) {
        let leaky = |slope| Some(Function::Pointwise(Pointwise::LeakyRelu { slope }));
        let function_of = leaky(0.25).filter(|_| function);
        let epilogue = Epilogue { function: function_of, add, column: None, then: leaky(0.5).filter(|_| then) };
        for isa in each_set() {
            let (ring, plain) = Run::on(isa).whole(&conv, from..from + len);
            let (_, own) = Run { epilogue: epilogue.clone(), ..Run::on(isa) }.whole(&conv, from..from + len);
            for n in from..from + len {
                for (out, (y, sum)) in ring.row(&own, n).iter().zip(ring.row(&plain, n)).enumerate() {
                    let mut expected = *sum;
                    if function && expected <= 0.0 {
                        expected *= 0.25;
                    }
                    if add {
                        expected += value(n, out);
                    }
                    if then && expected <= 0.0 {
                        expected *= 0.5;
                    }
                    prop_assert_eq!(y.to_bits(), expected.to_bits(), "{:?} frame {} channel {}", isa, n, out);
                }
            }
        }
    }
}

fn epilogue(channels: usize) -> Epilogue {
    let mut draw = draws(channels as u64);
    let mut parameters = || Arc::new(Tensor::new([channels], (0..channels).map(|_| draw()).collect()));
    Epilogue {
        function: Some(Function::Pointwise(Pointwise::Tanh)),
        add: true,
        column: None,
        then: Some(Function::Affine { scale: parameters(), offset: parameters() }),
    }
}

#[test]
fn weights_that_do_not_fit_into_halves_stay_as_they_are() {
    let conv = CachedConv {
        kind: ConvKind::Strided { stride: 1 },
        weight: Arc::new(Tensor::new([16, 1, 1], vec![1.0 / 3.0; 16])),
        bias: None,
        dilation: 1,
        left: 0,
        groups: 1,
    };
    let packed = PackedConv::new(&conv, Part::Whole, Epilogue::default(), true, Isa::best());
    assert_eq!(packed.weight_bytes(), 4 * (16 + 16));
}
