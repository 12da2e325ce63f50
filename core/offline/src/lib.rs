//! The offline evaluator.
