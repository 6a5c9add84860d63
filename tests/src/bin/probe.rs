//! Asks and answers over the network, so that reachability is seen by packets and not by rules.
//!
//! - `probe serve tcp|udp ADDR:PORT NAME` says `listening`, then answers each client with
//!   `NAME CLIENT-ADDRESS`; a TCP client gets its own bytes back after that.
//! - `probe ask tcp|udp ADDR:PORT [--from ADDR] [--port PORT] [--timeout MS]` prints the answer; else
//!   exit 1 and `refused`, `timeout` or `unreachable` on stderr.
//! - `probe notify TEXT...` sends each text to the socket in `$NOTIFY_SOCKET` (sd_notify(3)).
//! - `probe hold ADDR:PORT` keeps a TCP stream flowing until stdin ends; exit 1 when it breaks.

// A probe that cannot go on ends with a message.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let end = match words[..] {
        ["serve", "tcp", at, name] => serve_tcp(parse(at), name),
        ["serve", "udp", at, name] => serve_udp(parse(at), name),
        ["ask", proto, at, ref rest @ ..] => ask(proto, parse(at), rest),
        ["notify", ref texts @ ..] => notify(texts),
        ["hold", at] => hold(parse(at)),
        _ => panic!("probe serve|ask|notify|hold"),
    };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}", reason(&e));
            ExitCode::FAILURE
        }
    }
}

fn parse(at: &str) -> SocketAddr {
    at.parse().unwrap_or_else(|_| panic!("{at}: no ADDR:PORT"))
}

fn reason(e: &io::Error) -> String {
    // connect(2) tells a send timeout by EINPROGRESS.
    if e.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) {
        return "timeout".into();
    }
    match e.kind() {
        ErrorKind::ConnectionRefused => "refused".into(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "timeout".into(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "unreachable".into(),
        _ => e.to_string(),
    }
}

fn notify(texts: &[&str]) -> io::Result<()> {
    let manager = std::env::var_os("NOTIFY_SOCKET").expect("NOTIFY_SOCKET is set");
    let socket = UnixDatagram::unbound()?;
    texts.iter().try_for_each(|text| socket.send_to(text.as_bytes(), &manager).map(drop))
}

fn listening() {
    println!("listening");
    io::stdout().flush().expect("say listening");
}

fn serve_tcp(at: SocketAddr, name: &str) -> io::Result<()> {
    let listener = TcpListener::bind(at)?;
    listening();
    for client in listener.incoming() {
        let client = client?;
        let name = name.to_owned();
        // A client that breaks off hurts nobody else.
        std::thread::spawn(move || answer(client, &name));
    }
    Ok(())
}

fn answer(mut client: TcpStream, name: &str) -> io::Result<()> {
    writeln!(client, "{name} {}", client.peer_addr()?.ip())?;
    let mut reader = client.try_clone()?;
    io::copy(&mut reader, &mut client).map(drop)
}

fn serve_udp(at: SocketAddr, name: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(at)?;
    listening();
    let mut buffer = [0; 512];
    loop {
        let (_, client) = socket.recv_from(&mut buffer)?;
        socket.send_to(format!("{name} {}\n", client.ip()).as_bytes(), client)?;
    }
}

fn ask(proto: &str, at: SocketAddr, rest: &[&str]) -> io::Result<()> {
    let option = |name: &str| {
        rest.iter().position(|word| *word == name).and_then(|i| rest.get(i + 1)).copied()
    };
    let from: Option<IpAddr> = option("--from").map(|a| a.parse().expect("--from ADDR"));
    let port = option("--port").map_or(0, |port| port.parse().expect("--port PORT"));
    let wait = option("--timeout").map_or(1500, |ms| ms.parse().expect("--timeout MS"));
    let wait = Duration::from_millis(wait);
    let line = match proto {
        "tcp" => ask_tcp(at, from, wait)?,
        "udp" => ask_udp(at, from, port, wait)?,
        other => panic!("{other}: tcp or udp"),
    };
    print!("{line}");
    Ok(())
}

fn open_tcp(at: SocketAddr, from: Option<IpAddr>, wait: Duration) -> io::Result<TcpStream> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // connect(2) obeys the send timeout.
    set_socket_timeout(&socket, Timeout::Send, Some(wait))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(wait))?;
    if let Some(from) = from {
        bind(&socket, &SocketAddr::new(from, 0))?;
    }
    connect(&socket, &at)?;
    Ok(TcpStream::from(socket))
}

fn ask_tcp(at: SocketAddr, from: Option<IpAddr>, wait: Duration) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(open_tcp(at, from, wait)?).read_line(&mut line)?;
    if line.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
}

fn ask_udp(at: SocketAddr, from: Option<IpAddr>, port: u16, wait: Duration) -> io::Result<String> {
    let any: IpAddr = if at.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind((from.unwrap_or(any), port))?;
    socket.set_read_timeout(Some(wait))?;
    // A connected socket hears of ICMP errors and takes answers of `at` alone.
    socket.connect(at)?;
    socket.send(b"?")?;
    let mut buffer = [0; 512];
    let n = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..n]).into_owned())
}

fn hold(at: SocketAddr) -> io::Result<()> {
    static END: AtomicBool = AtomicBool::new(false);
    let stream = open_tcp(at, None, Duration::from_secs(3))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    listening();
    std::thread::spawn(|| {
        // Any end of stdin is the sign to stop.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        END.store(true, Ordering::Relaxed);
    });
    while !END.load(Ordering::Relaxed) {
        stream.write_all(b"x")?;
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
