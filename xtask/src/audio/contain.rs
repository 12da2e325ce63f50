//! Decoders may panic on a damaged file; here that is an error like any other.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use anyhow::{Result, bail};

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `decode`, whose panics print nothing and become errors.
pub(super) fn contain<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let default = take_hook();
        set_hook(Box::new(move |panic| {
            if !CONTAINED.get() {
                default(panic);
            }
        }));
    });
    CONTAINED.set(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    CONTAINED.set(false);
    match result {
        Ok(result) => result,
        Err(_) => bail!("it is damaged beyond what its decoder can tell; copy or export it again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let overflow = || -> Result<usize> { Ok([1, 2][std::hint::black_box(2)]) };
        let refusal = contain(overflow).expect_err("a refusal").to_string();
        assert!(refusal.contains("damaged"), "{refusal}");
        assert_eq!(contain(|| Ok(1)).expect("a value"), 1);
    }
}
