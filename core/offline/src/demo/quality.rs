//! Quality: how near a model's reconstruction comes to what it was given.

use runnel::graph::Op;
use runnel::random::Randomness;
use runnel::sound::{Kind, SAMPLING_RATE, mix};
use runnel::{Graph, Tensor, Weight};

use crate::{Backend, Offline, Signal};

/// Reconstruction error on sounds of one family, or of all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Power of the sound over power of the error.
    pub snr_db: f64,
    /// Root-mean-square difference of the two log spectra over bins, mean over frames (1024 samples, hop 256; power
    /// below −70 dB of a full-scale sine counts as that).
    pub log_spectral_distance_db: f64,
}

/// The quality of `forward`, an autoencoder of mono audio at 44100 Hz, on `seconds` of every family and of all mixed
/// (`None`), drawn from `seed`.
pub fn judge(forward: &Graph, seed: u64, seconds: usize) -> Vec<(Option<Kind>, Quality)> {
    let model = Offline::new(forward, Backend::Flex);
    let samples = seconds * SAMPLING_RATE as usize;
    let of = |kinds: &[Kind]| {
        let sound = Signal::new(1, mix(seed, samples, kinds));
        let rebuilt = model.run(&sound, Randomness::Deterministic);
        quality(sound.row(0), &rebuilt.row(0)[..samples])
    };
    let families = Kind::ALL.into_iter().map(|kind| (Some(kind), of(&[kind])));
    families.chain([(None, of(&Kind::ALL))]).collect()
}

fn quality(sound: &[f32], rebuilt: &[f32]) -> Quality {
    let power = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>();
    let signal = power(&mut sound.iter().map(|&v| f64::from(v)));
    let noise = power(&mut sound.iter().zip(rebuilt).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    let (a, b) = (log_spectra(sound), log_spectra(rebuilt));
    let frames = a.frames();
    let distance = |t: usize| {
        let squares = (0..a.channels).map(|bin| f64::from(a.row(bin)[t] - b.row(bin)[t]).powi(2));
        (squares.sum::<f64>() / a.channels as f64).sqrt()
    };
    Quality {
        snr_db: 10.0 * (signal / noise).log10(),
        log_spectral_distance_db: (0..frames).map(distance).sum::<f64>() / frames as f64,
    }
}

/// Power spectra in dB of a full-scale sine's, with a floor.
fn log_spectra(audio: &[f32]) -> Signal {
    const SIZE: usize = 1024;
    const FLOOR: f32 = 1e-7;
    // A sine of amplitude 1 has power 1 in its bin.
    let hann = |t: usize| (0.5 - 0.5 * (std::f32::consts::TAU * t as f32 / SIZE as f32).cos()) * 4.0 / SIZE as f32;
    let window = Weight::new(Tensor::new([SIZE], (0..SIZE).map(hann).collect()));
    let mut graph = Graph::new(1);
    let op = Op::PowerSpectrum { window, hop: SIZE / 4, left: SIZE / 2 };
    graph.push("spectrum", op, &[0]).expect("a window of even size");
    let audio = Signal::new(1, audio.to_vec());
    let mut spectra = Offline::new(&graph, Backend::Flex).run(&audio, Randomness::Deterministic);
    spectra.data.iter_mut().for_each(|p| *p = 10.0 * p.max(FLOOR).log10());
    spectra
}
