//! The connection to systemd: over its bus, or its own private socket.
//!
//! A synchronous client of the few calls that the driver makes. Replies and signals come in the order
//! in which systemd sends them, so one connection serves for both.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket};

use super::value::Value;
use super::wire::{self, Message, Target};
use crate::error::{Error, Result};

/// How long an answer, or the end of a job, may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest line of the authentication protocol that is read, in bytes.
const MAX_LINE: usize = 512;

const SYSTEMD: Target = Target {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
const PROPERTIES: Target = Target { interface: "org.freedesktop.DBus.Properties", ..SYSTEMD };
const BUS: Target = Target {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// A connection to the system's or the user's systemd.
#[derive(Debug)]
pub(crate) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// Our name on the bus; empty on a private connection.
    name: String,
    version: Option<u32>,
    /// Jobs that ended, by path and result, and have not been asked for.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects to the system manager, or with `user` to the user's.
    pub(super) fn connect(user: bool) -> Result<Self> {
        let nowhere = "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set";
        let mut failed = Error::BusConnect(nowhere.to_owned());
        for place in if user { user_places() } else { system_places() } {
            match Self::open(&place) {
                Ok(bus) => return Ok(bus),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn open(place: &Place) -> Result<Self> {
        let failed =
            |what: &dyn std::fmt::Display| Error::BusConnect(format!("{}: {what}", place.text));
        let address = place.address.as_ref().ok_or_else(|| failed(&"unsupported address"))?;
        let stream = connect(address).map_err(|error| failed(&error))?;
        let mut bus =
            Self { stream, serial: 0, name: String::new(), version: None, ended: Vec::new() };
        bus.authenticate().map_err(|error| failed(&error))?;
        if place.is_bus {
            bus.introduce().map_err(|error| failed(&error))?;
        }
        Ok(bus)
    }

    /// `EXTERNAL` without saying who we are: the other side takes the socket's credentials, which are
    /// right in a user namespace as well, where our own idea of our uid is not
    /// (D-Bus Specification, "Authentication Mechanisms").
    ///
    /// `BEGIN` goes along with it, and the first message only after the answer: a message that
    /// systemd's own socket reads together with `BEGIN` stays there until another one comes.
    fn authenticate(&mut self) -> std::io::Result<()> {
        self.stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        loop {
            let line = self.line()?;
            if line.starts_with(b"OK") {
                return Ok(());
            }
            if !line.starts_with(b"DATA") {
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                return Err(std::io::Error::other(format!("authentication failed: {text}")));
            }
        }
    }

    fn line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        // Byte by byte: what follows the line is no longer text.
        while !line.ends_with(b"\r\n") && line.len() < MAX_LINE {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            line.extend(byte);
        }
        Ok(line)
    }

    /// Gets a name, and asks for the end of jobs. The bus reads in order: a job started later cannot
    /// end unseen.
    fn introduce(&mut self) -> Result<()> {
        let answer = self.call(&BUS, "Hello", &[])?;
        if let Some(Value::Text(name)) = answer.into_iter().next() {
            self.name = name;
        }
        let rule = "type='signal',sender='org.freedesktop.systemd1',\
                    interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
        self.call(&BUS, "AddMatch", &[Value::text(rule)]).map(drop)
    }

    /// The uid that the bus knows us by, in its own user namespace. 0 on a private connection.
    pub(super) fn own_uid(&mut self) -> Result<u32> {
        let name = self.name.clone();
        let answer = self.call(&BUS, "GetConnectionUnixUser", &[Value::text(name)])?;
        match answer.first() {
            Some(Value::U32(uid)) => Ok(*uid),
            _ => Err(Error::Bus("GetConnectionUnixUser: unexpected answer".to_owned())),
        }
    }

    /// Calls a method of the manager.
    pub(super) fn manager(&mut self, member: &str, arguments: &[Value]) -> Result<Vec<Value>> {
        self.call(&SYSTEMD, member, arguments)
    }

    /// A textual property of the manager.
    pub(super) fn manager_property(&mut self, name: &str) -> Result<String> {
        let arguments = [Value::text(SYSTEMD.interface), Value::text(name)];
        match self.call(&PROPERTIES, "Get", &arguments)?.into_iter().next() {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(Error::Bus(format!("property {name}: unexpected answer"))),
        }
    }

    /// systemd's version, 0 when it does not say.
    pub(super) fn version(&mut self) -> u32 {
        if let Some(version) = self.version {
            return version;
        }
        let version = match self.manager_property("Version") {
            Ok(text) => version_number(&text),
            Err(error) => {
                tracing::warn!("unable to get systemd version: {error}");
                0
            }
        };
        *self.version.insert(version)
    }

    /// Calls a method of the manager that starts a job, and waits for the job's end. Returns its
    /// result: `done`, `failed`, `timeout`, ... `None` when the time is over.
    pub(super) fn job(&mut self, member: &str, arguments: &[Value]) -> Result<Option<String>> {
        self.ended.clear();
        let answer = self.manager(member, arguments)?;
        let Some(Value::Path(job)) = answer.into_iter().next() else {
            return Err(Error::Bus(format!("{member}: unexpected answer")));
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((_, result)) = self.ended.iter().find(|(path, _)| *path == job) {
                return Ok(Some(result.clone()));
            }
            match self.receive(deadline) {
                Ok(message) => self.note(message),
                Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(None),
                Err(error) => return Err(Error::Bus(format!("{member}: {error}"))),
            }
        }
    }

    fn call(&mut self, target: &Target, member: &str, arguments: &[Value]) -> Result<Vec<Value>> {
        let failed = |error| Error::Bus(format!("{member}: {error}"));
        self.serial += 1;
        let serial = self.serial;
        let bytes = wire::call(serial, target, member, arguments);
        self.stream.write_all(&bytes).map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.receive(deadline).map_err(failed)?;
            match message.kind {
                wire::METHOD_RETURN if message.reply_to == Some(serial) => return Ok(message.body),
                wire::ERROR if message.reply_to == Some(serial) => {
                    let text = match message.body.into_iter().next() {
                        Some(Value::Text(text)) => text,
                        _ => message.error.clone(),
                    };
                    return Err(Error::BusReply { name: message.error, text });
                }
                _ => self.note(message),
            }
        }
    }

    /// Keeps what a signal says of a job's end.
    fn note(&mut self, message: Message) {
        if message.kind != wire::SIGNAL || message.member != "JobRemoved" {
            return;
        }
        // Number, path, unit, result.
        if let [_, Value::Path(job), _, Value::Text(result)] = message.body.as_slice() {
            self.ended.push((job.clone(), result.clone()));
        }
    }

    fn receive(&mut self, deadline: Instant) -> std::io::Result<Message> {
        let malformed = || std::io::Error::new(ErrorKind::InvalidData, "malformed message");
        let mut bytes = vec![0; wire::FIXED_HEADER];
        self.fill(&mut bytes, deadline)?;
        let length = Message::length(&bytes).ok_or_else(malformed)?;
        bytes.resize(length, 0);
        self.fill(bytes.get_mut(wire::FIXED_HEADER..).unwrap_or_default(), deadline)?;
        Message::parse(&bytes).ok_or_else(malformed)
    }

    fn fill(&mut self, mut buffer: &mut [u8], deadline: Instant) -> std::io::Result<()> {
        while !buffer.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => buffer = buffer.get_mut(length..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // How a socket says that its time is over (socket(7), SO_RCVTIMEO).
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Connects, with a limit to how long that, and each call later, may wait: a listener that does not accept lets
/// whoever comes wait when its queue is full (connect(2) heeds SO_SNDTIMEO, socket(7)).
fn connect(address: &UnixAddr) -> std::io::Result<UnixStream> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let stream = UnixStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    match nix::sys::socket::connect(stream.as_raw_fd(), address) {
        Ok(()) => Ok(stream),
        Err(Errno::EAGAIN) => Err(ErrorKind::TimedOut.into()),
        Err(errno) => Err(errno.into()),
    }
}

/// The first number in `252.4-1`, `v245`, `"v245.4-1.fc32"`; 0 when there is none.
fn version_number(text: &str) -> u32 {
    let text = text.trim_start_matches(['"', 'v']);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Where somebody may listen.
struct Place {
    /// For messages.
    text: String,
    /// `None`: of a kind that is not supported.
    address: Option<UnixAddr>,
    /// A bus, not systemd itself.
    is_bus: bool,
}

impl Place {
    fn path(path: impl Into<PathBuf>, is_bus: bool) -> Self {
        let path = path.into();
        Self { text: path.display().to_string(), address: UnixAddr::new(&path).ok(), is_bus }
    }
}

fn system_places() -> Vec<Place> {
    let mut places = match std::env::var("DBUS_SYSTEM_BUS_ADDRESS") {
        Ok(addresses) if !addresses.is_empty() => parse_addresses(&addresses),
        _ => vec![Place::path("/run/dbus/system_bus_socket", true)],
    };
    if nix::unistd::geteuid().is_root() {
        // systemd's own socket is there before any bus is.
        places.push(Place::path("/run/systemd/private", false));
    }
    places
}

fn user_places() -> Vec<Place> {
    if let Ok(addresses) = std::env::var("DBUS_SESSION_BUS_ADDRESS")
        && !addresses.is_empty()
    {
        return parse_addresses(&addresses);
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let Some(runtime) = runtime.map(PathBuf::from) else { return Vec::new() };
    let bus = runtime.join("bus");
    vec![match bus.exists() {
        true => Place::path(bus, true),
        false => Place::path(runtime.join("systemd/private"), false),
    }]
}

/// `unix:path=/run/user/1000/bus,guid=...;unix:abstract=...` (D-Bus Specification, "Server
/// Addresses").
fn parse_addresses(addresses: &str) -> Vec<Place> {
    addresses.split(';').filter(|address| !address.is_empty()).map(parse_address).collect()
}

fn parse_address(text: &str) -> Place {
    let pairs = text.strip_prefix("unix:").unwrap_or_default();
    let address =
        pairs.split(',').filter_map(|pair| pair.split_once('=')).find_map(|(key, value)| {
            let value = unescape(value)?;
            match key {
                "path" => UnixAddr::new(value.as_slice()).ok(),
                "abstract" => UnixAddr::new_abstract(&value).ok(),
                _ => None,
            }
        });
    Place { text: text.to_owned(), address, is_bus: true }
}

/// `%xx` stands for a byte.
fn unescape(value: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
