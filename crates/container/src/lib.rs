//! The OCI container core: spec, lifecycle, init, rootfs, seccomp, terminal, exec, state.
