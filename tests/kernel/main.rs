//! Tests that run containers on this kernel, each in a lab of its own.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lifecycle;
