//! Leases under contention.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use netplan::candidates;
use network::{Home, Init, LeaseRecord, Leases, start_time};

fn record(id: &str, netns: &File) -> LeaseRecord {
    let pid = i32::try_from(std::process::id()).unwrap();
    let init = Init { pid, start_time: start_time(pid).unwrap(), netns: netns.as_fd() };
    LeaseRecord::new(id, Path::new("/nowhere"), &init, &[]).unwrap()
}

#[test]
fn no_address_is_given_twice() {
    const THREADS: usize = 8;
    const EACH: usize = 500;
    let folder = tempfile::tempdir().unwrap();
    let leases = Leases::of(&Home::under(folder.path()), "bridge");
    let netns = File::open("/proc/self/ns/net").unwrap();
    let subnet = "172.30.0.0/16".parse().unwrap();
    let claim_all = |thread: usize| -> Vec<Ipv4Addr> {
        (0..EACH)
            .map(|number| {
                let record = record(&format!("c{thread}-{number}"), &netns);
                let start = format!("c{number}");
                // Every thread starts at the same places, so that they meet.
                candidates(subnet, &start).find(|ip| leases.claim(*ip, &record).unwrap()).unwrap()
            })
            .collect()
    };
    let claimed: Vec<Ipv4Addr> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|number| scope.spawn(move || claim_all(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: BTreeSet<_> = claimed.iter().collect();
    assert_eq!((claimed.len(), distinct.len()), (THREADS * EACH, THREADS * EACH));
    assert_eq!(leases.all().unwrap().len(), THREADS * EACH);
}

#[test]
fn a_lease_is_held_by_one_and_given_back_once() {
    let folder = tempfile::tempdir().unwrap();
    let leases = Leases::of(&Home::under(folder.path()), "bridge");
    let netns = File::open("/proc/self/ns/net").unwrap();
    let address = Ipv4Addr::new(172, 30, 0, 9);
    assert!(leases.hold(address).unwrap().is_none());
    let lease = record("web", &netns);
    assert!(lease.init_lives());
    assert!(leases.claim(address, &lease).unwrap());
    assert!(!leases.claim(address, &record("db", &netns)).unwrap());

    let held = leases.hold(address).unwrap().unwrap();
    assert_eq!(held.record, lease);
    thread::scope(|scope| {
        // Waits for the lock, and then finds that there is nothing left to give back.
        let late = scope.spawn(|| leases.hold(address).unwrap().is_none());
        held.release().unwrap();
        assert!(late.join().unwrap());
    });
    assert!(leases.claim(address, &record("db", &netns)).unwrap());
}

#[test]
fn what_is_no_lease_is_skipped_and_removed_when_its_address_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::under(folder.path());
    let leases = Leases::of(&home, "bridge");
    let path = home.network("bridge").join("leases");
    std::fs::create_dir_all(&path).unwrap();
    let address = Ipv4Addr::new(172, 30, 0, 9);
    std::fs::write(path.join(address.to_string()), "{\"id\": \"we").unwrap();
    std::fs::write(path.join("README"), "").unwrap();
    assert!(leases.all().unwrap().is_empty());
    assert_eq!(leases.read(address).unwrap(), None);
    assert!(leases.hold(address).unwrap().is_none());
    assert!(!leases.exists(address));
}

#[test]
fn a_dead_process_or_another_boot_does_not_live() {
    let netns = File::open("/proc/self/ns/net").unwrap();
    let lease = record("web", &netns);
    assert!(!LeaseRecord { start_time: lease.start_time + 1, ..lease.clone() }.init_lives());
    assert!(!LeaseRecord { boot: "another".into(), ..lease.clone() }.init_lives());
    assert!(!LeaseRecord { pid: 0, ..lease }.init_lives());
}
