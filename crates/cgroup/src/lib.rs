//! cgroup v1 and v2 drivers: create, apply, freeze, stats, kill, remove.
