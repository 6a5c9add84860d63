//! OCI container runtime with Docker-style networking built in.

fn main() {}
