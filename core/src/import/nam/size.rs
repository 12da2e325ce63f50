//! Which of several sizes of a model is played: a number from 0, the smallest, to 1, the largest.

use super::super::ImportError;
use super::file::File;

/// Of a container, the model for `size`; any other model itself.
///
/// # Errors
/// When `size` is out of range.
pub(super) fn chosen(file: &File, size: Option<f32>) -> Result<&File, ImportError> {
    if let Some(size) = size
        && !(0.0..=1.0).contains(&size)
    {
        let found = format!("a size of {size} is asked for");
        return Err(ImportError::unknown(found, "give a number from 0, the smallest, to 1, the largest"));
    }
    let Some(last) = file.submodels.last() else { return Ok(file) };
    let size = f64::from(size.unwrap_or(1.0));
    let found = file.submodels.iter().find(|submodel| size < submodel.max_value).unwrap_or(last);
    // Containers may hold containers.
    chosen(&found.model, Some(size as f32))
}

/// Of a network that gives several numbers of channels, in ascending order, the one for `size`.
pub(super) fn channels(allowed: &[usize], size: f32) -> usize {
    let index = (f64::from(size) * allowed.len() as f64).floor() as usize;
    allowed[index.min(allowed.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_cut_as_the_trainer_cuts_them() {
        for (size, expected) in [(0.0, 2), (0.24, 2), (0.25, 3), (0.5, 5), (0.74, 5), (0.75, 8), (1.0, 8)] {
            assert_eq!(channels(&[2, 3, 5, 8], size), expected, "{size}");
        }
    }
}
