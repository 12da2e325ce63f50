//! Operators on what the file settles: shape arithmetic, and weights that the exporter left to be computed.

use super::Outcome;
use super::channels::range;
use super::layout::{order, unsqueezed};
use crate::import::onnx::build::Build;
use crate::import::onnx::call::Call;
use crate::import::onnx::constant::{Constant, Data, broadcast, broadcast_strides, offsets, strides};
use crate::import::onnx::dim::Dim;
use crate::import::onnx::proto;

pub(super) fn fold(build: &mut Build, call: &Call<'_>) -> Outcome<Constant> {
    let folded = folded(build, call)?;
    build.spend(folded.len())?;
    Ok(folded)
}

fn folded(build: &mut Build, call: &Call<'_>) -> Outcome<Constant> {
    let x = || call.constant_needed(0);
    match call.op {
        "Constant" => constant(build, call),
        "ConstantOfShape" => of_shape(build, call),
        "Identity" | "Dropout" | "CastLike" => x().cloned(),
        "Cast" => cast(x()?, call.int("to", 1)),
        "Shape" => shape(x()?, call),
        "Size" => Ok(Constant::ints(vec![], [x()?.len() as i64])),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Max" | "Min" | "Equal" | "Less" | "Greater"
        | "LessOrEqual" | "GreaterOrEqual" | "And" | "Or" | "Xor" => {
            let mut result = x()?.clone();
            for i in 1..call.inputs.len() {
                result = binary(build, call.op, &result, call.constant_needed(i)?)?;
            }
            Ok(result)
        }
        "Neg" | "Abs" | "Sqrt" | "Exp" | "Log" | "Floor" | "Ceil" | "Round" | "Reciprocal" | "Not" | "Sin" | "Cos"
        | "Tanh" | "Sigmoid" | "Relu" | "Erf" | "Sign" | "Softplus" => unary(call.op, x()?),
        "Where" => choose(build, call),
        "Transpose" => Ok(x()?.transposed(&order(call, x()?.shape.len())?)),
        "Reshape" => reshape(x()?, call),
        "Flatten" => {
            let x = x()?;
            let rank = x.shape.len();
            let axis = call.int("axis", 1);
            let axis = if axis == rank as i64 { rank } else { Call::axis(axis, rank)? };
            Ok(x.reshaped(vec![x.shape[..axis].iter().product(), x.shape[axis..].iter().product()]))
        }
        "Squeeze" | "Unsqueeze" => squeeze(x()?, call),
        "Concat" => concat(build, call),
        "Slice" => slice(x()?, call),
        "Gather" => gather(build, x()?, call),
        "Expand" => expand(build, x()?, call),
        "Tile" => tile(build, x()?, call),
        "Range" => sequence(build, call),
        "ReduceSum" | "ReduceMean" | "ReduceProd" | "ReduceMax" | "ReduceMin" | "ReduceL2" | "ReduceL1"
        | "ReduceSumSquare" => reduce(build, x()?, call),
        op => Err(format!(
            "{op} of constants only is not folded; let the exporter fold constants (do_constant_folding=True)"
        )),
    }
}

fn constant(build: &mut Build, call: &Call<'_>) -> Outcome<Constant> {
    let attribute = call.attributes.first().ok_or("holds no value")?;
    match attribute.name {
        "value" => tensor(build, attribute.tensor),
        "value_float" => Ok(Constant::floats(vec![], [attribute.float.unwrap_or(0.0)])),
        "value_int" => Ok(Constant::ints(vec![], [attribute.int.unwrap_or(0)])),
        "value_floats" => Ok(Constant::floats(vec![attribute.floats.len()], &attribute.floats[..])),
        "value_ints" => Ok(Constant::ints(vec![attribute.ints.len()], &attribute.ints[..])),
        name => Err(format!("holds a {name}, which is not read")),
    }
}

fn tensor(build: &mut Build, message: Option<crate::import::onnx::wire::Message<'_>>) -> Outcome<Constant> {
    let tensor = proto::Tensor::read(message.ok_or("holds no tensor")?).map_err(|e| e.to_string())?;
    build.beside.read(&tensor).map_err(|e| e.to_string())
}

