//! Conv and ConvTranspose. One spatial axis is time; any other is finite, and becomes channels: the kernel is written
//! out over its positions.

use super::Outcome;
use super::matmul::on_axis;
use crate::graph::{Conv1d, ConvTranspose1d, Op};
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::offsets;
use crate::import::onnx::dim::{Dim, Fraction};
use crate::import::onnx::value::{Axis, Signal, packed_axes};

/// One spatial axis of a convolution or pooling.
pub(super) struct Spatial {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    /// Before and after; `None` where `auto_pad` decides.
    pads: Option<(i64, i64)>,
    automatic: Automatic,
}

#[derive(Clone, Copy, PartialEq)]
enum Automatic {
    Upper,
    Lower,
}

/// Reach of a kernel and pads beyond which a layer is refused.
const MOST: i64 = 1 << 24;

impl Spatial {
    /// The axes behind the first two of a signal of `rank` axes.
    pub(super) fn of(call: &Call<'_>, kernels: &[usize]) -> Outcome<Vec<Self>> {
        let count = kernels.len();
        let list = |name: &str, absent: i64, len: usize| match call.ints(name) {
            None => Ok(vec![absent; len]),
            Some(list) if list.len() == len && list.iter().all(|v| v.abs() <= MOST) => Ok(list.to_vec()),
            Some(list) => Err(format!("{name} is {list:?}, {len} numbers are needed")),
        };
        let positive = |name: &str, value: i64| {
            usize::try_from(value).ok().filter(|&v| v > 0).ok_or_else(|| format!("{name} is {value}"))
        };
        let (strides, dilations) = (list("strides", 1, count)?, list("dilations", 1, count)?);
        let pads = list("pads", 0, 2 * count)?;
        let (explicit, automatic) = match call.text("auto_pad", "NOTSET") {
            "NOTSET" => (Some(pads), Automatic::Upper),
            "VALID" => (Some(vec![0; 2 * count]), Automatic::Upper),
            "SAME_UPPER" => (None, Automatic::Upper),
            "SAME_LOWER" => (None, Automatic::Lower),
            other => return Err(format!("auto_pad is {other:?}")),
        };
        (0..count)
            .map(|axis| {
                let spatial = Self {
                    kernel: positive("the kernel's size", kernels[axis] as i64)?,
                    stride: positive("a stride", strides[axis])?,
                    dilation: positive("a dilation", dilations[axis])?,
                    pads: explicit.as_ref().map(|pads| (pads[axis], pads[axis + count])),
                    automatic,
                };
                let reach = (spatial.kernel as i64).checked_mul(spatial.dilation as i64);
                if reach.is_none_or(|reach| reach > MOST) {
                    return Err(format!("its kernel reaches over {MOST} frames or more"));
                }
                Ok(spatial)
            })
            .collect()
    }

    pub(super) fn span(&self) -> i64 {
        (self.kernel as i64 - 1) * self.dilation as i64 + 1
    }

    /// Pads before and after an axis of this length.
    pub(super) fn pads(&self, length: Dim) -> Outcome<(i64, i64)> {
        if let Some(pads) = self.pads {
            return Ok(pads);
        }
        let stride = Dim::fixed(self.stride as i64);
        let total = (|| {
            let steps = length.over(stride)?.ceil()?.minus(Dim::fixed(1))?;
            steps.times(stride)?.plus(Dim::fixed(self.span()))?.minus(length)?.known()
        })();
        let total = total.ok_or_else(|| format!("auto_pad over {length} frames has no fixed size"))?.max(0);
        let less = total / 2;
        Ok(if self.automatic == Automatic::Upper { (less, total - less) } else { (total - less, less) })
    }

    /// Length after this axis, and the pad before it.
    pub(super) fn strided(&self, length: Dim, ceil: bool) -> Outcome<(Dim, i64)> {
        let (before, after) = self.pads(length)?;
        let steps = (|| {
            let free = length.plus(Dim::fixed(before + after - self.span()))?;
            let steps = free.over(Dim::fixed(self.stride as i64))?;
            if ceil { steps.ceil() } else { Some(steps.floor()) }?.plus(Dim::fixed(1))
        })();
        let length = steps.ok_or("its length does not fit 64 bits")?;
        if length.order(Dim::fixed(1)).is_lt() {
            return Err(format!("leaves {length} frames"));
        }
        Ok((length, before))
    }
}

/// A signal as convolutions read it: `[batch, channels, spatial…]`, packed.
pub(super) struct Grid {
    pub(super) x: Signal,
    /// Entries of the batch axis, which do not mix.
    pub(super) batch: usize,
    pub(super) channels: usize,
    /// Which of the spatial axes is time.
    pub(super) time: usize,
    /// Sizes of the spatial axes, 1 for time.
    pub(super) sizes: Vec<usize>,
}

