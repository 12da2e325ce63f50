//! Notes and controllers, as the values of a player's sources.

use nice_plug::prelude::NoteEvent;

use crate::params::{LATENTS, RunnelParams, Source};

/// What notes and controllers say at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Notes {
    /// In the order of [`Source::ALL`].
    values: [f32; Source::ALL.len()],
    /// The key that sounds, the last that was pressed.
    held: Option<u8>,
}

/// The controllers of the modulation wheel and of MPE's third dimension.
const MODULATION: u8 = 1;
const TIMBRE: u8 = 74;
/// Middle C, and the keys from it to full scale.
const MIDDLE: f32 = 60.0;
const KEYS: f32 = 60.0;

impl Notes {
    /// Hears an event. A note's pitch and bend stay when it ends; its velocity falls to zero.
    pub fn hear<S>(&mut self, event: &NoteEvent<S>) {
        match *event {
            NoteEvent::NoteOn { key, velocity, .. } => {
                let number = key.number();
                self.held = number.or(self.held);
                if let Some(number) = number {
                    self.set(Source::Pitch, (f32::from(number) - MIDDLE) / KEYS);
                }
                self.set(Source::Velocity, velocity);
            }
            NoteEvent::NoteOff { key, .. } | NoteEvent::Choke { key, .. } => {
                let ends = key.number().is_none_or(|number| self.held == Some(number));
                if ends {
                    self.held = None;
                    self.set(Source::Velocity, 0.0);
                }
            }
            NoteEvent::MidiPitchBend { value, .. } => self.set(Source::Bend, 2.0 * value - 1.0),
            NoteEvent::PolyTuning { tuning, .. } => self.set(Source::Bend, (tuning / 48.0).clamp(-1.0, 1.0)),
            NoteEvent::MidiChannelPressure { pressure, .. } | NoteEvent::PolyPressure { pressure, .. } => {
                self.set(Source::Pressure, pressure);
            }
            NoteEvent::PolyBrightness { brightness, .. } => self.set(Source::Timbre, brightness),
            NoteEvent::MidiCC { cc: MODULATION, value, .. } => self.set(Source::Modulation, value),
            NoteEvent::MidiCC { cc: TIMBRE, value, .. } => self.set(Source::Timbre, value),
            _ => {}
        }
    }

    /// Adds to the latents what the sources are told to move.
    pub fn move_latents(&self, params: &RunnelParams, bias: &mut [f32; LATENTS]) {
        for (value, source) in self.values.iter().zip(&params.sources) {
            let latent = source.latent.value();
            if let Some(bias) = usize::try_from(latent - 1).ok().and_then(|latent| bias.get_mut(latent)) {
                *bias += value * source.depth.value();
            }
        }
    }

    fn set(&mut self, source: Source, value: f32) {
        self.values[source as usize] = if value.is_finite() { value } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use nice_plug::midi::{Channel, Key, VoiceID};
    use nice_plug::prelude::{IntParam, IntRange};

    use super::*;

    fn note(key: u8, velocity: f32, on: bool) -> NoteEvent<()> {
        let (timing, voice_id, channel, key) = (0, VoiceID::Wildcard, Channel::Number(0), Key::Number(key));
        if on {
            NoteEvent::NoteOn { timing, voice_id, channel, key, velocity }
        } else {
            NoteEvent::NoteOff { timing, voice_id, channel, key, velocity }
        }
    }

    #[test]
    fn sources_move_the_latents_they_are_told_to() {
        let mut params = RunnelParams::default();
        let chosen = |latent| IntParam::new("", latent, IntRange::Linear { min: 0, max: 16 });
        params.sources[Source::Pitch as usize].latent = chosen(2);
        params.sources[Source::Velocity as usize].latent = chosen(16);
        let moved = |notes: &Notes| {
            let mut bias = [0.0; LATENTS];
            notes.move_latents(&params, &mut bias);
            bias
        };
        let mut notes = Notes::default();
        assert_eq!(moved(&notes), [0.0; LATENTS]);
        notes.hear(&note(90, 0.75, true));
        assert_eq!((moved(&notes)[1], moved(&notes)[15]), (0.5, 0.75));
        notes.hear(&note(40, 0.0, false));
        assert_eq!(moved(&notes)[15], 0.75, "another key's end");
        notes.hear(&note(90, 0.0, false));
        assert_eq!((moved(&notes)[1], moved(&notes)[15]), (0.5, 0.0));
    }
}