fn of_shape(build: &mut Build, call: &Call<'_>) -> Outcome<Constant> {
    let value = match call.attribute("value") {
        Some(attribute) => tensor(build, attribute.tensor)?,
        None => Constant::floats(vec![1], [0.0]),
    };
    if value.len() != 1 {
        return Err(format!("fills with {} values, one is needed", value.len()));
    }
    let dims = call.constant_needed(0)?.to_dims()?;
    stretch(build, &value.reshaped(vec![1; dims.len().min(16)]), &dims)
}

/// `x` repeated to `dims`; along those that depend on the length of the signal it is only noted.
fn stretch(build: &mut Build, x: &Constant, dims: &[Dim]) -> Outcome<Constant> {
    let mut shape = vec![];
    let mut stretched = vec![];
    let lead = dims.len().checked_sub(x.shape.len()).ok_or("has fewer axes than its input")?;
    for (axis, dim) in dims.iter().enumerate() {
        let own = if axis < lead { 1 } else { x.shape[axis - lead] };
        match dim.known() {
            Some(n) => {
                let n = usize::try_from(n).map_err(|_| format!("makes an axis of {n}"))?;
                if own != 1 && n != own && n != 1 {
                    return Err(format!("repeats {own} values to {n}"));
                }
                shape.push(own.max(n).min(if own == 1 { n } else { own }));
            }
            None if own == 1 => {
                shape.push(1);
                stretched.push((axis, *dim));
            }
            None => return Err(format!("repeats {own} values to {dim}")),
        }
    }
    for &(axis, dim) in &x.stretched {
        if !stretched.iter().any(|(at, _)| *at == axis + lead) {
            stretched.push((axis + lead, dim));
        }
    }
    let count = shape.iter().try_fold(1usize, |count, &n| count.checked_mul(n)).unwrap_or(usize::MAX);
    build.spend(count)?;
    let mut result = x.picked(shape.clone(), offsets(&shape, &broadcast_strides(&x.shape, &shape)));
    result.stretched = stretched;
    Ok(result)
}

fn cast(x: &Constant, to: i64) -> Outcome<Constant> {
    let floats = matches!(to, 1 | 10 | 11 | 16);
    let data = match (&x.data, floats) {
        (Data::Float(values), false) => {
            let truth = |v: f32| if to == 9 { i64::from(v != 0.0) } else { v as i64 };
            Data::Int(values.iter().map(|&v| truth(v)).collect())
        }
        (Data::Int(values), false) if to == 9 => Data::Int(values.iter().map(|&v| i64::from(v != 0)).collect()),
        (Data::Int(values), true) => Data::Float(values.iter().map(|&v| v as f32).collect()),
        (Data::Length { values, .. }, false) => {
            // Towards zero; a length is positive.
            return Ok(Constant {
                stretched: x.stretched.clone(),
                ..Constant::lengths(x.shape.clone(), values.iter().map(|v| v.floor()).collect(), false)
            });
        }
        (Data::Length { values, .. }, true) => Data::Length { values: values.clone(), float: true },
        (data, _) => data.clone(),
    };
    Ok(Constant { data, ..x.clone() })
}

fn shape(x: &Constant, call: &Call<'_>) -> Outcome<Constant> {
    let dims = x.dims();
    let rank = dims.len() as i64;
    let bound = |axis: i64| (if axis < 0 { axis.saturating_add(rank) } else { axis }).clamp(0, rank) as usize;
    let (start, end) = (bound(call.int("start", 0)), bound(call.int("end", rank)));
    let dims = dims[start..end.max(start)].to_vec();
    Ok(Constant::lengths(vec![dims.len()], dims, false))
}

