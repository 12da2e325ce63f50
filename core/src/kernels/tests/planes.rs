//! Convolutions in planes: the bits of rows, whatever follows the sum and however the frames are cut into calls.

use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;

use super::conv::{bits, draws, value};
use crate::graph::Pointwise;
use crate::kernels::{Epilogue, Function, Isa, PackedConv, PlaneConv, Source};
use crate::plan::Ring;
use crate::stream::{CachedConv, ConvKind, Part};
use crate::tensor::{Tensor, Weight};

/// Convolutions that may lie in planes.
fn conv() -> impl Strategy<Value = CachedConv> {
    let sizes = (prop_oneof![Just(1usize), 1..13usize], prop_oneof![Just(1usize), 1..13usize], 1..9usize);
    (sizes, 1..30usize, 0..9i64, any::<u64>()).prop_map(|((inputs, outputs, kernel_size), dilation, left, seed)| {
        let mut draw = draws(seed);
        CachedConv {
            kind: ConvKind::Strided { stride: 1 },
            weight: weight(&[outputs, inputs, kernel_size], &mut draw),
            bias: (seed % 3 > 0).then(|| weight(&[outputs], &mut draw)),
            dilation,
            left,
            groups: 1,
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
    for ((ring, start), values) in ring.each_plane().zip(row.chunks(ring.channels / ring.planes())) {
        ring.row_mut(&mut own[start..], frame).copy_from_slice(values);
    }
}

fn row(ring: Ring, own: &[f32], frame: i64) -> Vec<f32> {
    ring.each_plane().flat_map(|(ring, start)| ring.row(&own[start..], frame).to_vec()).collect()
}

proptest! {
    #[test]
    fn planes_give_the_bits_of_rows(
        conv in conv(), (function, addend, column, then) in epilogue(), from in -70..70i64, len in 0..90i64, at_once in 1..70i64,
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
                let (input, input_own) = signal(held.clone(), mirror, conv.group_inputs(), in_planes);
                let width = if addend == 2 { outputs } else { 1 };
                let (added, added_own) = signal(from..from + len, 0, width, in_planes);
                let added = (addend > 0).then_some(Source { ring: added, own: &added_own });
                let input = Source { ring: input, own: &input_own };
                let ring = Ring::new(0, 128, 16, outputs).unwrap();
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
}