impl Grid {
    pub(super) fn of(build: &mut Build, x: &Signal) -> Outcome<Self> {
        let shape = || x.shape_text();
        let Some(time) = x.time_axis().filter(|&time| time >= 2) else {
            return Err(format!("reads {}: time (T) must lie behind the batch and channel axes", shape()));
        };
        let x = build.packed(x)?;
        let sizes = x.sizes();
        Ok(Self { batch: sizes[0], channels: sizes[1], time: time - 2, sizes: sizes[2..].to_vec(), x })
    }

    /// The axes of a signal with these channels and spatial sizes.
    pub(super) fn axes(&self, channels: usize, sizes: &[usize]) -> Vec<Axis> {
        let spatial = sizes.iter().enumerate().map(|(axis, &size)| (axis != self.time).then_some(size));
        packed_axes(&[Some(self.batch), Some(channels)].into_iter().chain(spatial).collect::<Vec<_>>())
    }
}

/// Weight, bias, and their sizes.
struct Kernel {
    weight: std::rc::Rc<[f32]>,
    /// Both channel sizes, then the kernel's.
    shape: Vec<usize>,
    bias: Option<std::rc::Rc<[f32]>>,
    groups: usize,
}

impl Kernel {
    fn of(call: &Call<'_>, rank: usize) -> Outcome<Self> {
        let weight = call.constant_needed(1)?;
        if weight.shape.len() != rank || rank < 3 {
            return Err(format!("its weight has shape {:?}, {rank} axes are needed", weight.shape));
        }
        let bias = call.constant(2)?.map(|bias| bias.to_floats()).transpose()?;
        let groups = usize::try_from(call.int("group", 1)).ok().filter(|&g| g > 0).ok_or("group is not positive")?;
        Ok(Self { weight: weight.to_floats()?, shape: weight.shape.clone(), bias, groups })
    }

    /// The bias of each output, repeated over `positions` and the batch.
    fn repeated_bias(
        &self,
        build: &mut Build,
        out: usize,
        positions: usize,
        batch: usize,
    ) -> Outcome<Option<crate::Weight>> {
        let Some(bias) = &self.bias else { return Ok(None) };
        if bias.len() != out {
            return Err(format!("its bias has {} values, {out} are needed", bias.len()));
        }
        let each = bias.iter().flat_map(|b| std::iter::repeat_n(*b, positions));
        let all = each.collect::<Vec<_>>().repeat(batch);
        build.weight(&[all.len()], all).map(Some)
    }
}

pub(super) fn conv(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    if call.signal(0)?.time_axis().is_none() {
        return held(build, call);
    }
    let grid = Grid::of(build, call.signal(0)?)?;
    let kernel = Kernel::of(call, grid.sizes.len() + 2)?;
    let spatial = Spatial::of(call, &kernel.shape[2..])?;
    let (out, inputs, groups) = (kernel.shape[0], kernel.shape[1], kernel.groups);
    if inputs.checked_mul(groups) != Some(grid.channels) || out % groups != 0 {
        return Err(format!(
            "its weight {:?} in {groups} groups does not fit {} channels",
            kernel.shape, grid.channels
        ));
    }
    let (frames, before) = spatial[grid.time].strided(grid.x.frames, false)?;
    let finite = Finite::strided(&spatial, &grid)?;
    let (positions_in, positions_out) = (finite.positions(&grid.sizes), finite.positions(&finite.sizes));
    let taps = spatial[grid.time].kernel;
    let (rows, columns) = (out * positions_out, inputs * positions_in);
    let len = rows.checked_mul(columns).and_then(|n| n.checked_mul(taps)).and_then(|n| n.checked_mul(grid.batch));
    let len = len.ok_or("its kernel over all positions does not fit memory")?;
    let values = if finite.is_plain(&spatial, &grid) && grid.batch == 1 {
        kernel.weight.to_vec()
    } else {
        build.spend(len)?;
        let mut values = vec![0.0; rows * columns * taps];
        finite.each(&spatial, &grid, |position_out, position_in, kernel_at, tap| {
            for o in 0..out {
                for i in 0..inputs {
                    let from = (o * inputs + i) * finite.kernel_len + kernel_at;
                    let to = (o * positions_out + position_out) * columns + i * positions_in + position_in;
                    values[to * taps + tap] += kernel.weight[from];
                }
            }
        });
        values.repeat(grid.batch)
    };
    let weight = build.weight(&[grid.batch * rows, columns, taps], values)?;
    let bias = kernel.repeated_bias(build, out, positions_out, grid.batch)?;
    let op = Op::Conv1d(Conv1d {
        weight,
        bias,
        stride: spatial[grid.time].stride,
        dilation: spatial[grid.time].dilation,
        left_padding: before - grid.x.shift,
        groups: groups * grid.batch,
    });
    let node = build.push(op, &[grid.x.node])?;
    Ok(Signal { node, shift: 0, frames, axes: grid.axes(out, &finite.sizes) })
}

