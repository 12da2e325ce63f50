//! The plugin: the edge to the host, and nothing else.
//!
//! The [`loader`] reads models on its own thread and hands each one over as a [`audio::Stage`]; the [`audio::AudioPath`]
//! plays it; [`hosted`] and [`resample`] bring a model to the host's rate and channels; [`host`] holds what the framework
//! needs against its own defects.

pub mod audio;
pub mod calibration;
#[cfg(test)]
mod clap_tests;
pub mod delay;
pub mod dial;
#[cfg(feature = "editor")]
pub mod dialog;
pub mod dynamics;
#[cfg(feature = "editor")]
pub mod editor;
pub mod folders;
pub mod hands;
pub mod host;
pub mod hosted;
pub mod interleaved;
pub mod library;
pub mod loader;
pub mod memory;
pub mod model_file;
pub mod notebook;
pub mod notes;
pub mod params;
#[cfg(feature = "editor")]
pub mod presets;
pub mod resample;
pub mod steering;
pub mod telemetry;
#[cfg(test)]
mod test_models;
pub mod warming;
pub mod worker;

use std::sync::Arc;
use std::time::Instant;

use nice_plug::prelude::*;

use audio::{AudioPath, Controls};
use hosted::{CHUNK, Format};
use loader::Loader;
use notes::Notes;
use params::RunnelParams;
use telemetry::Telemetry;

/// The plugin as the framework sees it. With `CONTROLLERS`, MIDI controllers, pitch bend and channel pressure move latents
/// as notes and note expressions do; they cost a VST3 plugin 2 080 parameters more, which some hosts take minutes to
/// list, and a CLAP plugin nothing.
pub struct Runnel<const CONTROLLERS: bool> {
    params: Arc<RunnelParams>,
    loader: Arc<Loader>,
    telemetry: Arc<Telemetry>,
    path: AudioPath,
    /// The latency that the host was last told.
    told_latency: usize,
    notes: Notes,
    /// Whether the host played in the last block.
    playing: bool,
    mix: Vec<f32>,
    input_gain: Vec<f32>,
    output_gain: Vec<f32>,
}

impl<const CONTROLLERS: bool> Default for Runnel<CONTROLLERS> {
    fn default() -> Self {
        let params = Arc::new(RunnelParams::default());
        let (loader, exchange) = Loader::new(params.clone());
        let format = Format { sampling_rate: 48_000, inputs: 2, outputs: 2 };
        let telemetry = Arc::<Telemetry>::default();
        Self {
            params,
            loader,
            path: AudioPath::new(format, exchange, telemetry.clone()),
            telemetry,
            told_latency: 0,
            notes: Notes::default(),
            playing: false,
            mix: vec![0.0; CHUNK],
            input_gain: vec![0.0; CHUNK],
            output_gain: vec![0.0; CHUNK],
        }
    }
}

impl<const CONTROLLERS: bool> Drop for Runnel<CONTROLLERS> {
    fn drop(&mut self) {
        self.loader.stop();
    }
}

impl<const CONTROLLERS: bool> Plugin for Runnel<CONTROLLERS> {
    const NAME: &'static str = "Runnel";
    const VENDOR: &'static str = "Runnel";
    const URL: &'static str = "";
    const EMAIL: &'static str = "";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const MIDI_INPUT: MidiConfig = if CONTROLLERS { MidiConfig::MidiCCs } else { MidiConfig::Basic };
    const AUDIO_IO_LAYOUTS: &'static [AudioIOLayout] = &[layout(2, 2), layout(1, 1), layout(1, 2)];

    #[cfg(feature = "editor")]
    type Editor = editor::window::PluginWindow<editor::EditorApp>;
    #[cfg(not(feature = "editor"))]
    type Editor = ();
    type SysExMessage = ();
    type BackgroundTask = ();

    fn params(&self) -> Arc<dyn Params> {
        self.params.clone()
    }

    #[cfg(feature = "editor")]
    fn editor(&mut self, _: AsyncExecutor<Self>) -> Option<Self::Editor> {
        Some(editor::editor(self.params.clone(), self.loader.clone(), self.telemetry.clone()))
    }

