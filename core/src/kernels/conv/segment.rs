//! In which order the products of a sum are added.

use crate::stream::Tap;

use super::Layout;

/// Products summed on their own before they join the sum: rounding grows with the length of a chain of additions.
pub(super) const BLOCK: usize = 32;

/// Products whose inputs lie in one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// Input frame of the first, relative to `q · stride`.
    pub(super) frame: i64,
    /// Input of the first, within its group.
    pub(super) column: usize,
    /// Products.
    pub(super) length: usize,
    /// Whether the block ends here.
    pub(super) closes: bool,
}

impl Segment {
    /// Rows of `row` channels that the products reach into behind the first.
    pub(super) fn rows_beyond_first(&self, row: usize) -> usize {
        (self.column + self.length - 1) / row
    }
}

/// The products of `inputs` channels at each of the taps, tap by tap. Blocks begin anew at each tap where `inputs` is a
/// multiple of their length.
pub(super) fn segments(taps: &[Tap], inputs: usize, groups: usize, layout: Layout) -> Vec<Segment> {
    let products = taps.len() * inputs;
    let block = match layout {
        // Lanes are chains of their own, and joining them costs.
        Layout::Dot if inputs.is_multiple_of(BLOCK) => inputs,
        Layout::Dot => products,
        Layout::Panels | Layout::Phases | Layout::Channels => BLOCK,
    };
    let in_one_piece = groups == 1 && taps.windows(2).all(|pair| pair[1].offset == pair[0].offset + 1);
    let mut segments = Vec::new();
    let mut at = 0;
    while at < products {
        let (tap, column) = (at / inputs, at % inputs);
        let to_close = block - at % block;
        let piece = if in_one_piece { products - at } else { inputs - column };
        let length = to_close.min(piece).min(products - at);
        at += length;
        segments.push(Segment {
            frame: taps[tap].offset,
            column,
            length,
            closes: length == to_close || at == products,
        });
    }
    segments
}
