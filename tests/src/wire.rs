//! The network around a lab: another host on a LAN, and questions asked by real packets.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Lab, Process, Ran, eventually, tool};

/// The lab's address on the LAN.
pub const HOST: &str = "192.0.2.1";
/// A second address of the lab on the LAN.
pub const HOST_SECOND: &str = "192.0.2.3";
/// The other host's address.
pub const OTHER: &str = "192.0.2.2";

/// From where a question is asked.
#[derive(Debug, Clone, Copy)]
pub enum From<'a> {
    /// The lab's own network namespace.
    Host,
    /// The other host on the LAN.
    Lan,
    /// A running container, by its id.
    Container(&'a str),
}

impl Lab {
    /// Puts another host on a LAN with the lab: network namespace `lan`, the lab's default gateway.
    pub fn add_lan(&self) {
        self.sh(&format!(
            "ip netns add lan
             ip link add uplink type veth peer name eth0 netns lan
             ip addr add {HOST}/24 dev uplink
             ip addr add {HOST_SECOND}/24 dev uplink
             sysctl -qw net.ipv6.conf.uplink.disable_ipv6=1
             ip link set uplink up
             ip -n lan addr add {OTHER}/24 dev eth0
             ip -n lan link set eth0 up
             ip -n lan link set lo up
             ip route add default via {OTHER}"
        ))
        .ok();
    }

    /// Runs `script` on the other host.
    pub fn lan(&self, script: &str) -> Ran {
        self.run(Command::new("ip").args(["netns", "exec", "lan", "/bin/sh", "-ec", script]))
    }

    /// Asks the server at `target` (`tcp 192.0.2.1:80`): its answer, or why there is none.
    ///
    /// # Errors
    /// `refused`, `timeout` or `unreachable`, as the prober says.
    pub fn ask(&self, from: From<'_>, target: &str) -> Result<String, String> {
        self.ask_with(from, target, &[])
    }

    /// Asks with more arguments for `probe ask`, such as `--from ADDRESS`.
    ///
    /// # Errors
    /// As [`Lab::ask`].
    pub fn ask_with(&self, from: From<'_>, target: &str, more: &[&str]) -> Result<String, String> {
        let probe = tool("probe");
        let probe = probe.to_str().expect("ASCII");
        let mut args: Vec<&str> = match from {
            From::Host => vec![probe],
            From::Lan => vec!["ip", "netns", "exec", "lan", probe],
            From::Container(id) => {
                let mut args = vec!["exec", id, "/bin/probe", "ask"];
                args.extend(target.split(' '));
                args.extend(more);
                return answer(&self.rrun(args));
            }
        };
        args.push("ask");
        args.extend(target.split(' '));
        args.extend(more);
        let Some((program, rest)) = args.split_first() else { unreachable!("never empty") };
        answer(&self.run(Command::new(program).args(rest).current_dir(self.folder())))
    }

    /// Starts a server on the host or the LAN and waits until it listens.
    pub fn serve(&self, from: From<'_>, target: &str, name: &str) -> Server {
        let mut command = match from {
            From::Host => Command::new(tool("probe")),
            From::Lan => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", "lan"]).arg(tool("probe"));
                command
            }
            From::Container(id) => self.rrun_command(["exec", id, "/bin/probe"]),
        };
        command.arg("serve").args(target.split(' ')).arg(name).stdout(Stdio::piped());
        let mut child = self.spawn(&mut command).expect("start a server");
        let mut line = String::new();
        let mut said = std::io::BufReader::new(child.stdout.take().expect("stdout"));
        std::io::BufRead::read_line(&mut said, &mut line).expect("the server's first line");
        assert_eq!(line.trim(), "listening", "server {target} did not start");
        Server { _process: child }
    }

    /// Waits until `target` answers, and gives the answer.
    ///
    /// # Panics
    /// When it does not within 10 s.
    #[track_caller]
    pub fn wait_answer(&self, from: From<'_>, target: &str) -> String {
        let mut last = Err(String::new());
        eventually(Duration::from_secs(10), || {
            last = self.ask(from, target);
            last.is_ok()
        });
        last.unwrap_or_else(|e| panic!("{target} does not answer from {from:?}: {e}"))
    }
}

fn answer(ran: &Ran) -> Result<String, String> {
    if ran.status.success() {
        Ok(ran.stdout().trim().to_owned())
    } else {
        Err(ran.stderr().trim().to_owned())
    }
}

/// A server that ends when dropped.
#[derive(Debug)]
pub struct Server {
    _process: Process,
}
