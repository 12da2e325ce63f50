//! Where a value stands along an axis, and which values are named on it.

/// One direction of a chart.
pub(crate) struct Axis {
    title: String,
    from: f64,
    to: f64,
    logarithmic: bool,
    /// The values that are named; where there are none, round ones are chosen.
    named: Vec<f64>,
}

/// The most values that are named where the axis chooses them.
const MOST_TICKS: f64 = 8.0;

impl Axis {
    /// From 0 to a little more than `most`.
    pub(crate) fn linear(title: &str, most: f64) -> Self {
        Self { title: title.into(), from: 0.0, to: positive(most) * 1.08, logarithmic: false, named: vec![] }
    }

    /// From 0 to exactly `end`.
    pub(crate) fn ending_at(title: &str, end: f64) -> Self {
        Self { to: positive(end), ..Self::linear(title, end) }
    }

    /// From `from` to exactly `to`.
    pub(crate) fn between(title: &str, from: f64, to: f64) -> Self {
        Self { title: title.into(), from, to, logarithmic: false, named: vec![] }
    }

    /// Over all `values`, each as far from its double as any other.
    pub(crate) fn logarithmic(title: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let bounds = (f64::INFINITY, 0.0_f64);
        let (least, most) = values.into_iter().filter(|v| *v > 0.0).fold(bounds, |(l, m), v| (l.min(v), m.max(v)));
        let (least, most) = if least <= most { (least, most) } else { (1.0, 1.0) };
        Self { title: title.into(), from: least / 1.3, to: most * 1.3, logarithmic: true, named: vec![] }
    }

    /// With exactly these values named.
    pub(crate) fn naming(self, values: &[f64]) -> Self {
        Self { named: values.to_vec(), ..self }
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// 0 at the start of the axis, 1 at its end; what lies beyond stands at the nearer one.
    pub(super) fn place(&self, value: f64) -> f64 {
        let part = match self.logarithmic {
            true => (value.max(1e-12) / self.from).ln() / (self.to / self.from).ln(),
            false => (value - self.from) / (self.to - self.from),
        };
        part.clamp(0.0, 1.0)
    }

    /// Values to name, and their names.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let values = match (self.named.is_empty(), self.logarithmic) {
            (false, _) => self.named.clone(),
            (true, true) => self.round_logarithmic(),
            (true, false) => self.round_linear(),
        };
        values.into_iter().map(|v| (v, name(v))).collect()
    }

    fn round_linear(&self) -> Vec<f64> {
        let least = (self.to - self.from) / MOST_TICKS;
        let decade = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|s| s * decade).find(|s| *s >= least).unwrap_or(least);
        let count = ((self.to - self.from) / step + 1e-9) as usize;
        (0..=count).map(|i| self.from + i as f64 * step).collect()
    }

    fn round_logarithmic(&self) -> Vec<f64> {
        let decades = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
        let span = (self.to / self.from).log10();
        let parts: &[f64] = match span {
            _ if span > 4.0 => &[1.0],
            _ if span > 1.5 => &[1.0, 3.0],
            _ => &[1.0, 2.0, 5.0],
        };
        let values = decades.flat_map(|decade| parts.iter().map(move |p| p * 10_f64.powi(decade)));
        values.filter(|v| (self.from..=self.to).contains(v)).collect()
    }
}

fn positive(value: f64) -> f64 {
    if value > 0.0 { value } else { 1.0 }
}

fn name(value: f64) -> String {
    if value >= 1e4 && (value % 1e3).abs() < 1e-6 {
        return format!("{:.0} k", value / 1e3);
    }
    let rounded = (value * 1e4).round() / 1e4;
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let names = |axis: Axis| axis.ticks().into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(names(Axis::ending_at("t", 2048.0)), ["0", "500", "1000", "1500", "2000"]);
        assert_eq!(names(Axis::linear("t", 0.7)), ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]);
        assert_eq!(
            names(Axis::between("dB", -160.0, 0.0)),
            ["-160", "-140", "-120", "-100", "-80", "-60", "-40", "-20", "0"]
        );
        assert_eq!(names(Axis::logarithmic("t", [3.0, 40.0])), ["5", "10", "20", "50"]);
        assert_eq!(names(Axis::logarithmic("t", [16.0, 64.0]).naming(&[16.0, 64.0])), ["16", "64"]);
    }

    #[test]
    fn everything_has_a_place() {
        for axis in [Axis::linear("t", 0.0), Axis::logarithmic("t", []), Axis::logarithmic("t", [5.0])] {
            for value in [0.0, 1.0, 5.0, f64::INFINITY, -1.0] {
                assert!((0.0..=1.0).contains(&axis.place(value)), "{value}");
            }
            assert!(axis.ticks().len() < 20);
        }
    }
}
