//! Many at once, and the runtime killed in the middle: nothing may be left behind.

use std::collections::BTreeSet;
use std::time::Duration;

use rrun_tests::Lab;
use rrun_tests::skip::{Need, can};
use rrun_tests::wire::{From, HOST, OTHER};

use crate::network::{address, lab, remove, serve, server, warmed};

#[test]
fn twenty_at_once_share_no_address_and_no_port() {
    let Some(lab) = lab("twenty_at_once_share_no_address_and_no_port") else { return };
    let before = warmed(&lab);
    let ids: Vec<String> = (0..20).map(|i| format!("c{i}")).collect();
    std::thread::scope(|scope| {
        for (i, id) in ids.iter().enumerate() {
            let lab = &lab;
            scope.spawn(move || {
                let bundle = server(lab, id);
                let port = format!("{}:80", 9000 + i);
                let args = [
                    "run",
                    "-d",
                    "--net=bridge",
                    "-p",
                    &port,
                    "-p",
                    "80",
                    "--bundle",
                    bundle.arg(),
                    id,
                ];
                lab.rrun(args).ok();
            });
        }
    });
    let addresses: BTreeSet<String> = ids.iter().map(|id| address(&lab, id).unwrap()).collect();
    assert_eq!(addresses.len(), 20, "{addresses:?}");
    for (i, id) in ids.iter().enumerate() {
        let answer = lab.wait_answer(From::Lan, &format!("tcp {HOST}:{}", 9000 + i));
        assert_eq!(answer, format!("{id} {OTHER}"));
    }
    std::thread::scope(|scope| {
        for id in &ids {
            let lab = &lab;
            scope.spawn(move || lab.rrun(["delete", "--force", id]).ok());
        }
    });
    lab.assert_back_to(&before);
}

#[test]
fn one_of_many_gets_the_port_and_one_the_id() {
    let Some(lab) = lab("one_of_many_gets_the_port_and_one_the_id") else { return };
    let before = warmed(&lab);
    let bundles: Vec<_> = (0..8).map(|i| server(&lab, &format!("c{i}"))).collect();
    let winners = |by_id: bool| -> Vec<usize> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = bundles
                .iter()
                .enumerate()
                .map(|(i, bundle)| {
                    let lab = &lab;
                    scope.spawn(move || {
                        let id = if by_id { "same".to_owned() } else { format!("c{i}") };
                        let port =
                            if by_id { format!("{}:80", 9000 + i) } else { "8080:80".to_owned() };
                        lab.rrun(["run", "-d", "-p", &port, "--bundle", bundle.arg(), &id]).code()
                            == 0
                    })
                })
                .collect();
            let won = threads.into_iter().map(|t| t.join().unwrap());
            won.enumerate().filter(|(_, won)| *won).map(|(i, _)| i).collect()
        })
    };
    let port = winners(false);
    assert_eq!(port.len(), 1, "who has 8080: {port:?}");
    let id = format!("c{}", port[0]);
    assert_eq!(lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080")), format!("{id} {OTHER}"));
    remove(&lab, &[&id]);
    lab.assert_back_to(&before);
    let same = winners(true);
    assert_eq!(same.len(), 1, "who has the id: {same:?}");
    let at = format!("tcp {HOST}:{}", 9000 + same[0]);
    assert_eq!(lab.wait_answer(From::Lan, &at), format!("c{} {OTHER}", same[0]));
    remove(&lab, &["same"]);
    lab.assert_back_to(&before);
}

#[test]
fn killed_at_any_moment_it_leaves_nothing_that_delete_does_not_find() {
    let Some(lab) = lab("killed_at_any_moment_it_leaves_nothing_that_delete_does_not_find") else {
        return;
    };
    let before = warmed(&lab);
    serve(&lab, "witness", &["--net=bridge", "-p", "8080:80"]);
    let with_witness = lab.still();
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |d| d.as_secs())
    });
    eprintln!("SEED={seed}");
    let mut random = seed;
    let bundle = server(&lab, "c");
    for round in 0..20 {
        // xorshift64 (Marsaglia 2003): a seed repeats the moments.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let moment = Duration::from_micros(random % 25_000);
        let args = ["run", "-d", "--net=bridge", "-p", "9000:80", "--bundle", bundle.arg(), "c"];
        let mut command = lab.rrun_command(args);
        let quiet = std::process::Stdio::null;
        command.stdin(quiet()).stdout(quiet()).stderr(quiet());
        let mut child = lab.spawn(&mut command).unwrap();
        std::thread::sleep(moment);
        let _ = child.kill();
        child.wait().unwrap();
        let what = format!("round {round}, killed after {moment:?} (SEED={seed})");
        let listed = lab.rrun(["list"]);
        assert_eq!(listed.code(), 0, "{what}: {listed}");
        let deleted = lab.rrun(["delete", "--force", "c"]);
        assert_eq!(deleted.code(), 0, "{what}: {deleted}");
        // A killed parent's init ends by itself a moment later.
        eprintln!("{what}");
        lab.assert_back_to(&with_witness);
        assert_eq!(lab.rrun(["delete", "--force", "c"]).code(), 0, "{what}: a second time");
    }
    lab.rrun(["run", "-d", "--net=bridge", "-p", "9000:80", "--bundle", bundle.arg(), "c"]).ok();
    assert_eq!(lab.wait_answer(From::Lan, &format!("tcp {HOST}:9000")), format!("c {OTHER}"));
    assert_eq!(
        lab.ask(From::Lan, &format!("tcp {HOST}:8080")).unwrap(),
        format!("witness {OTHER}")
    );
    remove(&lab, &["c", "witness"]);
    lab.assert_back_to(&before);
}

