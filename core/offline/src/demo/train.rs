//! Training: Adam on crops of synthesized sounds, for the waveform and its spectra together.

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use runnel::sound::{Dice, SAMPLING_RATE, track};

use super::network::Network;
use super::spectrum::Spectra;
use super::weights::{Affine, Weights};
use crate::demo::network::load;

/// Crops per step, and samples of each.
const CROPS: usize = 8;
const CROP: usize = 8192;

const PEAK_RATE: f64 = 2e-3;
const SETTLING_RATE: f64 = 1e-3;
const WARM_UP_STEPS: usize = 100;

/// How the demo model is trained. The same training gives the same weights on the same machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Names the sounds and the initial weights.
    pub seed: u64,
    /// Steps of 8 crops of 8192 samples.
    pub steps: usize,
    /// Steps after those in which half of the crops are quiet or silent: what is left of a hum in silence goes.
    pub settling_steps: usize,
    /// Seconds of sound that the crops are taken from.
    pub pool_seconds: usize,
    /// Weights to go on from; fresh ones when absent.
    pub start: Option<Weights>,
}

impl Training {
    /// The training that made the embedded weights.
    pub fn published() -> Self {
        Self { seed: 20_261_122, steps: 2500, settling_steps: 500, pool_seconds: 600, start: None }
    }
}

/// Where a training stands.
pub struct Progress<'a> {
    /// Steps done.
    pub step: usize,
    /// Steps to do.
    pub steps: usize,
    /// The last step's loss: relative error of the waveform plus spectral distance.
    pub loss: f32,
    /// The last step's signal-to-noise ratio in dB.
    pub snr_db: f32,
    network: &'a Network,
}

impl Progress<'_> {
    /// The weights as they stand.
    pub fn weights(&self) -> Weights {
        self.network.weights()
    }
}

/// Trains the demo model; `progress` is told after every step. The latents of the result have power 1 over sounds of
/// the pool.
pub fn train(training: &Training, mut progress: impl FnMut(&Progress)) -> Weights {
    let device = Device::flex().autodiff();
    let mut network = match &training.start {
        Some(weights) => Network::load(weights, &device),
        None => Network::new(training.seed, &device),
    };
    let spectra = Spectra::new(&device);
    let pool = track(training.seed, training.pool_seconds * SAMPLING_RATE as usize);
    let steps = training.steps + training.settling_steps;

    let mut dice = Dice::new(!training.seed);
    let mut optimizer = AdamConfig::new().with_beta_2(0.99).with_epsilon(1e-8).init();
    let mut fit = |mut network: Network, audio: Tensor<2>, rate: f64, step: usize| {
        let rebuilt = network.decode(network.encode(audio.clone()));
        let error = (rebuilt.clone() - audio.clone()).square().sum();
        let noise_to_signal = (error / (audio.clone().square().sum() + 1e-3)).sqrt();
        let loss = noise_to_signal.clone() + spectra.distance(&rebuilt, &audio);
        let (ratio, value) = (scalar(noise_to_signal), scalar(loss.clone()));
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(rate, network, gradients);
        progress(&Progress { step, steps, loss: value, snr_db: -20.0 * ratio.log10(), network: &network });
        network
    };
    for step in 0..training.steps {
        let audio = batch(&pool, &mut dice, 0.0, &device);
        network = fit(network, audio, PEAK_RATE * schedule(step, training.steps), step + 1);
    }
    if training.steps > 0 {
        let weights = unit_latents(&network, &batch(&pool, &mut dice, 0.0, &device));
        network = Network::load(&weights, &device);
    }
    let mut dice = Dice::new(training.seed.rotate_left(32));
    for step in 0..training.settling_steps {
        let audio = batch(&pool, &mut dice, 0.5, &device);
        let rate = SETTLING_RATE * schedule(step, training.settling_steps);
        network = fit(network, audio, rate, training.steps + step + 1);
    }
    network.weights()
}

/// Crops of the pool at random places and gains, faded at their ends, one after another: `[1, samples]`. A share of
/// them is quiet, some of those silent.
fn batch(pool: &[f32], dice: &mut Dice, quiet: f32, device: &Device) -> Tensor<2> {
    const FADE: usize = 128;
    let mut batch = Vec::with_capacity(CROPS * CROP);
    for _ in 0..CROPS {
        let start = dice.index(pool.len() - CROP);
        let crop = &pool[start..start + CROP];
        let peak = crop.iter().fold(0.05f32, |peak, v| peak.max(v.abs()));
        let mut gain = dice.uniform(0.15, 0.95) / peak;
        if quiet > 0.0 && dice.uniform(0.0, 1.0) < quiet {
            gain *= [0.0, 0.0, 0.01, 0.1][dice.index(4)];
        }
        let fade = |t: usize| (t.min(CROP - 1 - t) as f32 / FADE as f32).min(1.0);
        batch.extend(crop.iter().enumerate().map(|(t, v)| v * gain * fade(t)));
    }
    load(&batch, [1, CROPS * CROP], device)
}

