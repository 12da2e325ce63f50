//! Channels through a queue, frame by frame.

use rtrb::{Consumer, Producer};

/// Puts `frames` frames of all channels into the queue; nothing, and `false`, where there is no room for all.
pub fn put(queue: &mut Producer<f32>, channels: &[Vec<f32>], frames: usize) -> bool {
    let count = channels.len();
    let Ok(chunk) = queue.write_chunk_uninit(frames * count) else { return false };
    chunk.fill_from_iter((0..frames * count).map(|at| channels[at % count][at / count]));
    true
}

/// Takes `frames` frames out of the queue, to the place from `start` on of each channel; nothing where fewer wait.
pub fn take(queue: &mut Consumer<f32>, channels: &mut [Vec<f32>], start: usize, frames: usize) {
    let count = channels.len();
    if let Ok(chunk) = queue.read_chunk(frames * count) {
        for (at, sample) in chunk.into_iter().enumerate() {
            channels[at % count][start + at / count] = sample;
        }
    }
}

/// Drops as many samples as wait, `most` at most.
pub fn skip(queue: &mut Consumer<f32>, most: usize) {
    if let Ok(chunk) = queue.read_chunk(queue.slots().min(most)) {
        chunk.commit_all();
    }
}

#[cfg(test)]
mod tests {
    use rtrb::RingBuffer;

    use super::*;

    #[test]
    fn what_is_put_is_taken() {
        let (mut to, mut from) = RingBuffer::new(6);
        let channels = [vec![1.0, 2.0, 3.0, 9.0], vec![4.0, 5.0, 6.0, 9.0]];
        assert!(put(&mut to, &channels, 3));
        assert!(!put(&mut to, &channels, 1), "it is full");
        skip(&mut from, 2);
        let mut taken = [vec![0.0; 3], vec![0.0; 3]];
        take(&mut from, &mut taken, 1, 2);
        assert_eq!(taken, [[0.0, 2.0, 3.0], [0.0, 5.0, 6.0]]);
    }
}
