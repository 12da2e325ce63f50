//! What the demo model is made of: the one description that training and the exported graph share.

/// Values per latent frame.
pub(crate) const LATENTS: usize = 8;
/// Samples per latent frame.
#[cfg(test)]
pub(crate) const RATIO: usize = 64;
/// Gain of every activation below zero.
pub(crate) const SLOPE: f32 = 0.2;

/// A part of the model, as it is read from input to output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// A centred convolution.
    Conv { inputs: usize, out: usize, kernel_size: usize },
    /// A centred convolution with a stride; its kernel covers a whole number of strides.
    Down { inputs: usize, out: usize, kernel_size: usize, stride: usize },
    /// A centred transposed convolution; its kernel covers a whole number of strides.
    Up { inputs: usize, out: usize, kernel_size: usize, stride: usize },
    /// `x + conv1(activation(conv3(activation(x))))`, centred, the wide convolution dilated.
    Residual { channels: usize, dilation: usize },
    /// Leaky ReLU of [`SLOPE`].
    Activation,
    /// The output's limit.
    Tanh,
}

/// Audio to latents.
pub(crate) const ENCODE: &[Part] = &[
    Part::Down { inputs: 1, out: 24, kernel_size: 32, stride: 8 },
    Part::Residual { channels: 24, dilation: 1 },
    Part::Residual { channels: 24, dilation: 3 },
    Part::Activation,
    Part::Down { inputs: 24, out: 40, kernel_size: 8, stride: 4 },
    Part::Residual { channels: 40, dilation: 1 },
    Part::Residual { channels: 40, dilation: 3 },
    Part::Activation,
    Part::Down { inputs: 40, out: 64, kernel_size: 4, stride: 2 },
    Part::Residual { channels: 64, dilation: 1 },
    Part::Residual { channels: 64, dilation: 3 },
    Part::Activation,
    Part::Conv { inputs: 64, out: LATENTS, kernel_size: 3 },
];

/// Latents to audio.
pub(crate) const DECODE: &[Part] = &[
    Part::Conv { inputs: LATENTS, out: 64, kernel_size: 3 },
    Part::Residual { channels: 64, dilation: 1 },
    Part::Residual { channels: 64, dilation: 3 },
    Part::Activation,
    Part::Up { inputs: 64, out: 40, kernel_size: 4, stride: 2 },
    Part::Residual { channels: 40, dilation: 1 },
    Part::Residual { channels: 40, dilation: 3 },
    Part::Activation,
    Part::Up { inputs: 40, out: 24, kernel_size: 8, stride: 4 },
    Part::Residual { channels: 24, dilation: 1 },
    Part::Residual { channels: 24, dilation: 3 },
    Part::Activation,
    Part::Up { inputs: 24, out: 1, kernel_size: 32, stride: 8 },
    Part::Tanh,
];

impl Part {
    /// The shapes of its weights, in PyTorch's layouts; a bias goes with each.
    pub(crate) fn weights(self) -> Vec<[usize; 3]> {
        match self {
            Self::Conv { inputs, out, kernel_size } | Self::Down { inputs, out, kernel_size, .. } => {
                vec![[out, inputs, kernel_size]]
            }
            Self::Up { inputs, out, kernel_size, .. } => vec![[inputs, out, kernel_size]],
            Self::Residual { channels, .. } => vec![[channels, channels, 3], [channels, channels, 1]],
            Self::Activation | Self::Tanh => vec![],
        }
    }

    /// The length of the bias that goes with weights of this shape.
    pub(crate) fn bias(self, weight: [usize; 3]) -> usize {
        if matches!(self, Self::Up { .. }) { weight[1] } else { weight[0] }
    }
}
