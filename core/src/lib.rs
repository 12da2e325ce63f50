//! Runnel turns a trained, non-causal convolutional audio model into a stream.
//!
//! Data walks one way: file → [`import`] → [`graph::Graph`] → [`mod@rewrite`] → [`stream::StreamGraph`] →
//! [`plan`] → [`engine::Engine`]. Every arrow is one function and every noun a type that cannot hold an unfinished
//! earlier stage. The method is that of Caillon & Esling, *Streamable Neural Audio Synthesis With Non-Causal
//! Convolutions* (2022), rebuilt on one idea: frames keep their offline index.

pub mod engine;
pub mod format;
pub mod graph;
pub mod import;
mod kernels;
pub mod model;
pub mod open;
pub mod plan;
pub mod prior;
pub mod random;
pub mod refit;
pub mod rewrite;
pub mod sound;
pub mod stream;
pub mod tensor;
mod threads;
pub mod timing;

pub use engine::{Engine, Learned, Learning};
pub use graph::{Graph, GraphError, NodeId};
pub use kernels::InstructionSet;
pub use model::{Info, Latent, Levels, Model, Prior};
pub use open::{OpenError, open};
pub use plan::{Forecast, Plan, PlanOptions, StepFacts};
pub use prior::{PriorPlan, PriorPlayer};
pub use random::{Amounts, Randomness};
pub use stream::{StreamGraph, StreamModel};
pub use tensor::{Tensor, Weight};
