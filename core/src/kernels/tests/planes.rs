//! Kernels in planes: the bits of rows, whatever follows a sum and however the frames are cut into calls.

use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;

use super::conv::{bits, draws, value};
use crate::graph::Pointwise;
use crate::kernels::{Call, Epilogue, Function, Isa, Kernel, PackedConv, PlaneConv, Source};
use crate::plan::Ring;
use crate::stream::{CachedConv, ConvKind, Part, StreamOp};
use crate::tensor::{Tensor, Weight};

/// Convolutions that may lie in planes.
fn conv() -> impl Strategy<Value = CachedConv> {
    let sizes = (prop_oneof![Just(1usize), 1..13usize], prop_oneof![Just(1usize), 1..13usize], 1..9usize);
    // Inputs and outputs of a group.
    (sizes, 1..30usize, 0..9i64, any::<u64>()).prop_map(|((inputs, outputs, kernel_size), dilation, left, seed)| {
        let mut draw = draws(seed);
        let groups = if seed % 2 == 0 { 1 } else { 1 + (seed / 2) as usize % (12 / outputs) };
        let outputs = groups * outputs;
        CachedConv {
            kind: ConvKind::Strided { stride: if seed % 5 < 3 { 1 } else { 2 + (seed / 5 % 3) as usize } },
            weight: weight(&[outputs, inputs, kernel_size], &mut draw),
            bias: (seed % 3 > 0).then(|| weight(&[outputs], &mut draw)),
            dilation,
            left,
            groups,
        }
    })
}

/// What may follow the sum, and the channels of what is added.
fn epilogue() -> impl Strategy<Value = (Option<Pointwise>, usize, bool, usize)> {
    let function = prop_oneof![
        Just(None),
        Just(Some(Pointwise::LeakyRelu { slope: 0.25 })),
        Just(Some(Pointwise::Tanh)),
        Just(Some(Pointwise::Softsign)),
    ];
    (function, 0..3usize, any::<bool>(), 0..4usize)
}

fn weight(shape: &[usize], draw: &mut impl FnMut() -> f32) -> Weight {
    Arc::new(Tensor::new(shape, (0..shape.iter().product()).map(|_| draw()).collect()))
}

/// A ring that holds `frames`, all others NaN.
fn signal(frames: Range<i64>, mirror: usize, channels: usize, in_planes: bool) -> (Ring, Vec<f32>) {
    let ring = Ring::new(0, (frames.end - frames.start).max(1), mirror, channels).unwrap();
    let ring = if in_planes { ring.in_planes().unwrap() } else { ring };
    let mut own = vec![f32::NAN; ring.len()];
    for frame in frames.clone() {
        let row: Vec<_> = (0..channels).map(|c| value(frame, c)).collect();
        put(ring, &mut own, frame, &row);
    }
    ring.reflect(&mut own, frames);
    (ring, own)
}

fn put(ring: Ring, own: &mut [f32], frame: i64, row: &[f32]) {
    for ((ring, start), values) in ring.each_plane().zip(row.chunks(ring.row_len())) {
        ring.row_mut(&mut own[start..], frame).copy_from_slice(values);
    }
}

fn row(ring: Ring, own: &[f32], frame: i64) -> Vec<f32> {
    ring.each_plane().flat_map(|(ring, start)| ring.row(&own[start..], frame).to_vec()).collect()
}

