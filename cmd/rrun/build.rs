//! How the program is linked.

fn main() {
    // The index of the tables for unwinding: a panic aborts, so nobody looks anything up in it.
    println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    println!("cargo::rerun-if-changed=build.rs");
}