/// A kernel of one tap over a held tensor, whose place in time has size 1.
fn held(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let x = call.signal(0)?;
    let kernel = Kernel::of(call, x.axes.len())?;
    let single = kernel.shape[2..].iter().chain(&x.sizes()[2..]).all(|&n| n == 1) && x.sizes()[0] == 1;
    if !single || kernel.groups != 1 {
        return Err(format!(
            "reads {}, which is held, with a weight {:?} in {} groups; one tap and one group are read",
            x.shape_text(),
            kernel.shape,
            kernel.groups
        ));
    }
    let bias = kernel.bias.as_ref().map(|bias| bias.to_vec());
    on_axis(build, x, 1, kernel.shape[0], kernel.shape[1], kernel.weight.to_vec(), bias)
}

pub(super) fn transposed(build: &mut Build, call: &Call<'_>) -> Outcome<Signal> {
    let grid = Grid::of(build, call.signal(0)?)?;
    let kernel = Kernel::of(call, grid.sizes.len() + 2)?;
    let spatial = Spatial::of(call, &kernel.shape[2..])?;
    let (inputs, per_group, groups) = (kernel.shape[0], kernel.shape[1], kernel.groups);
    if inputs != grid.channels || inputs % groups != 0 {
        return Err(format!(
            "its weight {:?} in {groups} groups does not fit {} channels",
            kernel.shape, grid.channels
        ));
    }
    let more = call.ints("output_padding").map_or(vec![0; spatial.len()], <[i64]>::to_vec);
    let wanted = call.ints("output_shape").map(|shape| shape[shape.len().saturating_sub(spatial.len())..].to_vec());
    if more.len() != spatial.len() || wanted.as_ref().is_some_and(|w| w.len() != spatial.len()) {
        return Err("output_padding or output_shape has another number of axes than the kernel".into());
    }
    let axis = |build: &Build, axis: usize, length: Dim| {
        let wanted = wanted.as_ref().map(|wanted| wanted[axis]);
        spatial[axis].spread(build, length, more[axis], wanted)
    };
    let (frames, trim) = axis(build, grid.time, grid.x.frames)?;
    let mut finite = Finite { sizes: vec![1; spatial.len()], before: vec![0; spatial.len()], kernel_len: 1 };
    for at in (0..spatial.len()).filter(|&at| at != grid.time) {
        let (size, before) = axis(build, at, Dim::fixed(grid.sizes[at] as i64))?;
        finite.sizes[at] = finite_size(size)?;
        finite.before[at] = before;
    }
    finite.kernel_len = kernel.shape[2..].iter().product();
    let (positions_in, positions_out) = (finite.positions(&grid.sizes), finite.positions(&finite.sizes));
    let time = &spatial[grid.time];
    let taps = time.span() as usize;
    let (rows, columns) = (inputs * positions_in, per_group * positions_out);
    let len = rows.checked_mul(columns).and_then(|n| n.checked_mul(taps)).and_then(|n| n.checked_mul(grid.batch));
    build.spend(len.ok_or("its kernel over all positions does not fit memory")?)?;
    let mut values = vec![0.0; rows * columns * taps];
    // The transposed kernel reads where the plain one writes.
    let mirrored = Finite { sizes: grid.sizes.clone(), ..finite.clone() };
    mirrored.each_between(&spatial, grid.time, &finite.sizes, |position_in, position_out, kernel_at, tap| {
        for i in 0..inputs {
            for o in 0..per_group {
                let from = (i * per_group + o) * finite.kernel_len + kernel_at;
                let to = (i * positions_in + position_in) * columns + o * positions_out + position_out;
                values[to * taps + tap * time.dilation] += kernel.weight[from];
            }
        }
    });
    let weight = build.weight(&[grid.batch * rows, columns, taps], values.repeat(grid.batch))?;
    let bias = kernel.repeated_bias(build, per_group * groups, positions_out, grid.batch)?;
    let whole = trim + grid.x.shift * time.stride as i64;
    let op = Op::ConvTranspose1d(ConvTranspose1d {
        weight,
        bias,
        stride: time.stride,
        left_trim: whole.max(0) as usize,
        groups: groups * grid.batch,
    });
    let node = build.push(op, &[grid.x.node])?;
    Ok(Signal { node, shift: whole.min(0), frames, axes: grid.axes(per_group * groups, &finite.sizes) })
}

