//! Signal: values over time, as the evaluator reads and writes them.

use burn::tensor::{Device, Tensor};

use crate::layer::load;

/// A stretch of one node's signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Channels.
    pub channels: usize,
    /// Index of the first frame held; negative for frames before the signal proper.
    pub first: i64,
    /// `[channels, frames]`, row-major.
    pub data: Vec<f32>,
}

impl Signal {
    /// A signal that starts at frame 0. `data` is `[channels, frames]`.
    ///
    /// # Panics
    /// When `data` does not divide into `channels` rows.
    pub fn new(channels: usize, data: Vec<f32>) -> Self {
        assert!(channels > 0 && data.len().is_multiple_of(channels), "{} values, {channels} channels", data.len());
        Self { channels, first: 0, data }
    }

    /// Silence of `frames` frames, from frame `first` on.
    pub fn zeros(channels: usize, first: i64, frames: usize) -> Self {
        Self { channels, first, data: vec![0.0; channels * frames] }
    }

    /// This signal between `before` and `after` frames of silence. `before` must be a multiple of [`crate::hop`].
    pub fn embed(&self, before: usize, after: usize) -> Self {
        let mut data = Vec::with_capacity(self.data.len() + self.channels * (before + after));
        for channel in 0..self.channels {
            data.resize(data.len() + before, 0.0);
            data.extend_from_slice(self.row(channel));
            data.resize(data.len() + after, 0.0);
        }
        Self { channels: self.channels, first: self.first - before as i64, data }
    }

    /// Number of frames held.
    pub fn frames(&self) -> usize {
        self.data.len() / self.channels
    }

    /// All frames of one channel.
    pub fn row(&self, channel: usize) -> &[f32] {
        let frames = self.frames();
        &self.data[channel * frames..(channel + 1) * frames]
    }

    /// Silence on the right, up to a multiple of `hop` frames.
    pub(crate) fn pad_to(&self, hop: usize) -> Self {
        self.embed(0, self.frames().next_multiple_of(hop) - self.frames())
    }

    /// `[1, channels, frames]`.
    pub(crate) fn to_tensor(&self, device: &Device) -> Tensor<3> {
        let shape = [1, self.channels, self.frames()];
        load(&self.data, shape, device)
    }

    pub(crate) fn from_tensor(tensor: Tensor<3>, first: i64) -> Self {
        let channels = tensor.dims()[1];
        Self { channels, first, data: values(tensor) }
    }
}

/// The values of a tensor, row-major.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("f32 values on a CPU device")
}
