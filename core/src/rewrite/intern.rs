//! Stores equal weights once: the streams of one model share most of theirs.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::stream::{PriorStream, StreamModel};
use crate::tensor::Weight;

/// Makes every pair of equal weights in `model` one allocation.
pub(super) fn intern(model: &mut StreamModel) {
    let mut seen: HashMap<u64, Vec<Weight>> = HashMap::new();
    let mut share = |weight: &Weight| {
        let alike = seen.entry(fingerprint(weight)).or_default();
        if let Some(first) = alike.iter().find(|w| Arc::ptr_eq(w, weight) || same_bits(w, weight)) {
            return first.clone();
        }
        alike.push(weight.clone());
        weight.clone()
    };
    let StreamModel { forward, latent, prior, .. } = model;
    let latent = latent.iter_mut().flat_map(|l| [&mut l.encode, &mut l.decode]);
    let prior = prior.iter_mut().map(PriorStream::network_mut);
    std::iter::once(forward).chain(latent).chain(prior).for_each(|stream| stream.map_weights(&mut share));
}

fn fingerprint(weight: &Weight) -> u64 {
    let mut hasher = DefaultHasher::new();
    weight.shape().hash(&mut hasher);
    weight.data().iter().for_each(|v| v.to_bits().hash(&mut hasher));
    hasher.finish()
}

fn same_bits(a: &Weight, b: &Weight) -> bool {
    a.shape() == b.shape() && a.data().iter().zip(b.data()).all(|(x, y)| x.to_bits() == y.to_bits())
}
