//! Engines with the runtime under test below them: podman, and containerd by `ctr`.
//!
//! Each runs, enters and removes a busybox container made here; nothing is pulled.

// A panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod containerd;
mod podman;

use std::path::PathBuf;

use rrun_tests::{Lab, Snapshot, bundle};

/// An OCI image archive with the tests' rootfs, reference `busybox`.
fn image(lab: &Lab) -> PathBuf {
    let rootfs = lab.folder().join("image-rootfs");
    bundle::make_rootfs(&rootfs);
    let archive = lab.folder().join("busybox.tar");
    lab.sh(&format!(
        "umoci init --layout layout
         umoci new --image layout:busybox
         umoci insert --image layout:busybox {} /
         umoci config --image layout:busybox --config.cmd sh --config.env PATH=/bin:/sbin
         tar -C layout -cf {} .",
        rootfs.display(),
        archive.display()
    ))
    .ok();
    archive
}

/// Nothing of a container is left: engines keep images, databases and bridges, not these.
#[track_caller]
fn nothing_of_containers_left(before: &Snapshot, after: &Snapshot) {
    let kinds = ["process ", "cgroup ", "file /run/rrun/", "link veth", "file /run/netns/"];
    // The engines' own groups, above those of the containers.
    let own = [":default", ":libpod_parent", "/conmon"];
    // Compiled filters are kept for the next container with the same profile.
    let cache = "/.seccomp";
    let left: Vec<&str> = after
        .since(before)
        .into_iter()
        .filter(|line| kinds.iter().any(|kind| line.starts_with(kind)))
        .filter(|line| !own.iter().any(|group| line.ends_with(group)) && !line.contains(cache))
        .collect();
    assert!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
}
