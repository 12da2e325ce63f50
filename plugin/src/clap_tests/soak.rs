//! The plugin for a long time in a restless host. Run by hand, or by `cargo xtask validate`:
//!
//! ```sh
//! cargo test -p runnel-plugin --lib soak -- --ignored --nocapture
//! ```
//!
//! `RUNNEL_SOAK_MODELS` names two models, separated like folders in `PATH`; `RUNNEL_SOAK_SECONDS` says for how many
//! seconds of audio, `RUNNEL_SOAK_BLOCK` fixes the block size, and with `RUNNEL_SOAK_PACED` no sound is asked for before
//! its time, and with `RUNNEL_SOAK_STILL` parameters and rate are left alone: then the cost of a change of models shows.
//! Calls are measured in CPU time of the audio thread. In debug builds an allocation in `process` aborts the test.

use std::sync::atomic::AtomicBool;

use clack_extensions::params::{ParamInfoBuffer, ParamInfoFlags, PluginParams};
use clack_host::events::event_types::ParamValueEvent;

use super::*;

const MOST_FRAMES: usize = 8192;
const RATES: [u32; 6] = [48_000, 44_100, 96_000, 22_050, 192_000, 88_200];
/// Seconds of audio between two models.
const SWAP_SECONDS: f64 = 5.0;
/// Times faster than real time while a model comes.
const MOST_SPEED: f64 = 4.0;
/// Longer than any smoothing or fade.
const SETTLING_SECONDS: f64 = 0.2;

#[test]
#[ignore = "takes as long as it is told to"]
fn soak() {
    let seconds: f64 = std::env::var("RUNNEL_SOAK_SECONDS").map_or(20.0, |s| s.parse().expect("a number of seconds"));
    let small = [ModelFile::new("soak-a", 700), ModelFile::new("soak-b", 2400)];
    let models: Vec<String> = match std::env::var_os("RUNNEL_SOAK_MODELS") {
        Some(paths) => std::env::split_paths(&paths).map(|path| path.to_str().expect("Unicode").to_owned()).collect(),
        None => small.iter().map(|model| model.path().to_owned()).collect(),
    };
    assert!(!models.is_empty(), "RUNNEL_SOAK_MODELS names no model");
    let mut soak = Soak::new();
    for round in 0.. {
        let until = soak.seconds + SWAP_SECONDS;
        soak.swap(&models[round % models.len()]);
        soak.wait_for_latency();
        soak.check_latency();
        while soak.seconds < until.min(seconds) {
            soak.play_for(0.5, false);
        }
        if round % 2 == 1 && !soak.still {
            let at = soak.random.below(RATES.len());
            soak.change_rate(RATES[at]);
            soak.check_latency();
        }
        if soak.seconds >= seconds && round > 0 {
            break;
        }
    }
    soak.report();
}

struct Soak {
    rig: Rig,
    rate: u32,
    still: bool,
    random: Random,
    parameters: Vec<Parameter>,
    calls: Vec<Call>,
    seconds: f64,
    latencies_checked: usize,
}

#[derive(Clone, Copy)]
struct Parameter {
    id: ClapId,
    min: f64,
    max: f64,
    default: f64,
    is_mix: bool,
}

struct Call {
    frames: usize,
    seconds: f64,
    share: f64,
    swapping: bool,
}

/// What is done to the parameters.
#[derive(Clone, Copy, PartialEq)]
enum Hands {
    /// Anything, all the time.
    Wild,
    /// Everything stays at its default.
    Still,
    /// The input is let through.
    Dry,
}

impl Soak {
    fn new() -> Self {
        let mut rig = Rig::new();
        let handle = rig.instance.plugin_handle();
        let extension = handle.get_extension::<PluginParams>().unwrap();
        let mut buffer = ParamInfoBuffer::new();
        let mut parameters = vec![];
        for index in 0..extension.count(&handle) {
            let info = extension.get_info(&handle, index, &mut buffer).unwrap();
            if info.flags.contains(ParamInfoFlags::IS_AUTOMATABLE) {
                parameters.push(Parameter {
                    id: info.id,
                    min: info.min_value,
                    max: info.max_value,
                    default: info.default_value,
                    is_mix: info.name == b"Dry/wet",
                });
            }
        }
        assert!(parameters.iter().any(|p| p.is_mix));
        rig.activate_at(RATES[0], MOST_FRAMES);
        let random = Random(0x5eed);
        let still = std::env::var_os("RUNNEL_SOAK_STILL").is_some();
        Self { rig, rate: RATES[0], still, random, parameters, calls: vec![], seconds: 0.0, latencies_checked: 0 }
    }

