//! Progress bars on stderr, for what takes longer than a second. Hidden when stderr is not a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `total` steps that appears after a second and vanishes at its end.
pub(crate) struct Progress {
    bar: ProgressBar,
    appears: Option<Instant>,
}

impl Progress {
    /// A bar for `what`, such as `Rendering`.
    pub(crate) fn new(what: &str, total: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3}% {eta:>4} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        Self { bar, appears: Some(Instant::now() + Duration::from_secs(1)) }
    }

    /// Counts `steps` done.
    pub(crate) fn advance(&mut self, steps: usize) {
        if self.appears.is_some_and(|at| Instant::now() >= at) {
            self.appears = None;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(steps as u64);
    }

    /// Shows `text` beside the bar.
    pub(crate) fn tell(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Runs `work` beside a spinner.
pub(crate) fn spin<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let spinner = ProgressBar::new_spinner();
    spinner.set_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    let result = work();
    spinner.finish_and_clear();
    result
}
