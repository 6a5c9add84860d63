//! The crate `regex`, as far as rrun's dependencies use it.
//!
//! `oci-spec` checks `process.execCPUAffinity` with one regular expression, and that alone would link
//! an engine with Unicode tables of 600 kB into a binary that is mapped for every container.
//! `regex-lite`, by the same authors and with the same interface, does it with a tenth of that.

pub use regex_lite::*;