/// `a op b`, broadcast.
pub(super) fn binary(build: &mut Build, op: &str, a: &Constant, b: &Constant) -> Outcome<Constant> {
    let shape = broadcast(&a.shape, &b.shape).ok_or_else(|| format!("{:?} and {:?} do not fit", a.shape, b.shape))?;
    build.spend(shape.iter().try_fold(1usize, |count, &n| count.checked_mul(n)).unwrap_or(usize::MAX))?;
    let at = |x: &Constant| offsets(&shape, &broadcast_strides(&x.shape, &shape));
    let pairs = at(a).zip(at(b));
    let float = a.is_float() || b.is_float();
    let mut result = match (&a.data, &b.data) {
        (Data::Length { .. }, _) | (_, Data::Length { .. }) => {
            let (x, y) = (a.to_dims()?, b.to_dims()?);
            let values: Option<Vec<Dim>> = pairs.map(|(i, j)| on_dims(op, x[i], y[j], float)).collect();
            let values = values.ok_or("makes a length that is no straight line in the signal's")?;
            Constant::lengths(shape.clone(), values, float && !is_comparison(op))
        }
        (Data::Int(x), Data::Int(y)) => {
            let values: Option<Vec<i64>> = pairs.map(|(i, j)| on_ints(op, x[i], y[j])).collect();
            Constant::ints(shape.clone(), values.ok_or("overflows, or divides by zero")?)
        }
        _ => {
            let (x, y) = (a.to_floats()?, b.to_floats()?);
            let values: Vec<f32> = pairs.map(|(i, j)| on_floats(op, x[i], y[j])).collect();
            if is_comparison(op) {
                Constant::ints(shape.clone(), values.iter().map(|&v| v as i64).collect::<Vec<_>>())
            } else {
                Constant::floats(shape.clone(), values)
            }
        }
    };
    for x in [a, b] {
        let lead = shape.len() - x.shape.len();
        for &(axis, dim) in &x.stretched {
            if !result.stretched.iter().any(|(at, _)| *at == axis + lead) {
                result.stretched.push((axis + lead, dim));
            }
        }
    }
    Ok(result)
}

