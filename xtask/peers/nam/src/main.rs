//! Plays a `.nam` model with nam-rs, block by block, on one thread; started and told as the peers of `../peer.py` are.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use nam_rs::{Model, NamModel};
use rustix::time::{ClockId, clock_gettime};

const WARM_UP_CALLS: usize = 8;
/// Calls that do nothing, for what reading the clocks takes.
const EMPTY_CALLS: usize = 101;

fn main() {
    if let Err(error) = serve() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, signal, channels, block] = &arguments[..] else {
        return Err("use: nam-peer MODEL SIGNAL CHANNELS BLOCK".into());
    };
    let block: usize = block.parse()?;
    if channels != "1" {
        return Err(format!("nam-rs plays one channel, not {channels}").into());
    }
    let mut player = Player::new(model, &std::fs::read(signal)?, block)?;
    (0..WARM_UP_CALLS).for_each(|_| player.call());
    let mut answers = std::io::stdout();
    writeln!(answers, r#"{{"version": "nam-rs 0.4.0"}}"#)?;
    for order in std::io::stdin().lock().lines() {
        let order = order?;
        let (lead_in, calls) = order.split_once(' ').ok_or("an order is LEAD_IN CALLS")?;
        (0..lead_in.parse()?).for_each(|_| player.call());
        let calls: usize = calls.parse()?;
        let together = timed(1, || (0..calls).for_each(|_| player.call())).map(|times| times[0]);
        let clocks = timed(EMPTY_CALLS, || ()).map(|mut empty| {
            empty.sort_unstable();
            empty[EMPTY_CALLS / 2]
        });
        let [mut cpu, mut wall] = timed(calls, || player.call());
        for (times, clocks) in [(&mut cpu, clocks[0]), (&mut wall, clocks[1])] {
            times.iter_mut().for_each(|time| *time = time.saturating_sub(clocks));
        }
        writeln!(answers, r#"{{"together_ns": {together:?}, "cpu_ns": {cpu:?}, "wall_ns": {wall:?}}}"#)?;
        answers.flush()?;
    }
    Ok(())
}

/// A model that plays the next block of a signal, over and over.
struct Player {
    model: Model,
    blocks: Vec<Vec<f32>>,
    next: usize,
    output: Vec<f32>,
}

impl Player {
    /// `signal`: little-endian f32.
    fn new(model: &str, signal: &[u8], block: usize) -> Result<Self, Box<dyn Error>> {
        let model = Model::from_nam(&NamModel::from_file(model)?)?;
        let samples: Vec<f32> = signal.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let blocks: Vec<_> = samples.chunks_exact(block.max(1)).map(<[f32]>::to_vec).collect();
        if blocks.is_empty() {
            return Err(format!("the signal has {} samples, fewer than a block of {block}", samples.len()).into());
        }
        Ok(Self { model, blocks, next: 0, output: vec![0.0; block] })
    }

    fn call(&mut self) {
        self.output.copy_from_slice(&self.blocks[self.next]);
        self.model.process_buffer(&mut self.output);
        self.next = (self.next + 1) % self.blocks.len();
    }
}

/// CPU and wall nanoseconds of each of so many calls, the reading of the clocks included.
fn timed(calls: usize, mut call: impl FnMut()) -> [Vec<u128>; 2] {
    let mut times = [vec![], vec![]];
    for _ in 0..calls {
        let started = (cpu_time(), Instant::now());
        call();
        times[0].push((cpu_time() - started.0).as_nanos());
        times[1].push(started.1.elapsed().as_nanos());
    }
    times
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
