//! Frames one after another, panel by panel; of half a panel, two gates at a time.

use std::ops::Range;

use super::{GATES, Lstm};
use crate::kernels::math;
use crate::kernels::recurrent::StateGates;
use crate::kernels::vector::{EIGHT, LANES, Simd, Work};
use crate::plan::{Ring, Walk};

/// What a layer carries from one frame to the next, up to whole panels.
pub(super) struct State<'s> {
    pub(super) cell: &'s mut [f32],
    /// The hidden state before a frame and after it.
    pub(super) hidden: [&'s mut [f32]; 2],
}

/// Some frames of an LSTM.
pub(super) struct Steps<'a, 's> {
    lstm: &'a Lstm,
    input_gates: &'a [f32],
    own: &'a mut [f32],
    state: &'a mut State<'s>,
    frames: usize,
    /// Where the input's half of the next frame's gates lies in `input_gates`, and its row in `own`.
    given: Walk,
    row: Walk,
}

impl<'a, 's> Steps<'a, 's> {
    /// The `frames`, whose gates' input half lies in a ring, into the slice `own` of another.
    pub(super) fn new(
        lstm: &'a Lstm,
        (gates, input_gates): (Ring, &'a [f32]),
        (ring, own): (Ring, &'a mut [f32]),
        state: &'a mut State<'s>,
        frames: Range<i64>,
    ) -> Self {
        let (given, row) = (gates.walk(frames.start, 1), ring.walk(frames.start, 1));
        Self { lstm, input_gates, own, state, frames: (frames.end - frames.start).max(0) as usize, given, row }
    }
}

/// Some frames of two, side by side; neither reads what the other computes meanwhile.
pub(super) struct Pair<'a, 's> {
    pub(super) first: Steps<'a, 's>,
    pub(super) second: Steps<'a, 's>,
}

impl Work for Steps<'_, '_> {
    type Output = usize;

    #[inline(always)]
    fn on<S: Simd>(mut self, s: S) -> usize {
        let mut resets = 0;
        while self.frames > 0 {
            let is_lost = self.frame(s);
            resets += self.end(is_lost);
        }
        resets
    }
}

impl Work for Pair<'_, '_> {
    type Output = usize;

    #[inline(always)]
    fn on<S: Simd>(self, s: S) -> usize {
        let Self { mut first, mut second } = self;
        let mut resets = 0;
        while first.frames > 0 && second.frames > 0 {
            let [one, two] = match (first.half_panel(), second.half_panel()) {
                (Some(one), Some(two)) => halves(s, [one, two]),
                _ => [first.frame(s), second.frame(s)],
            };
            resets += first.end(one) + second.end(two);
        }
        resets + first.on(s) + second.on(s)
    }
}

impl Steps<'_, '_> {
    /// Computes the next frame's state; whether it is no longer finite.
    #[inline(always)]
    fn frame<S: Simd>(&mut self, s: S) -> bool {
        if let Some(half) = self.half_panel() {
            let [is_lost] = halves(s, [half]);
            return is_lost;
        }
        let State { cell, hidden: [before, after] } = &mut *self.state;
        let input_gates = &self.input_gates[self.given.at()..];
        panels(s, self.lstm, input_gates, before, cell.as_chunks_mut().0, after.as_chunks_mut().0)
    }

    /// The next frame, where half a panel is enough.
    #[inline(always)]
    fn half_panel(&mut self) -> Option<HalfPanel<'_>> {
        let State { cell, hidden: [before, after] } = &mut *self.state;
        // Whole lines, so that what was just written is read without waiting for memory.
        let ([cell], [after]) = (cell.as_chunks_mut().0, after.as_chunks_mut().0) else { return None };
        let input_gates = self.input_gates[self.given.at()..].as_chunks().0.first_chunk();
        let from_state = &self.lstm.from_state;
        (self.lstm.hidden <= EIGHT).then(|| HalfPanel {
            from_state,
            input_gates: input_gates.expect("two lines for four gates"),
            before,
            cell,
            after,
        })
    }

    /// Writes the frame's row and goes on; 1 where its state is lost and becomes zero, else 0.
    #[inline(always)]
    fn end(&mut self, is_lost: bool) -> usize {
        let State { cell, hidden } = &mut *self.state;
        if is_lost {
            cell.fill(0.0);
            hidden[1].fill(0.0);
        }
        let [at] = self.row.next(0);
        self.own[at..][..self.lstm.hidden].copy_from_slice(&hidden[1][..self.lstm.hidden]);
        self.given.skip(1);
        hidden.swap(0, 1);
        self.frames -= 1;
        usize::from(is_lost)
    }
}

/// One frame of whole panels; whether its state is no longer finite.
#[inline(always)]
fn panels<S: Simd>(
    s: S,
    lstm: &Lstm,
    input_gates: &[f32],
    before: &[f32],
    cells: &mut [[f32; LANES]],
    states: &mut [[f32; LANES]],
) -> bool {
    let units = LANES * cells.len();
    let mut lost = s.splat(0.0);
    for (panel, cell) in cells.iter_mut().enumerate() {
        let mut begin = [s.splat(0.0); GATES];
        for (gate, begin) in begin.iter_mut().enumerate() {
            *begin = s.load_part(&input_gates[gate * units + panel * LANES..][..LANES]);
        }
        let [input, forget, new, output] = lstm.from_state.sums(s, panel, begin, before);
        let kept = s.mul(math::sigmoid(s, forget), s.load(cell));
        let c = s.mul_add(math::sigmoid(s, input), math::tanh(s, new), kept);
        let h = s.mul(math::sigmoid(s, output), math::tanh(s, c));
        lost = s.select(s.lt(math::abs(s, h), s.splat(f32::INFINITY)), lost, s.splat(1.0));
        s.store(c, cell);
        s.store(h, &mut states[panel]);
    }
    s.any(s.lt(s.splat(0.0), lost))
}

/// What one frame of half a panel is made of.
struct HalfPanel<'a> {
    from_state: &'a StateGates,
    input_gates: &'a [[f32; LANES]; GATES / 2],
    before: &'a [f32],
    cell: &'a mut [f32; LANES],
    after: &'a mut [f32; LANES],
}

