//! Wakes the window when sound flows: while none does, nothing is painted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::window::Repaint;
use crate::telemetry::Telemetry;

/// Between two pictures.
pub(super) const FRAME: Duration = Duration::from_millis(33);

/// A thread that looks at the audio thread's count of calls. It ends with this.
pub(super) struct Watch(Arc<AtomicBool>);

impl Watch {
    /// Starts looking.
    pub(super) fn start(telemetry: Arc<Telemetry>, repaint: Repaint) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let look = move || {
            let mut calls = telemetry.calls();
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(FRAME);
                let now = telemetry.calls();
                if now != calls {
                    calls = now;
                    repaint.request();
                }
            }
        };
        // Without a thread the window still paints when it is touched.
        let _ = thread::Builder::new().name("runnel-watch".into()).spawn(look);
        Self(stop)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
