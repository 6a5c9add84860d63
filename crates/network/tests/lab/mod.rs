//! A host and containers made of network namespaces, for tests that need the real kernel.
//!
//! Every test gets a thread whose network namespace is its host: nothing is seen of, or done to, the
//! machine's own network. Root is needed; without it the tests fail.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use netplan::NetworkMode;
use network::{Home, Init, Owner, Request, start_time};
use nix::sched::{CloneFlags, unshare};

/// A host with folders of its own.
pub(crate) struct Host {
    pub(crate) home: Home,
    folder: tempfile::TempDir,
}

/// Runs a test on a host of its own.
pub(crate) fn on_a_host(test: impl FnOnce(&Host) + Send) {
    let run = || {
        unshare(CloneFlags::CLONE_NEWNET)
            .expect("a network namespace of the test's own needs root");
        sh("ip link set lo up");
        let folder = tempfile::tempdir().unwrap();
        let host = Host { home: Home::under(folder.path()), folder };
        test(&host);
    };
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| {
        std::panic::resume_unwind(panic);
    });
}

/// Runs a command in the calling thread's network namespace and returns what it prints.
pub(crate) fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

impl Host {
    /// Everything that a container's network could leave behind, as text to compare.
    pub(crate) fn snapshot(&self) -> String {
        [
            // Without counters, the indexes of what comes and goes, and the carrier, which the
            // kernel looks after in its own time.
            sh("ip -o link | sed -E 's/^[0-9]*: //; s/@if[0-9]*//; s/NO-CARRIER,|,LOWER_UP//g; s/ state [A-Z]+//'"),
            sh("ip -o -4 address | sed 's/^[0-9]*: //'"),
            sh("ip route | sed 's/ linkdown//'"),
            sh("nft -s list ruleset"),
            sh(&format!("find {} | sort", self.folder.path().display())),
        ]
        .join("----\n")
    }

    /// The host as the crate sees it.
    pub(crate) fn kernel(&self) -> network::Host {
        network::Host::new(&self.home)
    }

    /// A container's init and its state folder.
    pub(crate) fn container(&self, id: &str) -> Container {
        let state_dir = self.folder.path().join("root").join(id);
        std::fs::create_dir_all(&state_dir).unwrap();
        Container::start(id, state_dir)
    }
}

/// A container: a process in a network namespace of its own, and its state folder.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) state_dir: PathBuf,
    child: Option<Child>,
    netns: Option<File>,
}

impl Container {
    fn start(id: &str, state_dir: PathBuf) -> Self {
        let child = Command::new("unshare")
            .args(["-n", "sleep", "1000"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let path = format!("/proc/{}/ns/net", child.id());
        let host = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        while std::fs::read_link(&path).unwrap() == host {
            thread::sleep(Duration::from_millis(1));
        }
        let netns = Some(File::open(path).unwrap());
        Self { id: id.to_owned(), state_dir, child: Some(child), netns }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.as_ref().unwrap().id().try_into().unwrap()
    }

    pub(crate) fn init(&self) -> Init<'_> {
        let pid = self.pid();
        let netns = self.netns.as_ref().unwrap().as_fd();
        Init { pid, start_time: start_time(pid).unwrap(), netns }
    }

    /// Runs a command inside.
    pub(crate) fn sh(&self, command: &str) -> String {
        sh(&format!("nsenter -t {} -n {command}", self.pid()))
    }

    /// Runs a server inside until the returned value is dropped.
    pub(crate) fn spawn(&self, command: &str) -> Server {
        let child = Command::new("nsenter")
            .args(["-t", &self.pid().to_string(), "-n", "sh", "-c", &format!("exec {command}")])
            // A server that outlives a failed test must not keep the test's output open.
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Server(child.unwrap())
    }

    pub(crate) fn attach(
        &self,
        home: &Home,
        request: &Request,
    ) -> network::Result<network::Record> {
        let owner =
            Owner { id: &self.id, state_dir: &self.state_dir, init: self.init(), quiet: false };
        network::Host::new(home).attach(owner, request)
    }

    pub(crate) fn detach(&self, home: &Home) -> network::Result<()> {
        network::Host::new(home).detach(&self.id, &self.state_dir)
    }

    /// Ends the processes. `keep` returns what keeps the network namespace alive.
    pub(crate) fn kill(&mut self) -> Option<File> {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.netns.take()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.state_dir).ok();
    }
}

/// A process that ends with its test.
pub(crate) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A request for a bridge with these ports.
pub(crate) fn bridged(ports: &[&str]) -> Request {
    let mut request = Request::new(NetworkMode::Bridge(None));
    request.publish = ports.iter().map(|port| port.parse().unwrap()).collect();
    request
}

/// The names in a folder, none where there is no folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
