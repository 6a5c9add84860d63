//! What a bridged container's network costs, step by step, in network namespaces of this program's own.
//!
//! `cargo run --release -p network --example cost -- [COUNT]`, as root. The second figure of a round is
//! the same request through rtnetlink's async connection, which is why the crate does not use it.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use netplan::NetworkMode;
use network::{Home, Host, Init, Owner, Request, start_time};
use nix::sched::{CloneFlags, unshare};

type Failure = Box<dyn std::error::Error>;

/// A process in a network namespace of its own.
struct Container(Child);

impl Container {
    fn start() -> Result<Self, Failure> {
        let child = Command::new("unshare").args(["-n", "sleep", "1000"]).spawn()?;
        let container = Self(child);
        let host = std::fs::read_link("/proc/thread-self/ns/net")?;
        while std::fs::read_link(container.netns())? == host {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(container)
    }

    fn netns(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

fn async_round(index: u32) -> Result<Duration, Failure> {
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let message = rtnetlink::LinkUnspec::new_with_index(index).up().build();
        handle.link().set(message).execute().await?;
        Ok::<(), Failure>(())
    })?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() -> Result<(), Failure> {
    let count: usize = std::env::args().nth(1).map_or(Ok(50), |text| text.parse())?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    let folder = std::env::temp_dir().join(format!("rrun-cost-{}", std::process::id()));
    let home = Home::under(&folder);
    let (mut looks, mut ups, mut downs, mut rounds) = (vec![], vec![], vec![], vec![]);
    for number in 0..count {
        let mut container = Container::start()?;
        let id = format!("c{number}");
        let state_dir = folder.join(&id);
        std::fs::create_dir_all(&state_dir)?;
        let mut request = Request::new(NetworkMode::Bridge(None));
        request.publish = vec![format!("{}:80", 10_000 + number).parse()?];
        let start = Instant::now();
        let mut host = Host::new(&home);
        host.preflight(&id, &request)?;
        looks.push(start.elapsed());

        let netns = File::open(container.netns())?;
        let pid = i32::try_from(container.0.id())?;
        let init =
            Init { pid, start_time: start_time(pid).ok_or("no init")?, netns: netns.as_fd() };
        let start = Instant::now();
        host.attach(Owner { id: &id, state_dir: &state_dir, init, quiet: false }, &request)?;
        ups.push(start.elapsed());
        assert!(netns.as_raw_fd() > 0);
        rounds.push(async_round(1)?);

        container.0.kill()?;
        container.0.wait()?;
        drop(netns);
        let start = Instant::now();
        host.detach(&id, &state_dir)?;
        drop(host);
        downs.push(start.elapsed());
    }
    println!("preflight {:?}", median(looks));
    println!("attach    {:?}", median(ups));
    println!("detach    {:?}", median(downs));
    println!("one request through tokio {:?}", median(rounds));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