impl Spatial {
    /// Length after a transposed convolution, and what is cut before it.
    fn spread(&self, build: &Build, length: Dim, more: i64, wanted: Option<i64>) -> Outcome<(Dim, i64)> {
        let too_long = || "its length does not fit 64 bits".to_string();
        let stride = Dim::fixed(self.stride as i64);
        let whole = (|| length.minus(Dim::fixed(1))?.times(stride)?.plus(Dim::fixed(self.span() + more)))();
        let whole = whole.ok_or_else(too_long)?;
        let total = match (wanted, self.pads) {
            (Some(wanted), _) => build.number(whole).map(|whole| whole - wanted),
            (None, Some((before, after))) => {
                return Ok((whole.minus(Dim::fixed(before + after)).ok_or_else(too_long)?, before));
            }
            (None, None) => length.times(stride).and_then(|same| whole.minus(same)).and_then(Dim::known),
        };
        let total =
            total.ok_or("its output_shape is fixed, and the signal's length is not; export with pads instead")?;
        let less = total.max(0) / 2;
        let before = if self.automatic == Automatic::Upper { less } else { total.max(0) - less };
        Ok((whole.minus(Dim::fixed(total.max(0))).ok_or_else(too_long)?, before))
    }
}

/// The spatial axes other than time.
#[derive(Clone)]
struct Finite {
    /// Sizes after the convolution; 1 for time.
    sizes: Vec<usize>,
    before: Vec<i64>,
    /// Values of the kernel from one channel to one other.
    kernel_len: usize,
}

impl Finite {
    fn strided(spatial: &[Spatial], grid: &Grid) -> Outcome<Self> {
        let kernel_len = spatial.iter().map(|s| s.kernel).product();
        let mut finite = Self { sizes: vec![1; spatial.len()], before: vec![0; spatial.len()], kernel_len };
        for axis in (0..spatial.len()).filter(|&axis| axis != grid.time) {
            let (size, before) = spatial[axis].strided(Dim::fixed(grid.sizes[axis] as i64), false)?;
            finite.sizes[axis] = finite_size(size)?;
            finite.before[axis] = before;
        }
        Ok(finite)
    }

    fn positions(&self, sizes: &[usize]) -> usize {
        sizes.iter().product()
    }

    /// Whether the kernel needs no writing out.
    fn is_plain(&self, spatial: &[Spatial], grid: &Grid) -> bool {
        (0..spatial.len()).all(|axis| {
            axis == grid.time || (spatial[axis].kernel == 1 && grid.sizes[axis] == 1 && self.sizes[axis] == 1)
        })
    }

    /// Every position written, the position read there, the kernel's value, and its tap in time.
    fn each(&self, spatial: &[Spatial], grid: &Grid, f: impl FnMut(usize, usize, usize, usize)) {
        self.each_between(spatial, grid.time, &grid.sizes, f);
    }

    /// As [`Self::each`], where positions of `sizes` are read: those at `place · stride + k · dilation − before`.
    fn each_between(
        &self,
        spatial: &[Spatial],
        time: usize,
        sizes: &[usize],
        mut f: impl FnMut(usize, usize, usize, usize),
    ) {
        let kernel: Vec<_> = spatial.iter().map(|s| s.kernel).collect();
        let places = |sizes: &[usize]| -> Vec<Vec<usize>> {
            let axes = (0..sizes.len()).map(|axis| {
                let mut one = vec![0; sizes.len()];
                one[axis] = 1;
                offsets(sizes, &one).collect::<Vec<_>>()
            });
            let by_axis: Vec<_> = axes.collect();
            (0..sizes.iter().product()).map(|i| by_axis.iter().map(|axis| axis[i]).collect()).collect()
        };
        let (written, taps) = (places(&self.sizes), places(&kernel));
        for (at, place) in written.iter().enumerate() {
            for (kernel_at, tap) in taps.iter().enumerate() {
                let mut read = 0;
                let inside = (0..sizes.len()).filter(|&axis| axis != time).all(|axis| {
                    let s = &spatial[axis];
                    let from = (place[axis] * s.stride + tap[axis] * s.dilation) as i64 - self.before[axis];
                    read = read * sizes[axis] + from.max(0) as usize;
                    (0..sizes[axis] as i64).contains(&from)
                });
                if inside {
                    f(at, read, kernel_at, tap[time]);
                }
            }
        }
    }
}

fn finite_size(size: Dim) -> Outcome<usize> {
    let size = size.known().and_then(|size| usize::try_from(size).ok()).filter(|size| (1..=1 << 16).contains(size));
    size.ok_or_else(|| "an axis beside time becomes empty, or larger than 65536".into())
}

/// `frames · factor`.
pub(super) fn scaled(frames: Dim, factor: Fraction) -> Outcome<Dim> {
    frames.times(Dim::fraction(factor)).ok_or_else(|| "its length does not fit 64 bits".into())
}