/// One frame of half a panel of each of some layers, stage by stage; whether their states are no longer finite.
#[inline(always)]
fn halves<S: Simd, const L: usize>(s: S, layers: [HalfPanel<'_>; L]) -> [bool; L] {
    let mut gates = [[s.splat(0.0); GATES / 2]; L];
    for l in 0..L {
        let [input_forget, new_output] = layers[l].input_gates;
        let begin = [s.load(input_forget), s.load(new_output)];
        gates[l] = layers[l].from_state.sums(s, 0, begin, layers[l].before);
    }
    let mut input_forget = [s.splat(0.0); L];
    for l in 0..L {
        input_forget[l] = math::sigmoid(s, gates[l][0]);
    }
    let mut new = [s.splat(0.0); L];
    for l in 0..L {
        new[l] = math::tanh(s, gates[l][1]);
    }
    // Only first halves count from here on. The second ones are finite where the first ones are.
    let mut c = [s.splat(0.0); L];
    for l in 0..L {
        let kept = s.mul(s.swapped(input_forget[l]), s.load(layers[l].cell));
        c[l] = s.mul_add(input_forget[l], new[l], kept);
    }
    let mut output = [s.splat(0.0); L];
    for l in 0..L {
        output[l] = s.swapped(math::sigmoid(s, gates[l][1]));
    }
    let mut is_lost = [false; L];
    for (l, layer) in layers.into_iter().enumerate() {
        let h = s.mul(output[l], math::tanh(s, c[l]));
        s.store(c[l], layer.cell);
        s.store(h, layer.after);
        let is_finite = s.lt(math::abs(s, h), s.splat(f32::INFINITY));
        is_lost[l] = s.any(s.lt(s.splat(0.0), s.select(is_finite, s.splat(0.0), s.splat(1.0))));
    }
    is_lost
}