/// Share of the peak rate: rises linearly, then falls along half a cosine.
fn schedule(step: usize, steps: usize) -> f64 {
    let warm = ((step + 1) as f64 / WARM_UP_STEPS as f64).min(1.0);
    let way = step as f64 / steps as f64;
    warm * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * way).cos()))
}

/// The same model with latents of power 1: the encoder's last convolution and the decoder's first share the gains.
fn unit_latents(network: &Network, audio: &Tensor<2>) -> Weights {
    let latents = network.encode(audio.clone());
    let power = latents.square().mean_dim(1);
    let rms: Vec<f32> = crate::signal::values(power).into_iter().map(|p| p.sqrt().max(1e-3)).collect();
    let mut weights = network.weights();
    let Affine { weight, bias } = weights.encode.last_mut().expect("the encoder has layers");
    let (weight, bias) = (std::sync::Arc::make_mut(weight), std::sync::Arc::make_mut(bias));
    let row = weight.len() / rms.len();
    for (latent, rms) in rms.iter().enumerate() {
        weight.data_mut()[latent * row..(latent + 1) * row].iter_mut().for_each(|w| *w /= rms);
        bias.data_mut()[latent] /= rms;
    }
    let first = std::sync::Arc::make_mut(&mut weights.decode[0].weight);
    let kernel_size = first.shape()[2];
    for (i, w) in first.data_mut().iter_mut().enumerate() {
        *w *= rms[i / kernel_size % rms.len()];
    }
    weights
}

fn scalar(tensor: Tensor<1>) -> f32 {
    tensor.into_scalar()
}

#[cfg(test)]
mod tests {
    use runnel::random::Randomness;

    use super::*;
    use crate::demo::recipe::{LATENTS, RATIO};
    use crate::{Backend, Offline, Signal};

    fn short(steps: usize) -> Training {
        Training { seed: 1, steps, settling_steps: steps / 6, pool_seconds: 2, start: None }
    }

    #[test]
    fn the_exported_graph_computes_what_was_trained() {
        let weights = train(&short(2), |_| {});
        let model = weights.model().unwrap();
        let sound = track(2, 40 * RATIO);
        let device = Device::flex();
        let network = Network::load(&weights, &device);
        let latents = network.encode(load(&sound, [1, sound.len()], &device));
        let rebuilt = crate::signal::values(network.decode(latents.clone()));

        let halves = model.latent.unwrap();
        let run = |graph, signal: &Signal| Offline::new(graph, Backend::Flex).run(signal, Randomness::Deterministic);
        let z = run(&halves.encode, &Signal::new(1, sound.clone()));
        assert_eq!((z.channels, z.frames()), (LATENTS, 40));
        near(&z.data, &crate::signal::values(latents));
        near(&run(&halves.decode, &z).data, &rebuilt);
        near(&run(&model.forward, &Signal::new(1, sound)).data, &rebuilt);
    }

    #[test]
    fn training_lowers_the_loss_and_repeats_itself() {
        let run = || {
            let mut losses = vec![];
            let weights = train(&short(12), |progress| losses.push(progress.loss));
            (losses, weights)
        };
        let (losses, weights) = run();
        assert!(losses[11] < 0.9 * losses[0], "{losses:?}");
        assert_eq!(run(), (losses, weights));
    }

    #[test]
    fn weights_survive_their_file_and_others_are_refused() {
        let weights = train(&short(0), |_| {});
        let bytes = weights.to_bytes().unwrap();
        assert_eq!(Weights::from_bytes(&bytes).unwrap(), weights);
        assert!(Weights::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(Weights::from_bytes(b"").is_err());
        let mut other = weights.clone();
        other.encode.swap(0, 1);
        let refusal = Weights::from_bytes(&other.to_bytes().unwrap()).unwrap_err().to_string();
        assert!(refusal.contains("encode.0.weight") && refusal.contains("[24, 1, 32]"), "{refusal}");
    }

    fn near(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
