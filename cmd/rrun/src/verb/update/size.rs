//! Sizes in bytes as Docker's users write them (docker/go-units, `RAMInBytes`).

/// Why a text is no size.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum SizeError {
    #[error("invalid size: '{0}'")]
    Number(String),
    #[error("invalid suffix: '{0}'")]
    Suffix(String),
}

/// A number, which may have a fraction and a binary unit: `50M`, `1.5g`, `10 KiB`. `-1` is no limit.
pub(super) fn parse(text: &str) -> Result<i64, SizeError> {
    if text == "-1" {
        return Ok(-1);
    }
    let invalid = || SizeError::Number(text.to_owned());
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').ok_or_else(invalid)? + 1;
    let (number, suffix) = text.split_at(end);
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix);
    let bytes = exactly(number, factor(suffix)?).ok_or_else(invalid)?;
    i64::try_from(bytes).map_err(|_| invalid())
}

/// The power of two that a unit stands for.
fn factor(suffix: &str) -> Result<u32, SizeError> {
    let lower = suffix.to_ascii_lowercase();
    let unit = match lower.as_str() {
        "" | "b" => return Ok(0),
        unit => unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit),
    };
    let units = ["k", "m", "g", "t", "p"];
    match units.iter().zip(1..).find(|(name, _)| **name == unit) {
        Some((_, thousands)) => Ok(10 * thousands),
        None => Err(SizeError::Suffix(suffix.to_owned())),
    }
}

/// `number << shift`, the fraction cut off, without the rounding of floating point above 2^53.
fn exactly(number: &str, shift: u32) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    // Digits beyond these do not make a byte, even of a petabyte.
    let fraction = fraction.get(..fraction.len().min(18))?;
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = (u128::from(digits(fraction)?) << shift) / scale;
    Some((u128::from(digits(whole)?) << shift) + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("-1", -1),
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("32 B", 32),
            ("50M", 50 << 20),
            ("32kb", 32 << 10),
            ("32 KiB", 32 << 10),
            ("1.5g", 3 << 29),
            (".5m", 1 << 19),
            ("3.m", 3 << 20),
            ("2P", 2 << 50),
            ("9223372036854775807", i64::MAX),
            ("0.3333333333333333333333333k", 341),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in [
            "",
            "M",
            "-2",
            "-1k",
            "1.2.3",
            "1 2",
            " 1",
            "+1",
            "0x10",
            "9223372036854775808",
            "8192P",
        ] {
            assert_eq!(parse(text), Err(SizeError::Number(text.into())), "{text}");
        }
        for (text, suffix) in
            [("1kib2x", "x"), ("1mm", "mm"), ("1bb", "bb"), ("1ib", "ib"), ("1  k", " k")]
        {
            assert_eq!(parse(text), Err(SizeError::Suffix(suffix.into())), "{text}");
        }
    }
}