    /// Opens a project with this model while playing goes on, until the model has come.
    fn swap(&mut self, model: &str) {
        let mut project = json(&self.rig.state());
        project["fields"]["model-path"] = Value::String(serde_json::to_string(model).unwrap());
        let project = serde_json::to_vec(&project).unwrap();
        self.rig.load(&[&(project.len() as u64).to_le_bytes()[..], &project].concat());
        let name = model.rsplit('/').next().unwrap_or(model);
        let (start, mut came) = (Instant::now(), None::<Instant>);
        let playing = AtomicBool::new(true);
        let until = |rig: &mut Rig| {
            // A model that was read is known by its contents.
            let known = |rig: &mut Rig| json(&rig.state())["fields"]["model-known"].to_string();
            if came.is_none() && known(rig).contains(name) {
                came = Some(Instant::now());
            }
            let enough = came.is_some_and(|at| at.elapsed() > Duration::from_millis(300));
            playing.store(!enough && start.elapsed() < Duration::from_secs(120), Ordering::Release);
        };
        let played = self.play(Hands::Wild, true, |_| playing.load(Ordering::Acquire), until);
        assert!(came.is_some(), "{model} does not come");
        self.count(played);
    }

    /// Plays until the plugin asks for no more restarts, and grants each.
    fn wait_for_latency(&mut self) {
        for _ in 0..5 {
            let seconds = 2.0 * self.latency_seconds() + 1.0;
            self.play_for(seconds, true);
            self.rig.instance.call_on_main_thread_callback();
            if self.rig.take_restarts() == 0 {
                return;
            }
            self.restart();
        }
        panic!("the plugin asks for restarts without end");
    }

    fn change_rate(&mut self, rate: u32) {
        self.rate = rate;
        self.restart();
        self.rig.take_restarts();
    }

    fn restart(&mut self) {
        self.rig.instance.deactivate(self.rig.audio.take().unwrap());
        self.rig.activate_at(self.rate, MOST_FRAMES);
    }

    /// The dry signal is the input, late by what the host is told.
    fn check_latency(&mut self) {
        let latency = self.rig.latency();
        let settled = latency + (SETTLING_SECONDS * f64::from(self.rate)) as usize;
        let frames = settled + latency + self.rate as usize / 4;
        let played = self.play(Hands::Dry, false, |at| at < frames, |_| {});
        for (channel, (input, output)) in played.input.iter().zip(&played.output).enumerate() {
            for at in settled..frames {
                let (x, y) = (input[at - latency], output[at]);
                assert!((x - y).abs() < 1e-5, "channel {channel} frame {at}: {x} became {y} at latency {latency}");
            }
        }
        self.count(played);
        self.latencies_checked += 1;
    }

    fn play_for(&mut self, seconds: f64, swapping: bool) {
        let frames = (seconds * f64::from(self.rate)) as usize;
        let played = self.play(Hands::Wild, swapping, |at| at < frames, |_| {});
        self.count(played);
    }

    /// Plays while `go_on`; meanwhile the main thread does what a host's does, and `main`.
    fn play(
        &mut self,
        hands: Hands,
        swapping: bool,
        go_on: impl Fn(usize) -> bool + Send,
        mut main: impl FnMut(&mut Rig),
    ) -> Played {
        let audio = self.rig.audio.take().unwrap();
        let block = std::env::var("RUNNEL_SOAK_BLOCK").ok().map(|frames| frames.parse().expect("a block size"));
        let most_speed = if std::env::var_os("RUNNEL_SOAK_PACED").is_some() {
            1.0
        } else if swapping {
            MOST_SPEED
        } else {
            f64::INFINITY
        };
        let hands = if self.still && hands == Hands::Wild { Hands::Still } else { hands };
        let (random, parameters, rate) = (self.random.fork(), &self.parameters[..], self.rate);
        let player = Player { random, parameters, rate, block, most_speed };
        let rig = &mut self.rig;
        let (audio, played) = std::thread::scope(|scope| {
            let playing = scope.spawn(|| player.play(audio, hands, swapping, go_on));
            while !playing.is_finished() {
                rig.instance.call_on_main_thread_callback();
                main(rig);
                std::thread::sleep(Duration::from_millis(2));
            }
            playing.join().unwrap()
        });
        self.rig.audio = Some(audio);
        played
    }

    fn count(&mut self, played: Played) {
        self.seconds += played.frames as f64 / f64::from(self.rate);
        self.calls.extend(played.calls);
    }

    fn latency_seconds(&mut self) -> f64 {
        self.rig.latency() as f64 / f64::from(self.rate)
    }

    fn report(&self) {
        println!("{:.1} s of audio, {} calls, all samples finite", self.seconds, self.calls.len());
        println!("latency told and measured agree: {} times", self.latencies_checked);
        for (name, swapping) in [("playing ", false), ("swapping", true)] {
            let calls: Vec<_> = self.calls.iter().filter(|call| call.swapping == swapping).collect();
            let sum = |value: fn(&Call) -> f64| calls.iter().map(|call| value(call)).sum::<f64>();
            let longest = calls.iter().map(|call| call.seconds).fold(0.0, f64::max);
            // Shorter blocks measure the machine's other work.
            let blocks = calls.iter().filter(|call| call.frames >= 64);
            let mut loads: Vec<_> = blocks.map(|call| 100.0 * call.seconds / call.share).collect();
            loads.sort_by(f64::total_cmp);
            let load = |part: f64| loads.get((part * loads.len() as f64) as usize).or(loads.last()).unwrap_or(&0.0);
            println!(
                "{name}: mean {:.1} us a call, {:.2} % of the time; longest {:.1} us; load of blocks from 64 frames: \
                 median {:.2} %, 99 of 100 below {:.2} %, worst {:.2} %",
                1e6 * sum(|call| call.seconds) / calls.len().max(1) as f64,
                100.0 * sum(|call| call.seconds) / sum(|call| call.share).max(1e-9),
                1e6 * longest,
                load(0.5),
                load(0.99),
                load(1.0),
            );
        }
    }
}

