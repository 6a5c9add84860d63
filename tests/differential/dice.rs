//! The only source of chance: the same seed makes the same configuration everywhere.

use serde_json::Value;

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// True in `percent` of a hundred.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `all`.
    pub(crate) fn one<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// One number of `all`.
    pub(crate) fn number(&mut self, all: &[i64]) -> i64 {
        all[self.below(all.len())]
    }

    /// Each of `all` with a chance of `percent`, in a new order.
    pub(crate) fn some<'a>(&mut self, all: &[&'a str], percent: usize) -> Vec<&'a str> {
        let mut left: Vec<&str> = all.iter().copied().filter(|_| self.chance(percent)).collect();
        let mut order = Vec::with_capacity(left.len());
        while !left.is_empty() {
            order.push(left.swap_remove(self.below(left.len())));
        }
        order
    }

    /// Sets `object[key]` to `value` in `percent` of a hundred.
    pub(crate) fn maybe(&mut self, percent: usize, object: &mut Value, key: &str, value: Value) {
        if self.chance(percent) {
            object[key] = value;
        }
    }
}
