//! Tests that need a kernel, root and engines.
