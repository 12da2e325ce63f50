//! Every kernel against its textbook form, for every instruction set of this machine.

use std::sync::Arc;

use proptest::prelude::*;

use super::conv::PackedConv;
use super::isa::Isa;
use super::{Source, angles};
use crate::plan::Ring;
use crate::stream::{CachedConv, ConvKind};
use crate::tensor::Tensor;

fn conv() -> impl Strategy<Value = CachedConv> {
    let kind = prop_oneof![
        (1..5usize).prop_map(|stride| ConvKind::Strided { stride }),
        (1..5usize).prop_map(|stride| ConvKind::Transposed { stride }),
        (1..5usize).prop_map(|factor| ConvKind::Subpixel { factor }),
    ];
    (kind, 1..4usize, 1..20usize, 1..40usize, 1..8usize, 1..4usize, 0..5i64, any::<u64>()).prop_map(
        |(kind, groups, group_inputs, group_outputs, kernel_size, dilation, left, seed)| {
            let mut state = seed | 1;
            let mut draw = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0
            };
            let outputs = groups * group_outputs;
            let (shape, biases) = match kind {
                ConvKind::Strided { .. } => ([outputs, group_inputs, kernel_size], outputs),
                ConvKind::Subpixel { factor } => ([outputs * factor, group_inputs, kernel_size], outputs * factor),
                ConvKind::Transposed { .. } => ([groups * group_inputs, group_outputs, kernel_size], outputs),
            };
            let len = shape.iter().product();
            CachedConv {
                kind,
                weight: Arc::new(Tensor::new(shape, (0..len).map(|_| draw()).collect())),
                bias: Some(Arc::new(Tensor::new([biases], (0..biases).map(|_| draw()).collect()))),
                dilation: if matches!(kind, ConvKind::Transposed { .. }) { 1 } else { dilation },
                left,
                groups,
            }
        },
    )
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

fn sets() -> Vec<Isa> {
    if Isa::best() == Isa::Portable { vec![Isa::Portable] } else { vec![Isa::Portable, Isa::best()] }
}

proptest! {
    #[test]
    fn convolution_is_the_textbook_sum(conv in conv(), from in -9..9i64, len in 0..14i64) {
        let channels = conv.groups * conv.group_inputs();
        let value = |frame: i64, c: usize| (((frame * 31 + c as i64 * 17) % 23) as f32 / 11.0).sin();
        let input_ring = Ring::new(0, 256, channels).unwrap();
        let mut input = vec![f32::NAN; input_ring.len()];
        for frame in -128..128 {
            input_ring.row_mut(&mut input, frame).iter_mut().enumerate().for_each(|(c, v)| *v = value(frame, c));
        }
        let ring = Ring::new(0, 16, conv.out_channels()).unwrap();
        for isa in sets() {
            let mut own = vec![f32::NAN; ring.len()];
            let packed = PackedConv::new(&conv, isa);
            packed.run(Source { ring: input_ring, own: &input }, ring, &mut own, from..from + len);
            for n in from..from + len {
                for (out, y) in ring.row(&own, n).iter().enumerate() {
                    let expected = textbook(&conv, value, n, out);
                    prop_assert!((f64::from(*y) - expected).abs() < 1e-4, "{isa:?} frame {n} channel {out}: {y} {expected}");
                }
            }
        }
    }

    #[test]
    fn angles_are_undone(x in prop::collection::vec(-1.0f32..1.0, 2..20)) {
        let norm = x.iter().map(|v| v * v).sum::<f32>().sqrt();
        prop_assume!(norm > 1e-3);
        let mut turns = vec![0.0; x.len() - 1];
        let mut back = vec![0.0; x.len()];
        angles::to_angles(&x, &mut turns);
        angles::from_angles(&turns, &mut back);
        for (x, back) in x.iter().zip(&back) {
            prop_assert!((x / norm - back).abs() < 1e-5);
        }
    }
}

#[test]
fn a_zero_vector_has_angles() {
    let mut turns = [f32::NAN; 3];
    angles::to_angles(&[0.0; 4], &mut turns);
    assert_eq!(turns, [-1.0; 3]);
}