proptest! {
    #[test]
    fn planes_give_the_bits_of_rows(
        conv in conv(), (function, addend, column, then) in epilogue(), from in -70..70i64, len in 0..150i64, at_once in 1..150i64,
    ) {
        prop_assume!(PlaneConv::fits(&conv, Part::Whole));
        let outputs = conv.out_channels();
        let mut draw = draws(len as u64);
        let function = function.map(Function::Pointwise);
        let epilogue = Epilogue {
            function: function.clone(),
            add: addend > 0,
            column: (addend == 1 && column).then(|| weight(&[outputs], &mut draw)),
            then: match then {
                0 => None,
                1 => Some(Function::Pointwise(Pointwise::Tanh)),
                2 => Some(Function::PRelu { slope: weight(&[outputs], &mut draw) }),
                _ => Some(Function::Affine { scale: weight(&[outputs], &mut draw), offset: weight(&[outputs], &mut draw) }),
            },
        };
        let reads = conv.part_reads(Part::Whole);
        let held = reads.kept(from)..reads.required(from + len).max(reads.kept(from) + 1);
        for isa in Isa::available() {
            let mut outcomes = [false, true].map(|in_planes| {
                let rows = PackedConv::new(&conv, Part::Whole, epilogue.clone(), false, isa);
                let planes = PlaneConv::new(&conv, epilogue.clone(), isa);
                let mirror = if in_planes { planes.input_mirror() } else { rows.input_mirror(64) };
                let (input, input_own) = signal(held.clone(), mirror, conv.groups * conv.group_inputs(), in_planes);
                let width = if addend == 2 { outputs } else { 1 };
                let (added, added_own) = signal(from..from + len, 0, width, in_planes);
                let added = (addend > 0).then_some(Source { ring: added, own: &added_own });
                let input = Source { ring: input, own: &input_own };
                let ring = Ring::new(0, 256, 16, outputs).unwrap();
                let ring = if in_planes { ring.in_planes().unwrap() } else { ring };
                let mut own = vec![0.5; ring.len()];
                let mut n = from;
                while n < from + len {
                    let frames = n..(from + len).min(n + at_once);
                    n = frames.end;
                    if in_planes {
                        planes.run(input, added, ring, &mut own, frames);
                    } else {
                        rows.run(input, None, added, ring, &mut own, frames, 0..rows.panels());
                    }
                }
                (from - 10..from + len + 10).map(|n| bits(&row(ring, &own, n))).collect::<Vec<_>>()
            });
            let planes = outcomes[1].split_off(0);
            prop_assert_eq!(&outcomes[0], &planes, "{:?}", isa);
        }
    }

    #[test]
    fn what_is_no_convolution_gives_the_bits_of_rows(
        op in 0..6usize, channels in 2..17usize, of_one in any::<bool>(), factor in 1..40usize,
        repeats_rows in any::<bool>(), from in -70..70i64, len in 0..150i64, at_once in 1..150i64,
    ) {
        let one = if of_one { 1 } else { channels };
        let (op, widths, outputs) = match op {
            0 => (StreamOp::Slice { start: channels / 2, channels: channels - channels / 2 }, vec![channels], channels - channels / 2),
            1 => (StreamOp::Concat, vec![channels, one, 2], channels + one + 2),
            2 => (StreamOp::Repeat { factor }, vec![channels], channels),
            3 => (StreamOp::Add, vec![channels, one, channels], channels),
            4 => (StreamOp::Mul, vec![one, channels], channels),
            _ => (StreamOp::Max, vec![channels, one], channels),
        };
        let factor = if let StreamOp::Repeat { factor } = op { factor as i64 } else { 1 };
        let held = from.div_euclid(factor)..(from + len).div_euclid(factor) + 1;
        for isa in Isa::available() {
            let kernel = Kernel::new(&op, isa);
            let outcomes = [false, true].map(|in_planes| {
                let reads_planes = in_planes && !(factor > 1 && repeats_rows);
                let inputs: Vec<_> = widths.iter().map(|&width| signal(held.clone(), 0, width, reads_planes)).collect();
                let source = |slot: usize| Source { ring: inputs[slot].0, own: &inputs[slot].1 };
                let ring = Ring::new(0, 256, 16, outputs).unwrap();
                let ring = if in_planes { ring.in_planes().unwrap() } else { ring };
                let mut own = vec![0.5; ring.len()];
                let mut n = from;
                while n < from + len {
                    let frames = n..(from + len).min(n + at_once);
                    n = frames.end;
                    kernel.run(isa, inputs.len(), source, ring, &mut own, Call::untouched(frames, 0..1, &mut []));
                }
                (from - 10..from + len + 10).map(|n| bits(&row(ring, &own, n))).collect::<Vec<_>>()
            });
            prop_assert_eq!(&outcomes[0], &outcomes[1], "{:?}", isa);
        }
    }
}
