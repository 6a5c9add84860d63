//! Against a bus of a few lines.

use std::collections::VecDeque;
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use super::*;
use crate::systemd::wire::received;

/// A connection to a server that authenticates and then, for each call it gets, sends the next of
/// `answers`; after the last one it closes. What was called is the thread's result.
fn server(answers: Vec<Vec<u8>>) -> (Bus, JoinHandle<Vec<String>>) {
    let dir = std::env::temp_dir().join(format!("rrun-bus-{}-{}", std::process::id(), name()));
    let listener = UnixListener::bind(&dir).unwrap();
    let place = Place::path(&dir, false);
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = [0; 29];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
        stream.write_all(b"DATA\r\nOK 0123\r\n").unwrap();
        let mut answers = VecDeque::from(answers);
        let mut called = Vec::new();
        while let Some(answer) = answers.pop_front() {
            let mut call = vec![0; wire::FIXED_HEADER];
            stream.read_exact(&mut call).unwrap();
            call.resize(Message::length(&call).unwrap(), 0);
            stream.read_exact(&mut call[wire::FIXED_HEADER..]).unwrap();
            called.push(Message::parse(&call).unwrap().member);
            stream.write_all(&answer).unwrap();
        }
        called
    });
    let bus = Bus::open(&place).unwrap();
    std::fs::remove_file(dir).unwrap();
    (bus, thread)
}

/// Of the running test.
fn name() -> String {
    std::thread::current().name().unwrap_or_default().replace("::", "-")
}

fn signature(text: &str) -> (u8, Value) {
    (wire::SIGNATURE, Value::Signature(text.to_owned()))
}

fn reply(serial: u32, types: &str, body: &[Value]) -> Vec<u8> {
    let fields = vec![(wire::REPLY_SERIAL, Value::U32(serial)), signature(types)];
    received(wire::METHOD_RETURN, fields, body)
}

fn job_removed(job: &str, result: &str) -> Vec<u8> {
    let fields = vec![(wire::MEMBER, Value::text("JobRemoved")), signature("uoss")];
    let body = [Value::U32(1), Value::Path(job.to_owned()), Value::text("u"), Value::text(result)];
    received(wire::SIGNAL, fields, &body)
}

#[test]
fn a_job_may_end_before_its_start_is_answered() {
    let started = reply(1, "o", &[Value::Path("/job/2".to_owned())]);
    let early = [job_removed("/job/1", "failed"), job_removed("/job/2", "done"), started].concat();
    let again = reply(2, "o", &[Value::Path("/job/3".to_owned())]);
    let late = [again, job_removed("/job/1", "done"), job_removed("/job/3", "timeout")].concat();
    let (mut bus, thread) = server(vec![early, late]);
    assert_eq!(bus.job("StartTransientUnit", &[]).unwrap().as_deref(), Some("done"));
    assert_eq!(bus.job("StopUnit", &[]).unwrap().as_deref(), Some("timeout"));
    assert_eq!(thread.join().unwrap(), ["StartTransientUnit", "StopUnit"]);
}

#[test]
fn a_refusal_has_a_name_and_a_text() {
    let fields = vec![
        (wire::REPLY_SERIAL, Value::U32(1)),
        (wire::ERROR_NAME, Value::text("org.freedesktop.systemd1.UnitExists")),
        signature("s"),
    ];
    let refusal = received(wire::ERROR, fields, &[Value::text("Unit a.scope already exists.")]);
    let (mut bus, _thread) = server(vec![refusal]);
    match bus.manager("StartTransientUnit", &[]) {
        Err(Error::BusReply { name, text }) => {
            assert_eq!(name, "org.freedesktop.systemd1.UnitExists");
            assert_eq!(text, "Unit a.scope already exists.");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_version_is_asked_for_once() {
    let version = [Value::Variant(Box::new(Value::text("252.4-1")))];
    // An answer to something else comes first.
    let answer = [reply(7, "s", &[Value::text("x")]), reply(1, "v", &version)].concat();
    let (mut bus, thread) = server(vec![answer]);
    assert_eq!((bus.version(), bus.version()), (252, 252));
    assert_eq!(thread.join().unwrap(), ["Get"]);
}

#[test]
fn a_bus_that_goes_away_is_an_error() {
    for answer in [Vec::new(), b"l\x02\0\x01".to_vec(), b"nonsense nonsense".to_vec()] {
        let (mut bus, _thread) = server(vec![answer]);
        let error = bus.manager("Ping", &[]).unwrap_err();
        assert!(matches!(error, Error::Bus(_)), "{error}");
    }
}

#[test]
fn a_refused_authentication_is_an_error() {
    for answer in [&b"REJECTED EXTERNAL\r\n"[..], b"", b"O"] {
        let dir = std::env::temp_dir().join(format!("rrun-bus-{}-auth", std::process::id()));
        let listener = UnixListener::bind(&dir).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut said = [0; 29];
            stream.read_exact(&mut said).unwrap();
            stream.write_all(answer).unwrap();
        });
        let error = Bus::open(&Place::path(&dir, false)).unwrap_err();
        assert!(matches!(error, Error::BusConnect(_)), "{error}");
        thread.join().unwrap();
        std::fs::remove_file(dir).unwrap();
    }
}

#[test]
fn versions() {
    for (text, version) in [
        ("252.39-1~deb12u1", 252),
        ("v245.4-1.fc32", 245),
        ("\"v244\"", 244),
        ("242", 242),
        ("", 0),
        ("x", 0),
    ] {
        assert_eq!(version_number(text), version, "{text}");
    }
}

#[test]
fn addresses() {
    let places = parse_addresses("unix:path=/run/a%20b,guid=1;unix:abstract=x;tcp:host=h");
    let address = |place: &Place| place.address;
    let path = |place| address(place).unwrap().path().unwrap().to_owned();
    assert_eq!(path(&places[0]), std::path::Path::new("/run/a b"));
    assert_eq!(address(&places[1]).unwrap().as_abstract(), Some(&b"x"[..]));
    assert!(places[2].address.is_none());
    assert!(parse_addresses("").is_empty());
    assert_eq!(unescape("%2"), None);
    assert_eq!(unescape("%zz"), None);
}
