use std::f64::consts::TAU;

use nice_assert_no_alloc::assert_no_alloc;
use proptest::prelude::*;
use rtrb::RingBuffer;
use runnel::Learning;

use super::*;
use crate::params::LATENTS;
use crate::params::{Latency, Mode};
use crate::test_models::{autoencoder_stream, learner_stream, lookahead, steered_stream};

mod prior;

const STEREO: Format = Format { sampling_rate: 48_000, inputs: 2, outputs: 2 };
const MONO: Format = Format { sampling_rate: 48_000, inputs: 1, outputs: 1 };

/// A path and the loader's ends of its queues.
struct Rig {
    path: AudioPath,
    format: Format,
    outgoing: Producer<Box<Stage>>,
    returned: Consumer<Box<Stage>>,
    mix: f32,
    input_gain: f32,
    output_gain: f32,
    bypassed: bool,
    limited: bool,
    gated: bool,
    hands: Hands,
}

impl Rig {
    fn empty(format: Format) -> Self {
        let (outgoing, incoming) = RingBuffer::new(2);
        let (retired, returned) = RingBuffer::new(2);
        let path = AudioPath::new(format, Exchange { incoming, retired }, Arc::default());
        Self {
            path,
            format,
            outgoing,
            returned,
            mix: 1.0,
            input_gain: 1.0,
            output_gain: 1.0,
            bypassed: false,
            limited: false,
            gated: false,
            hands: Hands::default(),
        }
    }

    fn playing(format: Format, model: &LoadedModel) -> Self {
        let mut rig = Self::empty(format);
        rig.path.install(Box::new(Stage::new(1, Setup::plain(format), Some(model))));
        rig
    }

    /// Plays `input`, one signal for each channel, in blocks of these sizes, again and again.
    fn play(&mut self, input: &[Vec<f32>], blocks: &[usize]) -> Vec<Vec<f32>> {
        let mut buffers = input.to_vec();
        buffers.resize(self.format.outputs, vec![0.0; input[0].len()]);
        let (mut at, mut sizes) = (0, blocks.iter().cycle());
        while at < input[0].len() {
            let frames = (*sizes.next().unwrap()).min(input[0].len() - at);
            let mut channels: Vec<&mut [f32]> = buffers.iter_mut().map(|b| &mut b[at..at + frames]).collect();
            for start in (0..frames).step_by(CHUNK) {
                let range = start..frames.min(start + CHUNK);
                let level = |value| [value; CHUNK];
                let (mix, input_gain, output_gain) = (level(self.mix), level(self.input_gain), level(self.output_gain));
                let controls = Controls {
                    mix: &mix[..range.len()],
                    input_gain: &input_gain[..range.len()],
                    output_gain: &output_gain[..range.len()],
                    bypassed: self.bypassed,
                    limited: self.limited,
                    gated: self.gated,
                    hands: &self.hands,
                };
                assert_no_alloc(|| self.path.process(&mut channels, range, controls));
            }
            at += frames;
        }
        buffers
    }
}

fn sine(hertz: f64, format: Format, frames: usize) -> Vec<f32> {
    let step = TAU * hertz / f64::from(format.sampling_rate);
    (0..frames).map(|i| 0.5 * (step * i as f64).sin() as f32).collect()
}

/// Reproducible noise.
fn noise(frames: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..frames).map(|_| next()).collect()
}

