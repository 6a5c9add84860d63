//! The network of one container as a value: plan, check, undo.
