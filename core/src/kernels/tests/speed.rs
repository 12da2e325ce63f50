//! How fast convolutions are: `cargo test --release -p runnel --lib speed -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use crate::kernels::{Epilogue, Isa, PackedConv, Source};
use crate::plan::Ring;
use crate::stream::{CachedConv, ConvKind, Part};
use crate::tensor::Tensor;

#[test]
#[ignore = "a measurement"]
fn convolutions() {
    let strided = |stride| ConvKind::Strided { stride };
    let transposed = |stride| ConvKind::Transposed { stride };
    type Shape<'a> = (ConvKind, usize, usize, usize, usize, usize, &'a [i64]);
    let shapes: &[Shape<'_>] = &[
        (strided(1), 16, 96, 7, 1, 1, &[4, 16]),
        (strided(1), 96, 96, 3, 1, 1, &[4, 8, 16]),
        (strided(1), 96, 96, 3, 9, 1, &[4, 8, 16]),
        (strided(1), 96, 96, 1, 1, 1, &[4, 8, 16]),
        (strided(4), 96, 192, 8, 1, 1, &[4]),
        (strided(1), 192, 192, 3, 1, 1, &[1, 4, 8]),
        (strided(1), 384, 384, 3, 1, 1, &[1, 2, 8]),
        (strided(1), 768, 768, 3, 1, 1, &[1, 2, 3]),
        (strided(2), 768, 1536, 4, 1, 1, &[1]),
        (transposed(2), 1536, 768, 4, 1, 1, &[2]),
        (transposed(4), 192, 96, 8, 1, 1, &[4, 16, 32]),
        (strided(16), 1, 16, 400, 1, 1, &[4, 16]),
        (ConvKind::Subpixel { factor: 16 }, 16, 1, 25, 1, 1, &[16, 64, 256]),
        (strided(1), 32, 32, 13, 10, 1, &[4, 64]),
        (strided(1), 8, 8, 3, 1, 1, &[1, 16, 64]),
        (strided(1), 16, 16, 3, 2, 1, &[1, 16, 64]),
        (strided(1), 64, 64, 3, 1, 1, &[1, 16, 64]),
        (strided(1), 64, 1, 7, 1, 1, &[4, 64]),
        (strided(1), 64, 64, 3, 1, 64, &[4, 64]),
    ];
    let chosen = std::env::var("SETS").unwrap_or_default();
    for isa in Isa::available().into_iter().filter(|isa| chosen.is_empty() || chosen.contains(&isa.name().to_string()))
    {
        for &(kind, inputs, outputs, kernel_size, dilation, groups, frames) in shapes {
            let shape = match kind {
                ConvKind::Strided { .. } => [outputs, inputs / groups, kernel_size],
                ConvKind::Subpixel { factor } => [outputs * factor, inputs / groups, kernel_size],
                ConvKind::Transposed { .. } => [inputs, outputs / groups, kernel_size],
            };
            let len: usize = shape.iter().product();
            let weight = (0..len).map(|i| ((i * 7919) % 1024) as f32 / 1024.0 - 0.5).collect();
            let conv = CachedConv {
                kind,
                weight: Arc::new(Tensor::new(shape, weight)),
                bias: None,
                dilation,
                left: 2,
                groups,
            };
            for half in [false, true] {
                let pack = || PackedConv::new(&conv, Part::Whole, Epilogue::default(), half, isa);
                let timed = |_| {
                    let start = Instant::now();
                    drop(pack());
                    start.elapsed().as_secs_f64()
                };
                let packing = (0..5).map(timed).fold(f64::INFINITY, f64::min);
                let packed = pack();
                for &frames in frames {
                    let seconds = seconds_per_call(&packed, &conv, frames);
                    let macs = conv.macs_per_frame() * frames as f64;
                    println!(
                        "{:8} {kind:?} {inputs}->{outputs} k{kernel_size} d{dilation} g{groups} T={frames:<3} half={half:<5} {:7.1} GMAC/s {:6.1} GB/s {:8.2} us, packed {:.2} ns/weight",
                        isa.name(),
                        macs / seconds / 1e9,
                        packed.weight_bytes() as f64 / seconds / 1e9,
                        seconds * 1e6,
                        packing / len as f64 * 1e9
                    );
                }
                if frames[0] > 4 {
                    break;
                }
            }
        }
    }
}

fn seconds_per_call(packed: &PackedConv, conv: &CachedConv, frames: i64) -> f64 {
    let stride = if let ConvKind::Strided { stride } = conv.kind { stride as i64 } else { 1 };
    let input = Ring::new(0, 1024 * stride, packed.input_mirror(64), conv.groups * conv.group_inputs()).unwrap();
    let values = vec![0.5; input.len()];
    let ring = Ring::new(0, 512, 0, conv.out_channels()).unwrap();
    let mut own = vec![0.0; ring.len()];
    let calls = (2e6 / (conv.macs_per_frame() * frames as f64)).max(1.0) as i64;
    let mut best = f64::INFINITY;
    for _ in 0..40 {
        let start = Instant::now();
        for call in 0..calls {
            let n = call % 64 * frames;
            packed.run(
                Source { ring: input, own: &values },
                None,
                None,
                ring,
                &mut own,
                n..n + frames,
                0..packed.panels(),
            );
        }
        best = best.min(start.elapsed().as_secs_f64() / calls as f64);
    }
    best
}
