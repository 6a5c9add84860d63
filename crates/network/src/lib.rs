//! The kernel and the files behind a network plan.

pub mod ruleset;
