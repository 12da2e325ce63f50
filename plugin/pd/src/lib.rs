//! `runnel~`, an external for Pure Data: `runnel~ MODEL [forward|encode|decode]`. [`object`] is what Pd sees, [`pd`] is what
//! of Pd is seen; [`session`] plays, and knows nothing of either.
//!
//! One inlet and one outlet for each channel or latent, as `nn~` has them; latents are signals, held for the samples
//! that a latent frame stands for.

#![cfg_attr(test, allow(dead_code, reason = "the object, which uses it, is left out of tests"))]
#![cfg(not(windows))] // there an external needs the import library of Pd's own program

mod load;
#[cfg(not(test))] // a test program has no Pd around it
mod object;
#[cfg(not(test))]
mod pd;
mod session;
