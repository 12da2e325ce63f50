//! Bounded reading of zip archives, the container of `.ckpt` and `.ts`.
