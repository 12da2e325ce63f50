//! Every kernel against its textbook form, for every instruction set of this machine.

mod conv;
mod frame;
mod math;
mod planes;
mod recurrent;
mod speed;
