//! What commands print: facts in aligned lines, tables in aligned columns, numbers in units that people read.

use std::io::Write;

use anyhow::{Context, Result};

/// Prints `text` and a newline to stdout. A reader that has gone away, such as `head`, is no failure.
pub(crate) fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to stdout"),
    }
}

/// Prints `value` as JSON to stdout.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(&serde_json::to_string_pretty(value).context("cannot write the report as JSON")?)
}

/// Tells a person of something that is no failure, on stderr.
pub(crate) fn warn(text: &str) {
    eprintln!("warning: {text}");
}

/// Tells a person what is to come, on stderr.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// `name  value` lines with aligned values.
pub(crate) fn facts(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<_> = lines.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
    lines.join("\n")
}

/// How a column of a [`table`] stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// Rows under their heads, in aligned columns.
pub(crate) fn table(heads: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width =
        |i: usize| rows.iter().map(|r| r[i].chars().count()).chain([heads[i].0.chars().count()]).max().unwrap_or(0);
    let widths: Vec<_> = (0..heads.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let cells: Vec<_> = cells
            .iter()
            .enumerate()
            .map(|(i, cell)| match heads[i].1 {
                Align::Left => format!("{cell:<0$}", widths[i]),
                Align::Right => format!("{cell:>0$}", widths[i]),
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&heads.iter().map(|h| h.0).collect::<Vec<_>>())];
    lines.extend(rows.iter().map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>())));
    lines.join("\n")
}

/// `1 234 567`, with thin groups for the eye.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// `12.3 M`: three digits and a decimal prefix.
pub(crate) fn scaled(n: f64) -> String {
    let (value, prefix) = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")]
        .into_iter()
        .find(|(scale, _)| n >= *scale)
        .map_or((n, " "), |(scale, prefix)| (n / scale, prefix));
    let decimals = if value >= 100.0 || (prefix == " " && value.fract() == 0.0) {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}{prefix}")
}

/// `12.3 MB`.
pub(crate) fn bytes(n: u64) -> String {
    format!("{}B", scaled(n as f64))
}

/// `26 568 samples, 602.4 ms`.
pub(crate) fn latency(samples: u64, sampling_rate: u32) -> String {
    let ms = samples as f64 * 1e3 / f64::from(sampling_rate);
    format!("{} {}, {ms:.1} ms", grouped(samples), plural(samples, "sample"))
}

/// `noun`, or its plural for any number but one.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    if n == 1 { noun.to_owned() } else { format!("{noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(26_568), "26 568");
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(109_400_000), "109 MB");
        assert_eq!(scaled(1.5e9), "1.50 G");
        assert_eq!(latency(1, 44_100), "1 sample, 0.0 ms");
        assert_eq!(latency(26_568, 44_100), "26 568 samples, 602.4 ms");
    }

    #[test]
    fn columns_align() {
        let text = table(&[("node", Align::Left), ("MACs", Align::Right)], &[vec!["a".into(), "12".into()]]);
        assert_eq!(text, "node  MACs\na       12");
    }
}
