//! The latency dial: how much of a model's lookahead a player keeps.

use serde::{Deserialize, Serialize};

/// A choice of latency. What a project keeps of it is a number of milliseconds, 0 for the trained model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(from = "u32", into = "u32")]
pub enum Dial {
    /// As trained.
    #[default]
    Exact,
    /// Refitted to a quarter of a second.
    Ms250,
    /// Refitted to 170 ms.
    Ms170,
    /// Refitted to 100 ms.
    Ms100,
    /// Refitted to 60 ms.
    Ms60,
}

impl Dial {
    /// All of them, the latest first.
    pub const ALL: [Self; 5] = [Self::Exact, Self::Ms250, Self::Ms170, Self::Ms100, Self::Ms60];

    /// Whether the model is played as trained.
    pub fn is_exact(&self) -> bool {
        *self == Self::Exact
    }

    /// Milliseconds of latency at most; `None` as trained.
    pub fn milliseconds(self) -> Option<u32> {
        match self {
            Self::Exact => None,
            Self::Ms250 => Some(250),
            Self::Ms170 => Some(170),
            Self::Ms100 => Some(100),
            Self::Ms60 => Some(60),
        }
    }

    /// The same in samples.
    pub fn samples(self, sampling_rate: u32) -> Option<u64> {
        self.milliseconds().map(|ms| u64::from(ms) * u64::from(sampling_rate) / 1000)
    }

    /// The choices that shorten a latency of `exact_samples`, after the exact one.
    pub fn offered(exact_samples: u64, sampling_rate: u32) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |dial| dial.samples(sampling_rate).is_none_or(|most| most < exact_samples))
    }
}

/// Of a number that no choice has, as a later version may keep one, the trained model is what is meant.
impl From<u32> for Dial {
    fn from(milliseconds: u32) -> Self {
        Self::ALL.into_iter().find(|dial| dial.milliseconds() == Some(milliseconds)).unwrap_or_default()
    }
}

impl From<Dial> for u32 {
    fn from(dial: Dial) -> Self {
        dial.milliseconds().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_shortens_is_offered() {
        let offered = |exact: u64| Dial::offered(exact, 44_100).collect::<Vec<_>>();
        assert_eq!(offered(26_568), Dial::ALL);
        assert_eq!(offered(7_498), [Dial::Exact, Dial::Ms170, Dial::Ms100, Dial::Ms60]);
        assert_eq!(offered(7_497), [Dial::Exact, Dial::Ms100, Dial::Ms60], "170 ms are 7497 samples");
        assert_eq!(offered(0), [Dial::Exact]);
    }

    #[test]
    fn a_project_keeps_milliseconds() {
        for dial in Dial::ALL {
            let json = serde_json::to_value(dial).unwrap();
            assert_eq!(json, dial.milliseconds().unwrap_or(0));
            assert_eq!(serde_json::from_value::<Dial>(json).unwrap(), dial);
        }
        assert_eq!(serde_json::from_str::<Dial>("80").unwrap(), Dial::Exact);
    }
}
