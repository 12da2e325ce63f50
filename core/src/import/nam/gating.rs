//! How the two halves of a layer's signal become one.

use serde_json::Value;

use super::super::ImportError;
use super::activation::Activation;
use super::file::printable;
use super::network::Network;
use super::weights::Width;
use crate::graph::{NodeId, Op, Pointwise};

/// What follows a layer's convolutions.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Gating {
    /// `act(z)`.
    None,
    /// `act(top) · gate(bottom)`.
    Gated(Activation),
    /// `α · act(top) + (1 − α) · top` with `α = gate(bottom)`.
    Blended(Activation),
}

impl Gating {
    /// The mode called `mode`; `gate` is its secondary activation, a sigmoid where none is given.
    ///
    /// # Errors
    /// When either is unknown.
    pub(super) fn parse(mode: &str, gate: Option<&Value>, place: &str) -> Result<Self, ImportError> {
        let gate = || match gate {
            Some(gate) => Activation::parse(gate, &format!("{place}.secondary_activation")),
            None => Ok(Activation::Pointwise(Pointwise::Sigmoid)),
        };
        match mode {
            "none" => Ok(Self::None),
            "gated" => Ok(Self::Gated(gate()?)),
            "blended" => Ok(Self::Blended(gate()?)),
            other => {
                let found = format!("{place}: a gating mode called {}", printable(other));
                Err(ImportError::unknown(found, "known are none, gated and blended; update Runnel"))
            }
        }
    }

    /// Halves that the signal before the activation has.
    pub(super) fn halves(&self) -> usize {
        if *self == Self::None { 1 } else { 2 }
    }

    /// Applies it to `z`, whose halves have `width` channels; nodes are named after `name`.
    ///
    /// # Errors
    /// When an activation is for another number of channels.
    pub(super) fn push(
        &self,
        network: &mut Network<'_>,
        name: &str,
        activation: &Activation,
        z: NodeId,
        width: Width,
    ) -> Result<NodeId, ImportError> {
        let part = |part: &str| format!("{name}.{part}");
        let (Self::Gated(gate) | Self::Blended(gate)) = self else {
            return network.push(name, activation.op(width, name)?, &[z]);
        };
        let half = |start| Op::Slice { start, channels: width.kept };
        let top = network.push(&part("top"), half(0), &[z])?;
        let bottom = network.push(&part("bottom"), half(width.kept), &[z])?;
        let bent = network.push(&part("bent"), activation.op(width, name)?, &[top])?;
        let gate = network.push(&part("gate"), gate.op(width, name)?, &[bottom])?;
        if let Self::Gated(_) = self {
            return network.push(name, Op::Mul, &[bent, gate]);
        }
        let rest = Op::Pointwise(Pointwise::Affine { scale: -1.0, offset: 1.0 });
        let rest = network.push(&part("rest"), rest, &[gate])?;
        let wet = network.push(&part("wet"), Op::Mul, &[gate, bent])?;
        let dry = network.push(&part("dry"), Op::Mul, &[rest, top])?;
        network.push(name, Op::Add, &[wet, dry])
    }
}
