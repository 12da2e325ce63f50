//! Latency beyond the least, as a user writes it.

use std::str::FromStr;

use runnel::StreamGraph;

/// How much later than necessary the output may come, so that the work can be spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Slack {
    Samples(u64),
    Hops(f64),
    Milliseconds(f64),
}

/// What every option that takes a slack says of it.
pub(crate) const HELP: &str = "`least`, a number of samples, `hop`, `2hops` or `20ms`";

impl Slack {
    pub(crate) const LEAST: Self = Self::Samples(0);

    /// In samples of this stream, which plays at `sampling_rate`.
    pub(crate) fn samples(self, stream: &StreamGraph, sampling_rate: u32) -> u64 {
        match self {
            Self::Samples(samples) => samples,
            Self::Hops(hops) => (hops * hop_samples(stream)).round() as u64,
            Self::Milliseconds(ms) => (ms * f64::from(sampling_rate) / 1e3).round() as u64,
        }
    }
}

/// Samples per frame at the lowest rate.
pub(crate) fn hop_samples(stream: &StreamGraph) -> f64 {
    stream.hop_ticks() as f64 / stream.ticks_per_sample() as f64
}

impl FromStr for Slack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.parse::<f64>().ok().filter(|n| (0.0..=1e6).contains(n));
        let parsed = match text {
            "least" => Some(Self::LEAST),
            "hop" => Some(Self::Hops(1.0)),
            _ => match (text.strip_suffix("ms"), text.strip_suffix("hops").or(text.strip_suffix("hop"))) {
                (Some(part), _) => number(part).map(Self::Milliseconds),
                (None, Some(part)) => number(part).map(Self::Hops),
                (None, None) => text.parse().ok().filter(|n| *n <= 1 << 24).map(Self::Samples),
            },
        };
        parsed.ok_or_else(|| format!("{HELP} is needed"))
    }
}

impl std::fmt::Display for Slack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Samples(0) => f.write_str("least"),
            Self::Samples(samples) => samples.fmt(f),
            Self::Hops(1.0) => f.write_str("hop"),
            Self::Hops(hops) => write!(f, "{hops}hops"),
            Self::Milliseconds(ms) => write!(f, "{ms}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        for text in ["least", "1", "512", "hop", "2hops", "0.5hops", "20ms"] {
            assert_eq!(text.parse::<Slack>().expect(text).to_string(), text);
        }
        assert_eq!("0".parse(), Ok(Slack::LEAST));
        for text in ["", "-1", "hops", "ms", "1.5", "NaNms", "infhops", "1e9ms", "99999999999", "2 hops", "most"] {
            assert!(text.parse::<Slack>().is_err(), "{text}");
        }
    }

    #[test]
    fn is_counted_in_the_models_samples() {
        let model = crate::demo::demo_model().expect("a model").streams;
        let samples = |slack: Slack| slack.samples(&model.forward, 48_000);
        let hop = hop_samples(&model.forward) as u64;
        assert_eq!(samples(Slack::LEAST), 0);
        assert_eq!(samples(Slack::Hops(2.0)), 2 * hop);
        assert_eq!(samples(Slack::Milliseconds(20.0)), 960);
    }
}