fn is_comparison(op: &str) -> bool {
    matches!(op, "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "And" | "Or" | "Xor")
}

fn compared(op: &str, order: std::cmp::Ordering) -> bool {
    match op {
        "Equal" => order.is_eq(),
        "Less" => order.is_lt(),
        "Greater" => order.is_gt(),
        "LessOrEqual" => order.is_le(),
        _ => order.is_ge(),
    }
}

fn on_dims(op: &str, a: Dim, b: Dim, float: bool) -> Option<Dim> {
    match op {
        "Add" => a.plus(b),
        "Sub" => a.minus(b),
        "Mul" => a.times(b),
        "Div" => a.over(b).map(|quotient| if float { quotient } else { quotient.floor() }),
        "Mod" => a.minus(a.over(b)?.floor().times(b)?),
        "Max" => Some(if a.order(b).is_ge() { a } else { b }),
        "Min" => Some(if a.order(b).is_le() { a } else { b }),
        "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" => {
            Some(Dim::fixed(compared(op, a.order(b)).into()))
        }
        "Pow" if b.known() == Some(1) => Some(a),
        _ => None,
    }
}

fn on_ints(op: &str, a: i64, b: i64) -> Option<i64> {
    match op {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        "Mod" => a.checked_rem_euclid(b).map(|rest| if rest != 0 && b < 0 { rest + b } else { rest }),
        "Pow" => a.checked_pow(u32::try_from(b).ok()?),
        "Max" => Some(a.max(b)),
        "Min" => Some(a.min(b)),
        "And" => Some((a != 0 && b != 0).into()),
        "Or" => Some((a != 0 || b != 0).into()),
        "Xor" => Some(((a != 0) != (b != 0)).into()),
        _ => Some(compared(op, a.cmp(&b)).into()),
    }
}

fn on_floats(op: &str, a: f32, b: f32) -> f32 {
    match op {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Div" => a / b,
        "Mod" => a % b,
        "Pow" => a.powf(b),
        "Max" => a.max(b),
        "Min" => a.min(b),
        _ => f32::from(u8::from(a.partial_cmp(&b).is_some_and(|order| compared(op, order)))),
    }
}

fn unary(op: &str, x: &Constant) -> Outcome<Constant> {
    if let Data::Length { values, float } = &x.data {
        let each = |v: &Dim| match op {
            "Floor" => Some(v.floor()),
            "Ceil" => v.ceil(),
            "Neg" => Dim::fixed(0).minus(*v),
            "Abs" | "Relu" => Some(if v.order(Dim::fixed(0)).is_lt() { Dim::fixed(0).minus(*v)? } else { *v }),
            _ => None,
        };
        let values: Option<Vec<_>> = values.iter().map(each).collect();
        return Ok(Constant::lengths(
            x.shape.clone(),
            values.ok_or("makes a length that is no straight line in the signal's")?,
            *float,
        ));
    }
    let data = match (&x.data, op) {
        (Data::Int(values), "Neg") => Data::Int(values.iter().map(|v| v.wrapping_neg()).collect()),
        (Data::Int(values), "Abs") => Data::Int(values.iter().map(|v| v.wrapping_abs()).collect()),
        (Data::Int(values), "Not") => Data::Int(values.iter().map(|&v| i64::from(v == 0)).collect()),
        _ => {
            Data::Float(x.to_floats()?.iter().map(|&v| on_float(op, v)).collect::<Option<_>>().ok_or("is not folded")?)
        }
    };
    Ok(Constant { data, ..x.clone() })
}

fn on_float(op: &str, x: f32) -> Option<f32> {
    use crate::graph::Pointwise;
    Some(match op {
        "Neg" => -x,
        "Abs" => x.abs(),
        "Sqrt" => x.sqrt(),
        "Exp" => x.exp(),
        "Log" => x.ln(),
        "Floor" => x.floor(),
        "Ceil" => x.ceil(),
        "Round" => x.round_ties_even(),
        "Reciprocal" => 1.0 / x,
        "Sin" => x.sin(),
        "Cos" => x.cos(),
        "Tanh" => x.tanh(),
        "Relu" => x.max(0.0),
        "Sign" => {
            if x == 0.0 {
                0.0
            } else {
                x.signum()
            }
        }
        "Sigmoid" => Pointwise::Sigmoid.eval(x),
        "Softplus" => Pointwise::Softplus.eval(x),
        "Erf" => Pointwise::Erf.eval(x),
        _ => return None,
    })
}

fn choose(build: &mut Build, call: &Call<'_>) -> Outcome<Constant> {
    let condition = call.constant_needed(0)?;
    let (a, b) = (call.constant_needed(1)?, call.constant_needed(2)?);
    let shape = broadcast(&a.shape, &b.shape).and_then(|shape| broadcast(&condition.shape, &shape));
    let shape = shape.ok_or("its inputs' shapes do not fit")?;
    build.spend(shape.iter().try_fold(1usize, |count, &n| count.checked_mul(n)).unwrap_or(usize::MAX))?;
    let at = |x: &Constant| offsets(&shape, &broadcast_strides(&x.shape, &shape));
    let taken = condition.to_ints()?;
    let picks = at(condition).zip(at(a).zip(at(b)));
    if let (Data::Length { .. }, _) | (_, Data::Length { .. }) = (&a.data, &b.data) {
        let (x, y) = (a.to_dims()?, b.to_dims()?);
        let values = picks.map(|(c, (i, j))| if taken[c] != 0 { x[i] } else { y[j] }).collect();
        return Ok(Constant::lengths(shape, values, a.is_float() || b.is_float()));
    }
    let stretched = if a.stretched.is_empty() { b.stretched.clone() } else { a.stretched.clone() };
    let data = match (&a.data, &b.data) {
        (Data::Int(x), Data::Int(y)) => {
            Data::Int(picks.map(|(c, (i, j))| if taken[c] != 0 { x[i] } else { y[j] }).collect())
        }
        _ => {
            let (x, y) = (a.to_floats()?, b.to_floats()?);
            Data::Float(picks.map(|(c, (i, j))| if taken[c] != 0 { x[i] } else { y[j] }).collect())
        }
    };
    Ok(Constant { shape, data, stretched })
}

fn reshape(x: &Constant, call: &Call<'_>) -> Outcome<Constant> {
    let dims = call.constant_needed(1)?.to_dims()?;
    let old = x.dims();
    let mut shape: Vec<Option<usize>> = vec![];
    let mut stretched = vec![];
    for (axis, dim) in dims.iter().enumerate() {
        let dim = if dim.known() == Some(0) && call.int("allowzero", 0) == 0 {
            *old.get(axis).ok_or("copies the size of an axis that is not there")?
        } else {
            *dim
        };
        match dim.known() {
            Some(-1) => shape.push(None),
            Some(n) => shape.push(Some(usize::try_from(n).map_err(|_| format!("makes an axis of {n}"))?)),
            None => {
                stretched.push((axis, dim));
                shape.push(Some(1));
            }
        }
    }
    let others = shape.iter().flatten().try_fold(1usize, |count, &n| count.checked_mul(n)).unwrap_or(0);
    let open = x.len().checked_div(others).unwrap_or(0);
    let shape: Vec<_> = shape.into_iter().map(|n| n.unwrap_or(open)).collect();
    let same_stretch = x.stretched.iter().map(|s| s.1).eq(stretched.iter().map(|s| s.1));
    if shape.iter().try_fold(1usize, |count, &n| count.checked_mul(n)) != Some(x.len()) || !same_stretch {
        return Err(format!("makes {shape:?} of {:?}", x.shape));
    }
    Ok(Constant { stretched, ..x.reshaped(shape) })
}

fn squeeze(x: &Constant, call: &Call<'_>) -> Outcome<Constant> {
    let axes = call.numbers("axes", 1)?;
    let rank = x.shape.len();
    if call.op == "Unsqueeze" {
        let new = unsqueezed(&axes.ok_or("names no axes")?, rank)?;
        let mut old = 0..rank;
        let from: Vec<Option<usize>> = new.into_iter().map(|new| if new { None } else { old.next() }).collect();
        let mut result = x.reshaped(from.iter().map(|from| from.map_or(1, |axis| x.shape[axis])).collect());
        let place = |axis: usize| from.iter().position(|from| *from == Some(axis));
        result.stretched = x.stretched.iter().filter_map(|&(axis, dim)| Some((place(axis)?, dim))).collect();
        return Ok(result);
    }
    let mut keep: Vec<bool> = match &axes {
        Some(_) => vec![true; rank],
        None => (0..rank).map(|axis| x.shape[axis] != 1 || x.stretched.iter().any(|s| s.0 == axis)).collect(),
    };
    for &axis in axes.iter().flatten() {
        let axis = Call::axis(axis, rank)?;
        if x.shape[axis] != 1 || x.stretched.iter().any(|s| s.0 == axis) {
            return Err(format!("drops axis {axis} of {:?}", x.shape));
        }
        keep[axis] = false;
    }
    let kept: Vec<_> = (0..rank).filter(|&axis| keep[axis]).collect();
    let mut result = x.reshaped(kept.iter().map(|&axis| x.shape[axis]).collect());
    result.stretched =
        x.stretched.iter().filter_map(|&(axis, dim)| Some((kept.iter().position(|&k| k == axis)?, dim))).collect();
    Ok(result)
}

fn concat(build: &mut Build, call: &Call<'_>) -> Outcome<Constant> {
    let parts: Vec<&Constant> = (0..call.inputs.len()).map(|i| call.constant_needed(i)).collect::<Outcome<_>>()?;
    let first = *parts.first().ok_or("joins nothing")?;
    let axis = Call::axis(call.int("axis", 0), first.shape.len())?;
    let outer = |x: &Constant| x.shape[..axis].iter().product::<usize>();
    let inner = |x: &Constant| x.shape[axis..].iter().product::<usize>();
    let fits = |x: &&&Constant| {
        x.shape.len() == first.shape.len() && (0..first.shape.len()).all(|i| i == axis || x.shape[i] == first.shape[i])
    };
    if let Some(odd) = parts.iter().find(|x| !fits(x)) {
        return Err(format!("joins {:?} and {:?}", first.shape, odd.shape));
    }
    if parts.iter().any(|x| x.stretched.iter().any(|s| s.0 == axis)) {
        return Err("joins tensors as long as the signal".into());
    }
    let mut shape = first.shape.clone();
    shape[axis] = parts.iter().map(|x| x.shape[axis]).sum();
    build.spend(shape.iter().product())?;
    let stretched = first.stretched.clone();
    let order = || (0..outer(first)).flat_map(|row| parts.iter().map(move |x| (x, row)));
    if parts.iter().any(|x| matches!(x.data, Data::Length { .. })) {
        let mut values = vec![];
        for (x, row) in order() {
            values.extend_from_slice(&x.to_dims()?[row * inner(x)..(row + 1) * inner(x)]);
        }
        return Ok(Constant::lengths(shape, values, parts.iter().any(|x| x.is_float())));
    }
    let data = if parts.iter().all(|x| matches!(x.data, Data::Int(_))) {
        let mut values = vec![];
        for (x, row) in order() {
            values.extend_from_slice(&x.to_ints()?[row * inner(x)..(row + 1) * inner(x)]);
        }
        Data::Int(values.into())
    } else {
        let mut values = vec![];
        for (x, row) in order() {
            values.extend_from_slice(&x.to_floats()?[row * inner(x)..(row + 1) * inner(x)]);
        }
        Data::Float(values.into())
    };
    Ok(Constant { shape, data, stretched })
}

/// The entries that `maps` names on each axis.
fn taken(x: &Constant, maps: &[Vec<usize>]) -> Constant {
    let by_axis = strides(&x.shape);
    let mut picks = vec![0];
    for (map, stride) in maps.iter().zip(by_axis) {
        picks = picks.iter().flat_map(|&at| map.iter().map(move |&i| at + i * stride)).collect();
    }
    Constant { stretched: x.stretched.clone(), ..x.picked(maps.iter().map(Vec::len).collect(), picks.into_iter()) }
}

fn slice(x: &Constant, call: &Call<'_>) -> Outcome<Constant> {
    let (starts, ends) = (call.constant_needed(1)?.to_ints()?, call.constant_needed(2)?.to_ints()?);
    let axes = match call.constant(3)? {
        Some(axes) => axes.to_ints()?.to_vec(),
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match call.constant(4)? {
        Some(steps) => steps.to_ints()?.to_vec(),
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
        return Err("names other numbers of starts, ends, axes and steps".into());
    }
    let mut maps: Vec<Vec<usize>> = x.shape.iter().map(|&n| (0..n).collect()).collect();
    for i in 0..starts.len() {
        let axis = Call::axis(axes[i], x.shape.len())?;
        if x.stretched.iter().any(|s| s.0 == axis) {
            return Err("cuts a tensor as long as the signal".into());
        }
        maps[axis] = range(x.shape[axis], starts[i], ends[i], steps[i])?;
    }
    Ok(taken(x, &maps))
}

fn gather(build: &mut Build, x: &Constant, call: &Call<'_>) -> Outcome<Constant> {
    let axis = Call::axis(call.int("axis", 0), x.shape.len())?;
    let indices = call.constant_needed(1)?;
    let picks = indices.to_ints()?.iter().map(|&i| Call::axis(i, x.shape[axis])).collect::<Outcome<Vec<_>>>()?;
    build.spend(picks.len().saturating_mul(x.len() / x.shape[axis].max(1)))?;
    let mut maps: Vec<Vec<usize>> = x.shape.iter().map(|&n| (0..n).collect()).collect();
    maps[axis] = picks;
    let result = taken(x, &maps);
    let shape = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
    if x.stretched.is_empty() {
        Ok(result.reshaped(shape))
    } else {
        Err("picks from a tensor as long as the signal".into())
    }
}

fn expand(build: &mut Build, x: &Constant, call: &Call<'_>) -> Outcome<Constant> {
    let mut dims = call.constant_needed(1)?.to_dims()?.to_vec();
    if dims.len() > 16 {
        return Err(format!("makes {} axes", dims.len()));
    }
    let own = x.dims();
    while dims.len() < own.len() {
        dims.insert(0, Dim::fixed(1));
    }
    let lead = dims.len() - own.len();
    // A size of 1 keeps what is there.
    for (axis, dim) in own.iter().enumerate().filter(|(_, dim)| dim.known() != Some(1)) {
        if dims[lead + axis].known() == Some(1) {
            dims[lead + axis] = *dim;
        }
    }
    stretch(build, x, &dims)
}

fn tile(build: &mut Build, x: &Constant, call: &Call<'_>) -> Outcome<Constant> {
    let counts = call.constant_needed(1)?.to_ints()?;
    if counts.len() != x.shape.len() {
        return Err(format!("repeats {} axes of {}", counts.len(), x.shape.len()));
    }
    let mut maps = vec![];
    for (&n, &count) in x.shape.iter().zip(&*counts) {
        let all = usize::try_from(count).ok().and_then(|count| n.checked_mul(count)).ok_or("repeats too often")?;
        build.spend(all)?;
        maps.push((0..all).map(|i| i % n).collect());
    }
    build.spend(
        maps.iter().try_fold(1usize, |count, map: &Vec<usize>| count.checked_mul(map.len())).unwrap_or(usize::MAX),
    )?;
    Ok(taken(x, &maps))
}

fn sequence(build: &mut Build, call: &Call<'_>) -> Outcome<Constant> {
    if matches!(call.constant_needed(1)?.data, Data::Length { .. }) {
        return Err("numbers the frames of the signal from its start; a stream knows no start (where it resamples, export with a \
                    scale_factor instead of a size)"
            .into());
    }
    let part = |i: usize| call.constant_needed(i)?.to_floats();
    let (start, limit, step) = (part(0)?, part(1)?, part(2)?);
    let (start, limit, step) = match (&start[..], &limit[..], &step[..]) {
        ([a], [b], [c]) if *c != 0.0 => (f64::from(*a), f64::from(*b), f64::from(*c)),
        _ => return Err("its bounds are no single numbers".into()),
    };
    let count = ((limit - start) / step).ceil().max(0.0);
    if count > 1e7 {
        return Err(format!("counts {count} numbers"));
    }
    build.spend(count as usize)?;
    let values = (0..count as usize).map(|i| start + step * i as f64);
    Ok(if call.constant_needed(0)?.is_float() {
        Constant::floats(vec![count as usize], values.map(|v| v as f32).collect::<Vec<_>>())
    } else {
        Constant::ints(vec![count as usize], values.map(|v| v as i64).collect::<Vec<_>>())
    })
}

fn reduce(build: &mut Build, x: &Constant, call: &Call<'_>) -> Outcome<Constant> {
    let rank = x.shape.len();
    let axes = match call.numbers("axes", 1)? {
        Some(axes) if !axes.is_empty() => {
            axes.iter().map(|&axis| Call::axis(axis, rank)).collect::<Outcome<Vec<_>>>()?
        }
        _ => (0..rank).collect(),
    };
    let kept: Vec<usize> = (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { x.shape[axis] }).collect();
    let len: usize = kept.iter().product();
    build.spend(len)?;
    let towards = offsets(&x.shape, &broadcast_strides(&kept, &x.shape));
    let keep = call.int("keepdims", 1) != 0;
    let shape: Vec<_> = (0..rank).filter(|axis| keep || !axes.contains(axis)).map(|axis| kept[axis]).collect();
    if let Data::Length { values, float } = &x.data {
        let mut sums = vec![Dim::fixed(i64::from(call.op == "ReduceProd")); len];
        for (value, to) in values.iter().zip(towards) {
            let next = match call.op {
                "ReduceProd" => sums[to].times(*value),
                "ReduceSum" => sums[to].plus(*value),
                _ => None,
            };
            sums[to] = next.ok_or("makes a length that is no straight line in the signal's")?;
        }
        return Ok(Constant::lengths(shape, sums, *float));
    }
    let start = match call.op {
        "ReduceProd" => 1.0,
        "ReduceMax" => f64::NEG_INFINITY,
        "ReduceMin" => f64::INFINITY,
        _ => 0.0,
    };
    let mut sums = vec![start; len];
    for (value, to) in x.to_floats()?.iter().zip(towards) {
        let value = f64::from(*value);
        sums[to] = match call.op {
            "ReduceProd" => sums[to] * value,
            "ReduceMax" => sums[to].max(value),
            "ReduceMin" => sums[to].min(value),
            "ReduceL1" => sums[to] + value.abs(),
            "ReduceL2" | "ReduceSumSquare" => sums[to] + value * value,
            _ => sums[to] + value,
        };
    }
    let share = x.len() as f64 / len.max(1) as f64;
    let last = |v: f64| match call.op {
        "ReduceL2" => v.sqrt(),
        "ReduceMean" => v / share,
        _ => v,
    };
    Ok(if x.is_float() {
        Constant::floats(shape, sums.into_iter().map(|v| last(v) as f32).collect::<Vec<_>>())
    } else {
        Constant::ints(shape, sums.into_iter().map(|v| last(v) as i64).collect::<Vec<_>>())
    })
}
