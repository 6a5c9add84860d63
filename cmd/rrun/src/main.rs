//! OCI container runtime with Docker-style networking built in.

use std::process::ExitCode;

fn main() -> ExitCode {
    rrun::main()
}
