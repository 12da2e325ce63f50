//! Methods → graphs: each is walked over signals, twice, for a stream has one rule for all frames.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::attributes::{self, Number};
use super::neutone;
use super::table::Signature;
use crate::graph::{Graph, Op};
use crate::import::ImportError;
use crate::import::onnx::build::Build;
use crate::import::onnx::dim::{Dim, Fraction};
use crate::import::onnx::tensor::Beside;
use crate::import::onnx::value::{Signal, packed_axes};
use crate::import::script::compare::difference;
use crate::import::script::program::Program;
use crate::import::script::run::{Idiom, KEEPS_STATE, Run};
use crate::import::script::torch;
use crate::import::script::value::{Object, Value};
use crate::import::tidy::tidy;

/// What makes a method's result.
type Walked<'w> = dyn Fn(&mut Run<'_, '_>) -> Result<Value, ImportError> + 'w;

/// A model whose methods are walked.
pub(super) struct Walk<'a> {
    pub(super) program: Program<'a>,
    /// The model as the file holds it.
    pub(super) object: Rc<Object>,
    pub(super) idiom: Idiom,
    /// Values that a graph's constants and nodes may hold.
    pub(super) budget: u64,
    /// Random parts of the methods walked so far.
    pub(super) draws: u32,
    pub(super) constants: Rc<[Value]>,
    /// What may become parameters.
    pub(super) numbers: Vec<Number>,
    /// Those of them that some method has to know.
    pub(super) fixed: BTreeSet<String>,
}

impl Walk<'_> {
    /// The graph of a method; those of the model's numbers are parameters that its code only computes with.
    ///
    /// # Errors
    /// When it cannot stream.
    pub(super) fn method(&mut self, name: &str, signature: Signature) -> Result<Graph, ImportError> {
        let all = self.numbers.clone();
        let (graph, draws) = match self.holding(name, signature, &all) {
            Err(_) if !all.is_empty() => self.holding_some(name, signature, &all)?,
            walked => walked?,
        };
        self.draws = draws;
        Ok(graph)
    }

    /// As [`Self::holding`], of as many of `numbers` as the code can be followed with.
    fn holding_some(
        &mut self,
        name: &str,
        signature: Signature,
        numbers: &[Number],
    ) -> Result<(Graph, u32), ImportError> {
        let mut best = self.holding(name, signature, &[])?;
        let mut held = vec![];
        for number in numbers {
            held.push(number.clone());
            match self.holding(name, signature, &held) {
                Ok(walked) => best = walked,
                Err(_) => {
                    held.pop();
                    self.fixed.insert(format!("{} stays {}", number.name, number.default));
                }
            }
        }
        Ok(best)
    }

    /// The graph of a method with these of the model's numbers for parameters, and the random parts so far.
    fn holding(&mut self, name: &str, signature: Signature, numbers: &[Number]) -> Result<(Graph, u32), ImportError> {
        let object = self.object.fresh();
        let axes = packed_axes(&[Some(1), Some(signature.channels), None]);
        self.twice(name, signature, &object, &|run| {
            let input = Signal { node: 0, shift: 0, frames: Dim::TIME, axes: axes.clone() };
            let input = torch::made(run, input);
            let held = attributes::hold(run, &object, numbers, signature.ratio)?;
            let result = run.method(&object, name, vec![input], vec![])?;
            held.release(run, &object)?;
            Ok(result)
        })
    }

    /// The graph of the model that Neutone's wrapper holds, and its rate.
    ///
    /// # Errors
    /// As [`Self::method`].
    pub(super) fn neutone(&mut self, inner: &Object) -> Result<(Graph, Option<i64>), ImportError> {
        let object = inner.fresh();
        let build = Build::new(1, Beside::new(None), self.budget);
        let mut run = Run::new(&mut self.program, build, self.idiom, 0, Rc::clone(&self.constants));
        let ([channels, made], rate) = neutone::signature(&mut run, &object)?;
        let signature = Signature { channels, ratio: 1, makes: Some((made, Fraction::whole(1))) };
        let walk = |run: &mut Run<'_, '_>| neutone::call(run, &object, channels);
        let (graph, _) = self.twice(neutone::METHOD, signature, &object, &walk)?;
        Ok((graph, rate))
    }

    /// The graph of what `walk` makes of the input with `object`, and the random parts so far; a second time it must make
    /// the same.
    fn twice(
        &mut self,
        name: &str,
        signature: Signature,
        object: &Object,
        walk: &Walked<'_>,
    ) -> Result<(Graph, u32), ImportError> {
        let (first, draws) = self.once(name, signature, walk)?;
        if let Some(attribute) = object.heard() {
            return Err(ImportError::Operator { node: attribute, op: "method".into(), reason: KEEPS_STATE.into() });
        }
        let (second, _) = self.once(name, signature, walk)?;
        if let Some(what) = difference(&first, &second) {
            return Err(ImportError::Operator {
                node: name.into(),
                op: "method".into(),
                reason: format!(
                    "does something else when it is called again ({what}); a stream has one rule for all frames"
                ),
            });
        }
        Ok((first, draws))
    }

    fn once(&mut self, name: &str, signature: Signature, walk: &Walked<'_>) -> Result<(Graph, u32), ImportError> {
        let build = Build::new(signature.channels, Beside::new(None), self.budget);
        let mut run = Run::new(&mut self.program, build, self.idiom, self.draws, Rc::clone(&self.constants));
        let result = walk(&mut run)?;
        let draws = run.draws();
        let refuse = |reason: String| ImportError::Operator { node: name.into(), op: "method".into(), reason };
        let Value::Tensor(tensor) = &result else {
            return Err(refuse("makes no tensor, or more than one; one signal is needed".into()));
        };
        let signal = run.signal(tensor)?;
        let signal = signal.filter(|signal| signal.time_axis().is_some());
        let signal = signal.ok_or_else(|| refuse("makes something that does not depend on its input".into()))?;
        if let Some((channels, rate)) = signature.makes
            && (signal.channels() != channels || signal.frames.slope != rate)
        {
            let (found, frames) = (signal.channels(), signal.frames);
            let teller = if name == neutone::METHOD { "is_output_mono".into() } else { format!("{name}_params") };
            return Err(refuse(format!(
                "makes {found} channels of {frames} frames, and its {teller} tells {channels} of {rate}·T"
            )));
        }
        let finished = finish(&mut run.build, &signal).map_err(refuse)?;
        Ok((finished, draws))
    }
}

/// The graph whose last node the signal is.
fn finish(build: &mut Build, signal: &Signal) -> Result<Graph, String> {
    let packed = build.packed(signal)?;
    let aligned = build.aligned(&packed)?;
    if aligned.node + 1 != build.graph.nodes().len() || aligned.node == 0 {
        let channels = aligned.channels();
        build.push(Op::Slice { start: 0, channels }, &[aligned.node])?;
    }
    tidy(&build.graph).map_err(|error| error.to_string())
}