fn steepest(signal: &[f32]) -> f32 {
    signal.windows(2).fold(0.0, |most, pair| most.max((pair[1] - pair[0]).abs()))
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

#[test]
fn blocks_do_not_matter() {
    let input = [noise(20_000, 1), noise(20_000, 2)];
    for rate in [48_000, 44_100] {
        let model = lookahead(700, 1, rate);
        let whole = Rig::playing(STEREO, &model).play(&input, &[20_000]);
        for blocks in [&[1][..], &[7], &[64], &[441], &[512], &[1023], &[4096], &[1, 3000, 17]] {
            let cut = Rig::playing(STEREO, &model).play(&input, blocks);
            assert!(cut == whole, "model at {rate} Hz, blocks of {blocks:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_partition_gives_the_same_bits(
        blocks in prop::collection::vec(1usize..3000, 1..20),
        rates in prop::sample::select(vec![(44_100, 48_000), (48_000, 44_100), (22_050, 96_000), (48_000, 48_000)]),
        ahead in 0usize..900,
    ) {
        let format = Format { sampling_rate: rates.1, ..STEREO };
        let model = lookahead(ahead, 2, rates.0);
        let input = [noise(9000, 3), noise(9000, 4)];
        let whole = Rig::playing(format, &model).play(&input, &[9000]);
        prop_assert!(Rig::playing(format, &model).play(&input, &blocks) == whole);
    }
}

#[test]
fn the_latency_told_is_the_latency_measured() {
    let cases =
        [(44_100, 44_100), (44_100, 48_000), (48_000, 44_100), (44_100, 192_000), (44_100, 22_050), (16_000, 48_000)];
    for (model_rate, host_rate) in cases {
        let format = Format { sampling_rate: host_rate, ..MONO };
        let mut rig = Rig::playing(format, &lookahead(300, 1, model_rate));
        let told = rig.path.latency_samples();
        let at = 1000;
        let mut impulse = vec![0.0; at + 2 * told + 1000];
        impulse[at] = 1.0;
        let heard = rig.play(&[impulse], &[512]).remove(0);
        let peak = (0..heard.len()).max_by(|&a, &b| heard[a].abs().total_cmp(&heard[b].abs())).unwrap();
        assert_eq!(peak, at + told, "{model_rate} Hz model, {host_rate} Hz host");
        // A response that lies between two samples would lean to one side.
        for i in 1..200 {
            let lean = (heard[peak - i] - heard[peak + i]).abs();
            assert!(lean < 2e-3, "{model_rate} Hz model, {host_rate} Hz host: {lean} at ±{i}");
        }
        // No resampler waits where one rate is a multiple of the model's.
        if host_rate.is_multiple_of(model_rate) {
            assert_eq!(told, 300 * (host_rate / model_rate) as usize);
        }
    }
}

#[test]
fn dry_and_wet_are_aligned() {
    for (model_rate, host_rate) in
        [(44_100, 44_100), (44_100, 48_000), (48_000, 44_100), (44_100, 96_000), (32_000, 48_000)]
    {
        let format = Format { sampling_rate: host_rate, ..MONO };
        let model = lookahead(1234, 1, model_rate);
        let input = [sine(1000.0, format, 30_000)];
        let wet = Rig::playing(format, &model).play(&input, &[512]).remove(0);
        let mut rig = Rig::playing(format, &model);
        rig.mix = 0.0;
        let dry = rig.play(&input, &[512]).remove(0);
        let late = rig.path.latency_samples();
        assert!(
            dry[..late].iter().all(|&x| x == 0.0) && dry[late..] == input[0][..30_000 - late],
            "dry at {host_rate} Hz"
        );
        let settled = late + 2000..;
        let error = difference(&wet[settled.clone()], &dry[settled]);
        assert!(error < 1e-5, "{model_rate} Hz model, {host_rate} Hz host: {error}");
    }
}

#[test]
fn without_a_model_the_input_passes() {
    let mut rig = Rig::empty(STEREO);
    let input = [noise(5000, 1), noise(5000, 2)];
    assert!(rig.play(&input, &[333]) == input);
    assert_eq!(rig.path.latency_samples(), 0);
}

/// Plays a sine of 100 Hz, period 480, while models of these latencies follow each other; input and output.
fn change_models(latencies: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let segment = 13_337;
    let input = sine(100.0, MONO, segment * (latencies.len() + 1));
    let mut rig = Rig::empty(MONO);
    let mut heard = rig.play(&[input[..segment].to_vec()], &[441]).remove(0);
    for (i, &ahead) in latencies.iter().enumerate() {
        let model = (ahead > 0).then(|| lookahead(ahead, 1, 48_000));
        rig.outgoing.push(Box::new(Stage::new(i as u64 + 1, Setup::plain(MONO), model.as_ref()))).unwrap();
        heard.extend(rig.play(&[input[(i + 1) * segment..][..segment].to_vec()], &[441]).remove(0));
        assert_eq!(rig.path.latency_samples(), ahead);
        assert!(rig.returned.pop().is_ok(), "the old stage comes back");
    }
    (input, heard)
}

#[test]
fn models_change_without_a_click() {
    let (input, heard) = change_models(&[1000, 3100, 0]);
    let (jump, smooth) = (steepest(&heard), steepest(&input));
    assert!(jump < 1.25 * smooth, "{jump}, the input has {smooth}");
}

#[test]
fn models_change_without_a_gap() {
    // Latencies of whole periods: the output is the input all along, were it not for a gap.
    let (input, heard) = change_models(&[960, 2880, 0]);
    let error = difference(&heard, &input);
    assert!(error < 1e-5, "{error}");
}

#[test]
fn only_newer_stages_of_this_format_are_played() {
    let mut rig = Rig::playing(MONO, &lookahead(10, 1, 48_000));
    rig.outgoing.push(Box::new(Stage::new(1, Setup::plain(MONO), None))).unwrap();
    rig.outgoing.push(Box::new(Stage::new(2, Setup::plain(STEREO), None))).unwrap();
    rig.play(&[sine(100.0, MONO, 5000)], &[64]);
    assert_eq!(rig.path.latency_samples(), 10);
    assert!(rig.returned.pop().is_ok() && rig.returned.pop().is_ok());
}

#[test]
fn a_full_queue_to_the_loader_loses_nothing() {
    let mut rig = Rig::empty(MONO);
    let input = [sine(100.0, MONO, 3000)];
    for serial in 1..=6 {
        rig.outgoing
            .push(Box::new(Stage::new(serial, Setup::plain(MONO), None)))
            .unwrap_or_else(|_| panic!("stage {serial}"));
        rig.play(&input, &[64]);
        if serial > 3 {
            rig.returned.pop().unwrap();
            rig.play(&input, &[64]);
        }
    }
    assert_eq!(rig.path.current.serial, 6);
}

#[test]
fn bypass_is_the_input_late_and_fades() {
    let model = lookahead(500, 1, 48_000);
    let input = [sine(100.0, MONO, 20_000)];
    let mut rig = Rig::playing(MONO, &model);
    rig.output_gain = 0.25;
    let before = rig.play(&input, &[64]).remove(0);
    rig.bypassed = true;
    let after = rig.play(&input, &[64]).remove(0);
    let whole = [before, after].concat();
    assert!(whole[21_500..] == input[0][1000..19_500], "nothing but the latency is left");
    // The sine itself breaks where the second play begins.
    assert!(steepest(&whole[..20_400]) < steepest(&input[0]) * 1.05);
}

#[test]
fn reset_forgets() {
    let model = lookahead(500, 1, 44_100);
    let input = [noise(8000, 1)];
    let mut rig = Rig::playing(MONO, &model);
    let first = rig.play(&input, &[64]);
    rig.path.reset();
    assert!(rig.play(&input, &[64]) == first);
}

#[test]
fn reset_in_a_change_ends_it() {
    let mut rig = Rig::empty(MONO);
    rig.outgoing.push(Box::new(Stage::new(1, Setup::plain(MONO), Some(&lookahead(5000, 1, 48_000))))).unwrap();
    rig.play(&[noise(100, 1)], &[64]);
    assert_eq!(rig.path.latency_samples(), 0);
    assert_no_alloc(|| rig.path.reset());
    assert_eq!(rig.path.latency_samples(), 5000);
    assert!(rig.returned.pop().is_ok());
}

#[test]
fn what_is_no_number_does_not_stay() {
    for rate in [48_000, 44_100] {
        let mut rig = Rig::playing(MONO, &lookahead(100, 1, rate));
        let mut input = noise(4000, 1);
        (input[10], input[11], input[12], input[13]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40);
        let heard = rig.play(&[input], &[64]).remove(0);
        assert!(heard.iter().all(|y| y.is_finite()));
    }
}

#[test]
fn channels_find_their_way() {
    let (left, right) = (noise(2000, 1), noise(2000, 2));
    let (mono_model, stereo_model) = (lookahead(0, 1, 48_000), lookahead(0, 2, 48_000));
    let mono_to_stereo = Format { outputs: 2, ..MONO };
    let stereo_input = [left.clone(), right.clone()];
    for model in [&mono_model, &stereo_model] {
        assert!(Rig::playing(STEREO, model).play(&stereo_input, &[64]) == stereo_input);
        let heard = Rig::playing(mono_to_stereo, model).play(std::slice::from_ref(&left), &[64]);
        assert!(heard == [left.clone(), left.clone()]);
        assert!(Rig::playing(MONO, model).play(std::slice::from_ref(&left), &[64]) == [left.clone()]);
    }
}

#[test]
fn gains_are_where_they_say() {
    let input = [noise(500, 1)];
    let mut rig = Rig::playing(MONO, &lookahead(0, 1, 48_000));
    (rig.mix, rig.input_gain, rig.output_gain) = (0.5, 4.0, 0.5);
    let heard = rig.play(&input, &[64]);
    // Half the dry, half of four times the input, then half of all.
    let expected: Vec<f32> = input[0].iter().map(|x| 1.25 * x).collect();
    assert!(difference(&heard[0], &expected) < 1e-6);
}

/// A gain of the model's own, −2 to 10 with 1 as its default, is reached through the host's first parameter: in the
/// host's call, on a thread of its own, and in whatever blocks.
#[test]
fn a_parameter_of_the_model_is_steered() {
    let model = LoadedModel::new(&steered_stream(48_000), Mode::Forward, Latency::Least).unwrap();
    assert_eq!(model.steered().into_iter().map(|s| s.name).collect::<Vec<_>>(), ["Gain"]);
    let input = [noise(24_000, 1), noise(24_000, 2)];
    let mut hands = Hands::default();
    assert!(Rig::playing(STEREO, &model).play(&input, &[512]) == input, "a new instance plays the default");
    // Beyond the model's count it is inert.
    hands.steering = [1.0, 0.0, 0.3, 1.0, 0.1, 0.9, 0.0, 1.0];
    let play = |blocks: &[usize], own_thread: Option<usize>| {
        let mut rig = Rig::empty(STEREO);
        rig.path.install(Box::new(Stage::new(1, Setup { own_thread, ..Setup::plain(STEREO) }, Some(&model))));
        rig.path.set_offline(true);
        rig.hands = hands;
        rig.play(&input, blocks)
    };
    let whole = play(&[24_000], None);
    let tenfold: Vec<_> = input[0].iter().map(|x| 10.0 * x).collect();
    assert!(difference(&whole[0], &tenfold) < 1e-5);
    for blocks in [&[1][..], &[441], &[7, 900, 33]] {
        assert!(play(blocks, None) == whole, "{blocks:?}");
    }
    let elsewhere = play(&[512], Some(512));
    let late = elsewhere[0].iter().position(|y| *y != 0.0).unwrap();
    assert!(late > 0 && elsewhere[0][late..] == whole[0][..24_000 - late], "the same, {late} samples late");
}

/// What moves, moves smoothly, from look to look.
#[test]
fn a_parameter_of_the_model_moves_smoothly() {
    let model = LoadedModel::new(&steered_stream(48_000), Mode::Forward, Latency::Least).unwrap();
    let mut rig = Rig::playing(MONO, &model);
    let steady = [vec![1.0; 9_600]];
    rig.play(&steady, &[480]);
    rig.hands.steering[0] = 1.0;
    let moved = rig.play(&steady, &[480]);
    assert!(steepest(&moved[0]) < 1.0, "{}", steepest(&moved[0]));
    assert!((moved[0][9_599] - 10.0).abs() < 1e-3, "{}", moved[0][9_599]);
}

fn autoencoder(mode: Mode, latency: Latency) -> LoadedModel {
    LoadedModel::new(&autoencoder_stream(48_000), mode, latency).unwrap()
}

#[test]
fn movements_of_the_hands_do_not_depend_on_blocks() {
    let model = autoencoder(Mode::Forward, Latency::Balanced);
    let moved = Hands { bias: [0.7; LATENTS], scale: [1.5; LATENTS], jitter: 0.4, seed: 5, ..Hands::default() };
    let input = [noise(24_000, 1), noise(24_000, 2)];
    let play = |blocks: &[usize]| {
        let mut rig = Rig::playing(STEREO, &model);
        // A movement in the middle, and nothing held.
        let halves = |from: usize| [input[0][from..from + 12_000].to_vec(), input[1][from..from + 12_000].to_vec()];
        let mut out = rig.play(&halves(0), blocks);
        rig.hands = moved;
        let rest = rig.play(&halves(12_000), blocks);
        out.iter_mut().zip(rest).for_each(|(out, rest)| out.extend(rest));
        out
    };
    let whole = play(&[12_000]);
    let untouched = Rig::playing(STEREO, &model).play(&input, &[12_000]);
    assert!(whole[0][12_000..] != untouched[0][12_000..], "the hands reach the latents");
    assert!(whole[0][..12_000] == untouched[0][..12_000]);
    for blocks in [&[1][..], &[64], &[441], &[7, 900, 33]] {
        assert!(play(blocks) == whole, "{blocks:?}");
    }
}

/// As [`autoencoder`], of a model that learns, with a memory of its own.
fn learner() -> LoadedModel {
    LoadedModel::new(&learner_stream(48_000), Mode::Forward, Latency::Balanced).unwrap()
}

/// What a player asks a model that learns for, from sample to sample.
fn lessons() -> [(usize, Hands); 6] {
    let hands = Hands::default();
    [
        (3_000, Hands { learning: Learning::Target, ..hands }),
        (4_001, Hands { learning: Learning::Source, ..hands }),
        (3_333, hands),
        (2_000, Hands { forgets_target: true, ..hands }),
        (2_500, Hands { learning: Learning::Target, forgets_target: true, ..hands }),
        (4_000, hands),
    ]
}

/// Two noises, one louder than the other, through the lessons in blocks of these sizes.
fn through_lessons(rig: &mut Rig, blocks: &[usize]) -> Vec<Vec<f32>> {
    let mut heard = vec![vec![]; 2];
    for (number, (frames, hands)) in lessons().into_iter().enumerate() {
        rig.hands = hands;
        let seed = number as u32;
        let quiet = noise(frames, 100 + seed).iter().map(|x| 0.1 * x * (1.0 + seed as f32)).collect();
        let out = rig.play(&[noise(frames, seed), quiet], blocks);
        heard.iter_mut().zip(out).for_each(|(heard, out)| heard.extend(out));
    }
    heard
}

#[test]
fn learning_does_not_depend_on_blocks() {
    let play = |blocks: &[usize]| {
        let model = learner();
        through_lessons(&mut Rig::playing(STEREO, &model), blocks)
    };
    let whole = play(&[5_000]);
    let mut rig = Rig::playing(STEREO, &learner());
    let unlearned: Vec<_> = lessons().iter().enumerate().map(|(i, (frames, _))| noise(*frames, i as u32)).collect();
    let unlearned = rig.play(&[unlearned.concat(), vec![0.0; whole[0].len()]], &[5_000]);
    assert!(whole[0][..3_000] == unlearned[0][..3_000], "what learns a target passes as it is");
    assert!(difference(&whole[0][8_000..10_000], &unlearned[0][8_000..10_000]) > 0.01, "both carry over");
    assert!(whole[0][10_500..12_300] == unlearned[0][10_500..12_300], "a forgotten target carries nothing");
    assert!(difference(&whole[0][16_000..], &unlearned[0][16_000..]) > 0.01, "what is held down forgets once");
    for blocks in [&[1][..], &[64], &[441], &[7, 900, 33]] {
        assert!(play(blocks) == whole, "{blocks:?}");
    }
}

#[test]
fn a_model_on_its_own_thread_learns_the_same() {
    let here = through_lessons(&mut Rig::playing(STEREO, &learner()), &[480]);
    let mut rig = Rig::empty(STEREO);
    let setup = Setup { own_thread: Some(512), ..Setup::plain(STEREO) };
    rig.path.install(Box::new(Stage::new(1, setup, Some(&learner()))));
    rig.path.set_offline(true);
    let late = rig.path.latency_samples() - Rig::playing(STEREO, &learner()).path.latency_samples();
    let there = through_lessons(&mut rig, &[480]);
    assert!(there[0][late..] == here[0][..here[0].len() - late]);
    assert!(there[1][late..] == here[1][..here[1].len() - late]);
}

#[test]
fn the_next_stage_knows_what_this_one_learned() {
    let model = learner();
    let mut rig = Rig::playing(STEREO, &model);
    rig.hands.learning = Learning::Target;
    rig.play(&[noise(3_000, 1), noise(3_000, 2)], &[512]);
    rig.hands.learning = Learning::Source;
    rig.play(&[noise(3_000, 3), vec![0.25; 3_000]], &[512]);
    rig.hands.learning = Learning::Off;
    rig.play(&[noise(500, 3), noise(500, 4)], &[512]);
    rig.path.reset();
    let input = [noise(3_000, 5), noise(3_000, 6)];
    let first = rig.play(&input, &[512]);
    let second = Rig::playing(STEREO, &model).play(&input, &[64]);
    assert!(first == second, "what was learned stays over a reset and a change of stages");
    assert!(Rig::playing(STEREO, &learner()).play(&input, &[512]) != first);
}

#[test]
fn what_is_frozen_stays() {
    let mut rig = Rig::playing(MONO, &autoencoder(Mode::Forward, Latency::Least));
    rig.play(&[noise(10_000, 1)], &[256]);
    rig.hands.frozen = true;
    rig.play(&[noise(1_000, 2)], &[256]);
    let held = rig.play(&[noise(6_400, 3)], &[256]);
    assert!(held[0].iter().any(|x| *x != 0.0));
    assert!(held[0][..3_200] == held[0][3_200..], "64 samples repeat");
}

#[test]
fn a_decoder_plays_without_input() {
    let mut rig = Rig::playing(MONO, &autoencoder(Mode::Play, Latency::Balanced));
    let silence = vec![0.0; 8_000];
    assert!(rig.play(std::slice::from_ref(&silence), &[500])[0].iter().all(|x| *x == 0.0));
    rig.hands.bias[1] = 2.0;
    assert!(rig.play(&[silence], &[500])[0][4_000..].iter().any(|x| x.abs() > 0.1));
    assert_eq!(rig.path.tail_samples(), None);
}

#[test]
fn models_without_latents_are_not_played() {
    let stream = crate::test_models::lookahead_stream(3, 1, 48_000);
    let refusal = LoadedModel::new(&stream, Mode::Play, Latency::Least).unwrap_err();
    assert!(refusal.contains("no latents"), "{refusal}");
}

#[test]
fn a_gate_makes_silence_of_silence_and_nothing_else() {
    let model = autoencoder(Mode::Forward, Latency::Least);
    let mut rig = Rig::playing(MONO, &model);
    rig.hands.bias[0] = 1.0;
    let silence = vec![0.0; 48_000];
    let open = rig.play(std::slice::from_ref(&silence), &[512]);
    assert!(open[0][40_000..].iter().any(|x| x.abs() > 0.01), "a bias sounds");
    rig.gated = true;
    let closed = rig.play(&[silence], &[512]);
    assert!(closed[0][40_000..].iter().all(|x| *x == 0.0));
    let loud = noise(48_000, 3);
    let gated = rig.play(std::slice::from_ref(&loud), &[512]);
    let mut free = Rig::playing(MONO, &model);
    free.hands.bias[0] = 1.0;
    let plain = free.play(&[loud], &[512]);
    assert!(gated[0][1_000..] == plain[0][1_000..]);
}

#[test]
fn a_limiter_bounds_the_mix() {
    let mut rig = Rig::playing(MONO, &lookahead(0, 1, 48_000));
    (rig.limited, rig.output_gain) = (true, 10.0);
    assert!(rig.play(&[noise(9_000, 5)], &[300])[0].iter().all(|x| x.abs() <= 1.0));
}

#[test]
fn a_thread_of_its_own_plays_the_same_later() {
    let model = autoencoder(Mode::Forward, Latency::Balanced);
    let input = [noise(60_000, 1), noise(60_000, 2)];
    let here = Rig::playing(STEREO, &model).play(&input, &[512]);
    let mut rig = Rig::empty(STEREO);
    rig.path.set_offline(true);
    let setup = Setup { own_thread: Some(512), ..Setup::plain(STEREO) };
    rig.path.install(Box::new(Stage::new(1, setup, Some(&model))));
    let detour = rig.path.latency_samples() - Rig::playing(STEREO, &model).path.latency_samples();
    assert_eq!(detour, 2048);
    for blocks in [&[512][..], &[1, 64, 300]] {
        let there = rig.play(&input, blocks);
        for (here, there) in here.iter().zip(&there) {
            assert!(here[..60_000 - detour] == there[detour..], "{blocks:?}");
        }
        rig.path.reset();
    }
}

/// Plays 60 blocks of 512 samples at the pace of the clock, after a change to `model`; every block's output.
fn change_while_playing(rig: &mut Rig, stage: Stage, input: &[Vec<f32>], most: usize) -> Vec<Vec<f32>> {
    rig.outgoing.push(Box::new(stage)).unwrap();
    let mut heard = vec![vec![]; input.len()];
    for at in (0..most).step_by(512) {
        let block: Vec<_> = input.iter().map(|c| c[at..at + 512].to_vec()).collect();
        rig.play(&block, &[64]).into_iter().zip(&mut heard).for_each(|(out, heard)| heard.extend(out));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    heard
}

#[test]
fn a_warmed_model_takes_over_without_a_click_and_plays_the_same() {
    let model = autoencoder(Mode::Forward, Latency::Balanced);
    let input = [sine(100.0, MONO, 40 * 512)];
    let mut rig = Rig::playing(MONO, &lookahead(500, 1, 48_000));
    let stage = Stage::warming(2, Setup::plain(MONO), Some(&model), Hands::default);
    let heard = change_while_playing(&mut rig, stage, &input, 40 * 512).remove(0);
    assert!(rig.returned.pop().is_ok(), "the old stage comes back");
    let whole = Rig::playing(MONO, &model).play(&input, &[64]).remove(0);
    assert!(heard[30 * 512..] == whole[30 * 512..], "it heard all that was played");
    assert!(steepest(&heard) <= 1.5 * steepest(&input[0]).max(steepest(&whole)));
}

#[test]
fn a_warming_thread_that_cannot_keep_up_is_not_waited_for() {
    // Blocks come faster than time passes: seconds of sound at once.
    let model = autoencoder(Mode::Forward, Latency::Balanced);
    let mut rig = Rig::playing(MONO, &lookahead(500, 1, 48_000));
    rig.outgoing.push(Box::new(Stage::warming(2, Setup::plain(MONO), Some(&model), Hands::default))).unwrap();
    let input = [noise(8 * 48_000, 1)];
    for _ in 0..200 {
        rig.play(&input, &[4096]);
        if rig.returned.pop().is_ok() {
            return;
        }
    }
    panic!("the new model never plays");
}
