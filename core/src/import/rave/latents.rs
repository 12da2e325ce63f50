//! How many latents stay.

use super::description::{Description, Latents};
use super::weights::malformed;
use crate::import::{ImportError, LatentChoice};
use crate::tensor::Weight;

/// RAVE's own default: the share of variance that the kept components explain.
const DEFAULT_FIDELITY: f32 = 0.95;

/// The number of latents that `choice` keeps of the described model.
///
/// # Errors
/// When the choice is out of range, or the model has no components to choose from.
pub(super) fn kept(description: &Description, choice: LatentChoice) -> Result<usize, ImportError> {
    let Latents::Variational { mean, fidelity, .. } = &description.latents else {
        let fixed = fixed(description)?;
        return match choice {
            LatentChoice::Default => Ok(fixed),
            LatentChoice::Count(count) if count == fixed => Ok(fixed),
            _ => Err(ImportError::Unknown {
                found: format!("a model whose {fixed} latents cannot be ordered by importance"),
                cure: "leave the number of latents and the fidelity to their defaults".into(),
            }),
        };
    };
    let full = mean.len();
    match choice {
        LatentChoice::Default => match description.exported_latents {
            Some(count) if (1..=full).contains(&count) => Ok(count),
            Some(count) => Err(malformed("latent_size", format!("is {count}; the model has {full} latents"))),
            None => Ok(by_fidelity(fidelity, DEFAULT_FIDELITY)),
        },
        LatentChoice::Fidelity(share) if (0.1..=0.999).contains(&share) => Ok(by_fidelity(fidelity, share)),
        LatentChoice::Fidelity(share) => Err(ImportError::Unknown {
            found: format!("a fidelity of {share}"),
            cure: "take one from 0.1 to 0.999".into(),
        }),
        LatentChoice::Count(count) if (1..=full).contains(&count) => Ok(count),
        LatentChoice::Count(count) => Err(ImportError::Unknown {
            found: format!("{count} latents asked for"),
            cure: format!("take from 1 to {full}, which is what the model has"),
        }),
    }
}

/// The latents of a model that has no principal components.
fn fixed(description: &Description) -> Result<usize, ImportError> {
    if let Latents::Discrete { codebooks } = &description.latents {
        return Ok(codebooks.shape()[0]);
    }
    let width =
        description.encoder.last().and_then(super::description::Layer::channels).ok_or_else(|| {
            malformed("encoder.net", "does not end in a convolution; the checkpoint is damaged".into())
        })?;
    match description.latents {
        Latents::Spherical => Ok(width.saturating_sub(1).max(1)),
        _ => Ok(width),
    }
}

/// The power of two at or above the index of the first component that takes the explained variance beyond `share`.
fn by_fidelity(fidelity: &Weight, share: f32) -> usize {
    let index = fidelity.data().iter().position(|&f| f > share).unwrap_or(0);
    index.max(1).next_power_of_two().min(fidelity.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tensor::Tensor;

    #[test]
    fn fidelity_rounds_up_to_a_power_of_two() {
        let fidelity = |values: &[f32]| Arc::new(Tensor::new([values.len()], values.to_vec()));
        let slow: Vec<f32> = (1..=12).map(|i| i as f32 / 12.0).collect();
        assert_eq!(by_fidelity(&fidelity(&slow), 0.4), 4);
        assert_eq!(by_fidelity(&fidelity(&slow), 0.5), 8, "component 6 is the first beyond a half");
        assert_eq!(by_fidelity(&fidelity(&slow), 0.95), 12, "no more than there are");
        assert_eq!(by_fidelity(&fidelity(&[0.0; 8]), 0.95), 1, "an unset fidelity keeps one, as the reference does");
        assert_eq!(by_fidelity(&fidelity(&[0.99, 1.0]), 0.95), 1);
    }
}