/// Plays one stretch, on the audio thread.
struct Player<'a> {
    random: Random,
    parameters: &'a [Parameter],
    rate: u32,
    block: Option<usize>,
    /// How much faster than time passes sound is asked for: a loader needs time.
    most_speed: f64,
}

#[derive(Default)]
struct Played {
    frames: usize,
    calls: Vec<Call>,
    /// Empty unless the hands are [`Hands::Dry`].
    input: [Vec<f32>; 2],
    output: [Vec<f32>; 2],
}

impl Player<'_> {
    fn play(
        mut self,
        audio: StoppedPluginAudioProcessor<Host>,
        hands: Hands,
        swapping: bool,
        go_on: impl Fn(usize) -> bool,
    ) -> (StoppedPluginAudioProcessor<Host>, Played) {
        let mut audio = audio.start_processing().unwrap();
        let (mut input_ports, mut output_ports) = (AudioPorts::with_capacity(2, 1), AudioPorts::with_capacity(2, 1));
        let mut played = Played::default();
        let mut events = EventBuffer::new();
        let begin = Instant::now();
        while go_on(played.frames) {
            while played.frames as f64 > self.most_speed * f64::from(self.rate) * begin.elapsed().as_secs_f64() {
                std::thread::sleep(Duration::from_micros(200));
            }
            let frames = self.block();
            let mut input = [0; 2].map(|_| (0..frames).map(|_| self.random.sample()).collect::<Vec<_>>());
            let mut output = [0; 2].map(|_| vec![f32::NAN; frames]);
            let sent = input.clone();
            events.clear();
            self.turn_knobs(hands, played.frames == 0, &mut events);
            let inputs = input_ports.with_input_buffers([AudioPortBuffer {
                latency: 0,
                channels: AudioPortBufferType::f32_input_only(input.iter_mut().map(InputChannel::variable)),
            }]);
            let mut outputs = output_ports.with_output_buffers([AudioPortBuffer {
                latency: 0,
                channels: AudioPortBufferType::f32_output_only(output.iter_mut().map(|c| c.as_mut_slice())),
            }]);
            let start = thread_cpu_seconds();
            audio.process(&inputs, &mut outputs, &events.as_input(), &mut OutputEvents::void(), None, None).unwrap();
            let seconds = thread_cpu_seconds() - start;
            let share = frames as f64 / f64::from(self.rate);
            played.calls.push(Call { frames, seconds, share, swapping });
            for channel in 0..2 {
                assert!(output[channel].iter().all(|y| y.is_finite()), "a sample is no number");
                if hands == Hands::Dry {
                    played.input[channel].extend_from_slice(&sent[channel]);
                    played.output[channel].extend_from_slice(&output[channel]);
                }
            }
            played.frames += frames;
        }
        (audio.stop_processing(), played)
    }

    /// Block sizes that hosts use, and all others.
    fn block(&mut self) -> usize {
        if let Some(block) = self.block {
            return block;
        }
        match self.random.below(4) {
            0 => 1 + self.random.below(64),
            1 => 64 << self.random.below(5),
            2 => 1 + self.random.below(1024),
            _ => 1 + self.random.below(MOST_FRAMES),
        }
    }

    fn turn_knobs(&mut self, hands: Hands, first: bool, events: &mut EventBuffer) {
        let mut set = |p: &Parameter, value| events.push(&ParamValueEvent::new(0, p.id, Pckn::match_all(), value));
        match hands {
            Hands::Wild => {
                for _ in 0..self.random.below(4) {
                    let p = self.parameters[self.random.below(self.parameters.len())];
                    set(&p, p.min + (p.max - p.min) * f64::from(self.random.sample() + 0.5));
                }
            }
            Hands::Dry | Hands::Still if first => {
                let value = |p: &Parameter| if p.is_mix && hands == Hands::Dry { p.min } else { p.default };
                self.parameters.iter().for_each(|p| set(p, value(p)));
            }
            Hands::Dry | Hands::Still => {}
        }
    }
}

/// CPU time of this thread since some moment; wall time where that has no safe interface.
fn thread_cpu_seconds() -> f64 {
    #[cfg(unix)]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        now.tv_sec as f64 + 1e-9 * now.tv_nsec as f64
    }
    #[cfg(not(unix))]
    {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        START.elapsed().as_secs_f64()
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn fork(&mut self) -> Self {
        Self(self.next() | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }

    /// From −0.5 to 0.5.
    fn sample(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    }
}