#[test]
fn killed_without_a_network_it_leaves_nothing_either() {
    if !can("killed_without_a_network_it_leaves_nothing_either", Need::Rrun) {
        return;
    }
    let lab = Lab::new();
    let bundle = lab.bundle("b").args(["sleep", "1000"]);
    lab.rrun(["run", "-d", "--bundle", bundle.arg(), "c"]).ok();
    lab.rrun(["delete", "-f", "c"]).ok();
    let before = lab.snapshot();
    for step in 0..40 {
        let mut command = lab.rrun_command(["create", "--bundle", bundle.arg(), "c"]);
        let quiet = std::process::Stdio::null;
        command.stdin(quiet()).stdout(quiet()).stderr(quiet());
        let mut child = lab.spawn(&mut command).unwrap();
        std::thread::sleep(Duration::from_micros(step * 400));
        let _ = child.kill();
        child.wait().unwrap();
        lab.rrun(["delete", "--force", "c"]).ok();
        eprintln!("killed after {} µs", step * 400);
        lab.assert_back_to(&before);
    }
}

#[test]
fn a_network_whose_container_died_by_itself_is_taken_back() {
    let Some(lab) = lab("a_network_whose_container_died_by_itself_is_taken_back") else { return };
    let before = warmed(&lab);
    serve(&lab, "web", &["--net=bridge", "-p", "8080:80"]);
    let pid = lab.state("web")["pid"].as_i64().unwrap();
    lab.sh(&format!("kill -9 {pid}")).ok();
    lab.wait_status("web", "stopped");
    // The port is free for another even before the dead one is deleted, or refused with its name.
    remove(&lab, &["web"]);
    lab.assert_back_to(&before);
    serve(&lab, "next", &["--net=bridge", "-p", "8080:80"]);
    assert_eq!(lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080")), format!("next {OTHER}"));
    remove(&lab, &["next"]);
    lab.assert_back_to(&before);
}

#[test]
fn a_start_that_fails_takes_the_network_with_it() {
    let Some(lab) = lab("a_start_that_fails_takes_the_network_with_it") else { return };
    let before = warmed(&lab);
    let bundle = lab.bundle("b").args(["/nope"]);
    let ran = lab.rrun(["run", "-d", "-p", "8080:80", "--bundle", bundle.arg(), "c"]);
    assert_ne!(ran.code(), 0, "{ran}");
    lab.assert_back_to(&before);
    let failing = lab.bundle("hook").edit(|config| {
        config["hooks"]["createRuntime"] = serde_json::json!([{"path": "/bin/false"}]);
    });
    let ran = lab.rrun(["run", "-d", "-p", "8080:80", "--bundle", failing.arg(), "c"]);
    assert_eq!(ran.code(), 1, "{ran}");
    lab.assert_back_to(&before);
}

#[test]
fn what_was_taken_away_by_hand_does_not_stop_delete() {
    let Some(lab) = lab("what_was_taken_away_by_hand_does_not_stop_delete") else { return };
    let before = warmed(&lab);
    for spoil in [
        "nft delete table inet rrun",
        "nft flush ruleset",
        "ip -o link show master rrun0 | sed 's/^[0-9]*: \\([^@:]*\\).*/\\1/' | xargs -n 1 ip link delete",
        "echo 0 > /proc/sys/net/ipv4/ip_forward",
        "ip link delete rrun0",
    ] {
        serve(&lab, "web", &["--net=bridge", "-p", "8080:80"]);
        lab.sh(spoil).ok();
        lab.rrun(["delete", "--force", "web"]).ok();
        let left = lab.still();
        assert!(left.mentions("web").is_empty(), "{spoil}: {:?}", left.mentions("web"));
        serve(&lab, "again", &["--net=bridge", "-p", "8080:80"]);
        let answer = lab.wait_answer(From::Lan, &format!("tcp {HOST}:8080"));
        assert_eq!(answer, format!("again {OTHER}"), "after {spoil}");
        remove(&lab, &["again"]);
        lab.assert_back_to(&before);
    }
}
