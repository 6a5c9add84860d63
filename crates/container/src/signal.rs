//! Signals by name or number.

use std::fmt;
use std::str::FromStr;

/// A signal number of Linux (1 to 64; 0 asks whether the process is there).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(i32);

/// A name or number that is no signal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown signal {0:?}")]
pub struct UnknownSignal(String);

/// The highest real-time signal, `SIGRTMAX` (signal(7)).
const MAX: i32 = 64;
/// The first real-time signal that the C library leaves to programs (signal(7)).
const RTMIN: i32 = 34;

impl Signal {
    /// `SIGTERM`, what `kill` sends when nothing is said.
    pub const TERM: Self = Self(nix::sys::signal::Signal::SIGTERM as i32);
    /// `SIGKILL`.
    pub const KILL: Self = Self(nix::sys::signal::Signal::SIGKILL as i32);

    /// The signal with this number.
    pub fn from_number(n: i32) -> Option<Self> {
        (0..=MAX).contains(&n).then_some(Self(n))
    }

    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+1`.
    fn from_str(s: &str) -> Result<Self, UnknownSignal> {
        let unknown = || UnknownSignal(s.to_owned());
        if let Ok(n) = s.parse::<i32>() {
            return Self::from_number(n).ok_or_else(unknown);
        }
        let upper = s.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(n) = real_time(name) {
            return Ok(Self(n));
        }
        let name = match name {
            "CLD" => "CHLD",
            "POLL" => "IO",
            "IOT" => "ABRT",
            name => name,
        };
        nix::sys::signal::Signal::from_str(&format!("SIG{name}"))
            .map(|signal| Self(signal as i32))
            .map_err(|_| unknown())
    }
}

/// `RTMIN`, `RTMIN+n`, `RTMAX`, `RTMAX-n`.
fn real_time(name: &str) -> Option<i32> {
    let (base, rest, sign) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => (RTMIN, rest, '+'),
        (_, Some(rest)) => (MAX, rest, '-'),
        _ => return None,
    };
    let offset = match rest.strip_prefix(sign) {
        Some(digits) => digits.parse::<u8>().ok()?.into(),
        None if rest.is_empty() => 0,
        None => return None,
    };
    let n = if sign == '+' { base + offset } else { base - offset };
    (RTMIN..=MAX).contains(&n).then_some(n)
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match nix::sys::signal::Signal::try_from(self.0) {
            Ok(signal) => f.write_str(signal.as_str()),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("TERM", 15),
            ("sigkill", 9),
            ("SIGUSR1", 10),
            ("9", 9),
            ("RTMIN+1", 35),
            ("SIGRTMAX", 64),
            ("0", 0),
        ] {
            assert_eq!(text.parse::<Signal>().unwrap().number(), number, "{text}");
        }
    }

    #[test]
    fn what_is_no_signal() {
        for text in ["", "SIG", "NOPE", "-1", "65", "RTMIN+40", "RTMAX-99", "TERM ", "RTMIN-1"] {
            assert!(text.parse::<Signal>().is_err(), "{text:?}");
        }
    }
}