    fn activate(
        &mut self,
        layout: &AudioIOLayout,
        config: &BufferConfig,
        context: &mut impl ActivateContext<Self>,
    ) -> bool {
        let channels = |port: Option<NonZeroU32>| port.map_or(0, |c| c.get() as usize);
        let format = Format {
            sampling_rate: config.sample_rate.round() as u32,
            inputs: channels(layout.main_input_channels),
            outputs: channels(layout.main_output_channels),
        };
        if !hosted::RATES.contains(&format.sampling_rate) || format.inputs == 0 {
            return false;
        }
        self.loader.start();
        let (offline, most_frames) = (config.process_mode == ProcessMode::Offline, config.max_buffer_size as usize);
        self.path.set_offline(offline);
        self.path.install(if offline {
            self.loader.activate_offline(format, most_frames)
        } else {
            self.loader.activate(format, most_frames)
        });
        self.notes = Notes::default();
        self.told_latency = self.path.latency_samples();
        context.set_latency_samples(self.told_latency as u32);
        true
    }

    fn reset(&mut self) {
        self.path.reset();
    }

    fn process(
        &mut self,
        buffer: &mut Buffer,
        _: &mut AuxiliaryBuffers,
        context: &mut impl ProcessContext<Self>,
    ) -> ProcessStatus {
        let start = Instant::now();
        let playing = context.transport().playing;
        let starts = playing && !self.playing;
        self.playing = playing;
        if starts {
            // What sounded before a stop is not heard after it, and every pass begins alike.
            self.path.reset();
        }
        let samples = buffer.samples();
        let channels = buffer.as_slice();
        let mut event = context.next_event();
        let mut at = 0;
        while at < samples {
            while let Some(now) = event.filter(|event| event.timing() as usize <= at) {
                self.notes.hear(&now);
                event = context.next_event();
            }
            let until = event.map_or(samples, |event| samples.min(event.timing() as usize));
            let range = at..until.min(at + CHUNK);
            at = range.end;
            let frames = range.len();
            let hands = self.params.hands(&self.notes);
            self.params.mix.smoothed.next_block(&mut self.mix, frames);
            self.params.input_gain.smoothed.next_block(&mut self.input_gain, frames);
            self.params.output_gain.smoothed.next_block(&mut self.output_gain, frames);
            let controls = Controls {
                mix: &self.mix[..frames],
                input_gain: &self.input_gain[..frames],
                output_gain: &self.output_gain[..frames],
                bypassed: self.params.bypass.value(),
                limited: self.params.limiter.value(),
                gated: self.params.gate.value(),
                hands: &hands,
            };
            self.path.process(channels, range, controls);
        }
        let budget = samples as f64 / f64::from(context.transport().sample_rate);
        self.telemetry.call(start.elapsed().as_nanos() as u64, (budget * 1e9) as u64);
        let latency = self.path.latency_samples();
        if latency != self.told_latency {
            self.told_latency = latency;
            host::tell_latency(context, latency as u32);
        }
        self.path.tail_samples().map_or(ProcessStatus::KeepAlive, ProcessStatus::Tail)
    }
}

impl ClapPlugin for Runnel<true> {
    const CLAP_ID: &'static str = "org.runnel.runnel";
    const CLAP_DESCRIPTION: Option<&'static str> = Some("Plays trained convolutional audio models as exact streams");
    const CLAP_MANUAL_URL: Option<&'static str> = None;
    const CLAP_SUPPORT_URL: Option<&'static str> = None;
    const CLAP_FEATURES: &'static [ClapFeature] =
        &[ClapFeature::AudioEffect, ClapFeature::Stereo, ClapFeature::Mono, ClapFeature::Custom("runnel:neural")];
}

impl Vst3Plugin for Runnel<{ cfg!(feature = "midi-cc") }> {
    const VST3_CLASS_ID: [u8; 16] = *b"RunnelModelPlay1";
    const VST3_SUBCATEGORIES: &'static [Vst3SubCategory] = &[Vst3SubCategory::Fx, Vst3SubCategory::Stereo];
}

const fn layout(inputs: u32, outputs: u32) -> AudioIOLayout {
    AudioIOLayout {
        main_input_channels: NonZeroU32::new(inputs),
        main_output_channels: NonZeroU32::new(outputs),
        ..AudioIOLayout::const_default()
    }
}

nice_export_clap!(Runnel<true>);
nice_export_vst3!(Runnel<{ cfg!(feature = "midi-cc") }>);
