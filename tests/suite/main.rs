//! What crosses modules: the contract of design.md §1 over generated graphs, and the formats.

mod contract;
mod deep;
mod dependence;
mod judge;
mod learning;
mod onnx;
mod parameters;
mod prior;
mod rave;
mod refit;
mod runnel_file;
mod script;
mod strategy;
mod streams;
