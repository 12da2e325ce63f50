//! The method table: a host may call a method that has a buffer beside it, such as `forward_params`, with channels and
//! samples per frame of what it reads, and the same of what it makes.

use crate::import::ImportError;
use crate::import::onnx::dim::Fraction;
use crate::import::script::Module;
use crate::import::script::program::Program;
use crate::import::script::value::constant;

/// What stands behind a method's or an attribute's name.
const SUFFIX: &str = "_params";
/// Channels of a method's input or output, at most.
const MOST_CHANNELS: i64 = 1 << 12;
/// Samples per frame, at most.
const MOST_RATIO: i64 = 1 << 20;

/// What a method reads and makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    pub(super) channels: usize,
    /// Samples per frame of the input.
    pub(super) ratio: usize,
    /// Channels and frames per input frame of the result, where the file tells.
    pub(super) makes: Option<(usize, Fraction)>,
}

impl Signature {
    /// Of a method that the file tells nothing of.
    pub(super) const MONO: Self = Self { channels: 1, ratio: 1, makes: None };
}

/// What the file tells of a method; `None` where it tells nothing.
///
/// # Errors
/// When what it tells is no signature.
pub(super) fn signature(root: &Module, method: &str) -> Result<Option<Signature>, ImportError> {
    let name = format!("{method}{SUFFIX}");
    let Some(told) = root.tensor(&name) else { return Ok(None) };
    let numbers = constant(told).to_ints().ok();
    let Some(&[channels, ratio, out_channels, out_ratio]) = numbers.as_deref() else {
        return Err(ImportError::malformed(name, "holds no four whole numbers: channels and ratio, in and out"));
    };
    let fits = |n: i64, most: i64| (1..=most).contains(&n);
    if !fits(channels, MOST_CHANNELS)
        || !fits(out_channels, MOST_CHANNELS)
        || !fits(ratio, MOST_RATIO)
        || !fits(out_ratio, MOST_RATIO)
    {
        let reason = format!(
            "is {:?}; channels from 1 to {MOST_CHANNELS} and ratios from 1 to {MOST_RATIO} are read",
            [channels, ratio, out_channels, out_ratio]
        );
        return Err(ImportError::malformed(name, reason));
    }
    let rate = Fraction::new(i128::from(ratio), i128::from(out_ratio));
    Ok(Some(Signature {
        channels: channels as usize,
        ratio: ratio as usize,
        makes: rate.map(|rate| (out_channels as usize, rate)),
    }))
}

/// The names that have such a buffer beside them: those of methods, and those of attributes.
///
/// # Errors
/// When the code of the model's class cannot be read.
pub(super) fn names<'m>(
    root: &'m Module,
    program: &mut Program<'_>,
) -> Result<(Vec<&'m str>, Vec<&'m str>), ImportError> {
    let (mut methods, mut attributes) = (vec![], vec![]);
    for name in root.attributes.keys().filter_map(|name| name.strip_suffix(SUFFIX)) {
        let is_method = program.has_method(&root.qualified, name)?;
        if is_method { methods.push(name) } else { attributes.push(name) }
    }
    Ok((methods, attributes))
}
