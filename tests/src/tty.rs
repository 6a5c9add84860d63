//! Both ends of a container's terminal: the console socket's receiver and a pty for foreground runs.

use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{Lab, Process, eventually, sys};

/// What came out of a terminal, collected by a thread that ends with the terminal.
#[derive(Debug, Clone)]
pub struct Screen(Arc<Mutex<String>>);

impl Screen {
    fn of(mut terminal: File) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO is how the kernel says that the last process closed the terminal.
            while let Ok(n @ 1..) = terminal.read(&mut buffer) {
                let said = String::from_utf8_lossy(&buffer[..n]).into_owned();
                shared.lock().expect("screen").push_str(&said);
            }
        });
        Self(text)
    }

    /// All text until now.
    pub fn text(&self) -> String {
        self.0.lock().expect("screen").clone()
    }

    /// Waits for `text`.
    ///
    /// # Panics
    /// When it does not come within 20 s.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let came = eventually(Duration::from_secs(20), || self.text().contains(text));
        assert!(came, "no {text:?} on the screen: {:?}", self.text());
    }
}

/// A listening console socket, as `--console-socket` wants it.
#[derive(Debug)]
pub struct ConsoleSocket(UnixListener);

impl ConsoleSocket {
    /// Listens at `path`.
    pub fn listen(path: &Path) -> Self {
        Self(UnixListener::bind(path).expect("console socket"))
    }

    /// Receives the terminal that the runtime sends, and the name it sends with it.
    ///
    /// # Panics
    /// When the message carries no descriptor.
    pub fn receive(&self) -> (File, String) {
        let (stream, _) = self.0.accept().expect("runtime at the console socket");
        let mut name = [0; 4096];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffers = [IoSliceMut::new(&mut name)];
        let got = recvmsg(&stream, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)
            .expect("message at the console socket");
        let mut fds: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(sent) = message {
                fds.extend(sent);
            }
        }
        assert_eq!(fds.len(), 1, "one descriptor expected");
        let name = String::from_utf8_lossy(&name[..got.bytes]).into_owned();
        (File::from(fds.remove(0)), name)
    }
}

/// A pty whose slave is the controlling terminal of a command in a lab.
#[derive(Debug)]
pub struct Foreground {
    /// The command.
    pub child: Process,
    /// What it shows.
    pub screen: Screen,
    /// The master: what is written here is typed.
    pub keys: File,
}

impl Foreground {
    /// Starts `command` on a new terminal of `columns` x `rows`.
    pub fn start(lab: &Lab, command: &mut Command, columns: u16, rows: u16) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("openpt");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("ptsname");
        let slave = File::options()
            .read(true)
            .write(true)
            .open(Path::new(name.to_str().expect("ASCII")))
            .expect("open the slave");
        let keys = File::from(master);
        resize(&keys, columns, rows);
        let stream = || Stdio::from(slave.try_clone().expect("dup the slave"));
        command.stdin(stream()).stdout(stream()).stderr(stream());
        sys::own_terminal(command, OwnedFd::from(slave.try_clone().expect("dup the slave")));
        let child = lab.spawn(command).expect("start on a terminal");
        let screen = Screen::of(keys.try_clone().expect("dup the master"));
        Self { child, screen, keys }
    }

    /// Waits for the command; its exit code.
    ///
    /// # Panics
    /// When it does not end within 30 s.
    pub fn wait(&mut self) -> i32 {
        let mut status = None;
        eventually(Duration::from_secs(30), || {
            status = self.child.try_wait().expect("wait");
            status.is_some()
        });
        let Some(status) = status else {
            let _ = self.child.kill();
            panic!("hung on the terminal: {:?}", self.screen.text());
        };
        status.code().unwrap_or(-1)
    }
}

/// Watches a terminal's output.
pub fn screen_of(terminal: &File) -> Screen {
    Screen::of(terminal.try_clone().expect("dup"))
}

/// Sets a terminal's size; the kernel sends SIGWINCH to its foreground group.
pub fn resize(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("TIOCSWINSZ");
}
