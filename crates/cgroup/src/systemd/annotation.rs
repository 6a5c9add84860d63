//! `org.systemd.property.NAME` annotations: unit properties in GVariant's text format.
//!
//! The grammar is the one that runc's users write for: numbers, strings, booleans, byte strings,
//! arrays, dictionaries and variants, a type before a value (`uint64 5`, `@as []`), and without one
//! what GVariant infers: a number is an `int32`, with a point or an exponent a `double`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;

use super::value::{Property, Value};
use crate::error::{Error, Result};

const PREFIX: &str = "org.systemd.property.";
/// Deeper nesting than the bus allows (D-Bus Specification, "Valid Signatures").
const MAX_DEPTH: u8 = 32;
/// The longest signature that the bus allows, in bytes (D-Bus Specification, "Valid Signatures").
const MAX_SIGNATURE: usize = 255;

/// The properties that annotations ask for, in the order of their names.
///
/// # Errors
///
/// [`Error::Annotation`] for a name that is none, and for a value that cannot be read.
pub(super) fn properties(annotations: &HashMap<String, String>) -> Result<Vec<Property>> {
    let mut properties = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(PREFIX) else { continue };
        let failed = |what: String| Error::Annotation(format!("{key}{what}"));
        check_name(name).map_err(|what| failed(format!(" name incorrect: {what}")))?;
        let unreadable = |what| failed(format!("={text} value parse error: {what}"));
        let value = parse(text).map_err(unreadable)?;
        properties.push(match seconds(name) {
            Some(stem) => Property {
                name: Cow::Owned(format!("{stem}USec")),
                value: microseconds(&value).ok_or("not a number".to_owned()).map_err(unreadable)?,
            },
            None => Property { name: Cow::Owned(name.to_owned()), value },
        });
    }
    properties.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(properties)
}

fn check_name(name: &str) -> std::result::Result<(), &'static str> {
    if name.len() < 3 {
        return Err("too short");
    }
    match name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        true => Ok(()),
        false => Err("contains non-alphabetic character"),
    }
}

/// Unit files know `TimeoutStopSec`, the bus `TimeoutStopUSec`: the name before `Sec`, which is not
/// already `USec`.
fn seconds(name: &str) -> Option<&str> {
    name.strip_suffix("Sec").filter(|stem| stem.ends_with(|end: char| end.is_ascii_lowercase()))
}

fn microseconds(value: &Value) -> Option<Value> {
    const SECOND: u64 = 1_000_000;
    let whole = |seconds: i64| seconds.cast_unsigned().wrapping_mul(SECOND);
    Some(Value::U64(match *value {
        Value::Byte(seconds) => u64::from(seconds) * SECOND,
        Value::U16(seconds) => u64::from(seconds) * SECOND,
        Value::U32(seconds) => u64::from(seconds) * SECOND,
        Value::U64(seconds) => seconds.wrapping_mul(SECOND),
        Value::I16(seconds) => whole(seconds.into()),
        Value::I32(seconds) => whole(seconds.into()),
        Value::I64(seconds) => whole(seconds),
        Value::Double(seconds) => (seconds * SECOND as f64) as u64,
        _ => return None,
    }))
}

type Parsed<T> = std::result::Result<T, String>;

/// A value as it is written, its type perhaps still open.
enum Node {
    Number(String),
    Text(String),
    Bool(bool),
    Bytes(Vec<u8>),
    Array(Vec<Node>),
    Dictionary(Vec<(Node, Node)>),
    Variant(Box<Node>),
    /// With its type before it.
    Typed(String, Box<Node>),
}

fn parse(text: &str) -> Parsed<Value> {
    let mut parser = Parser { text: text.chars().peekable(), depth: 0 };
    let node = parser.node()?;
    match parser.next() {
        None => node.value(&node.infer()?),
        Some(rest) => Err(format!("unexpected {rest:?}")),
    }
}

struct Parser<'a> {
    text: Peekable<Chars<'a>>,
    depth: u8,
}

impl Parser<'_> {
    /// The next character that is no blank.
    fn peek(&mut self) -> Option<char> {
        while self.text.next_if(|c| c.is_whitespace()).is_some() {}
        self.text.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        self.peek()?;
        self.text.next()
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        std::iter::from_fn(|| self.text.next_if(|c| wanted(*c))).collect()
    }

    fn expect(&mut self, wanted: char) -> Parsed<()> {
        match self.next() {
            Some(next) if next == wanted => Ok(()),
            next => Err(unexpected(next)),
        }
    }

    fn node(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nested too deeply".to_owned());
        }
        let first = self.peek().ok_or_else(|| unexpected(None))?;
        let node = self.node_at(first);
        self.depth -= 1;
        node
    }

    fn node_at(&mut self, first: char) -> Parsed<Node> {
        match first {
            '[' => self.list(']', Self::node).map(Node::Array),
            '{' => self.list('}', Self::entry).map(Node::Dictionary),
            '<' => {
                self.next();
                let node = self.node()?;
                self.expect('>')?;
                Ok(Node::Variant(Box::new(node)))
            }
            '\'' | '"' => self.quoted().map(Node::Text),
            '@' => {
                self.next();
                let signature = self.take_while(|c| !c.is_whitespace());
                self.typed(signature)
            }
            c if c.is_ascii_digit() || c == '+' || c == '-' => Ok(Node::Number(
                self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')),
            )),
            _ => self.word(),
        }
    }

    /// `true`, `false`, `b'...'` or the name of a type with a value of it.
    fn word(&mut self) -> Parsed<Node> {
        let word = self.take_while(|c| c.is_ascii_alphanumeric());
        let signature = match word.as_str() {
            "true" => return Ok(Node::Bool(true)),
            "false" => return Ok(Node::Bool(false)),
            "b" if matches!(self.text.peek(), Some('\'' | '"')) => {
                let mut bytes = self.quoted()?.into_bytes();
                // A byte string is a C string.
                bytes.push(0);
                return Ok(Node::Bytes(bytes));
            }
            "boolean" => "b",
            "byte" => "y",
            "int16" => "n",
            "uint16" => "q",
            "int32" => "i",
            "uint32" => "u",
            "int64" => "x",
            "uint64" => "t",
            "double" => "d",
            "string" => "s",
            "objectpath" => "o",
            "signature" => "g",
            "" => return Err(unexpected(self.next())),
            _ => return Err(format!("unrecognized type {word:?}")),
        };
        self.typed(signature.to_owned())
    }

    fn typed(&mut self, signature: String) -> Parsed<Node> {
        match self.node()? {
            Node::Typed(..) => Err("unexpected type annotation".to_owned()),
            node => Ok(Node::Typed(signature, Box::new(node))),
        }
    }

    fn list<T>(&mut self, end: char, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.next();
        let mut items = Vec::new();
        if self.peek() == Some(end) {
            self.next();
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            match self.next() {
                Some(',') => {}
                Some(next) if next == end => return Ok(items),
                next => return Err(unexpected(next)),
            }
        }
    }

    fn entry(&mut self) -> Parsed<(Node, Node)> {
        let key = self.node()?;
        self.expect(':')?;
        Ok((key, self.node()?))
    }

    fn quoted(&mut self) -> Parsed<String> {
        let quote = self.text.next();
        let unterminated = || "unterminated string".to_owned();
        let mut text = String::new();
        loop {
            let next = self.text.next();
            if next == quote {
                return Ok(text);
            }
            text.push(match next.ok_or_else(unterminated)? {
                '\\' => match self.text.next().ok_or_else(unterminated)? {
                    'a' => '\x07',
                    'b' => '\x08',
                    'f' => '\x0c',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    // A line goes on.
                    '\n' => continue,
                    'u' => self.code_point(4)?,
                    'U' => self.code_point(8)?,
                    other => other,
                },
                other => other,
            });
        }
    }

    fn code_point(&mut self, digits: usize) -> Parsed<char> {
        let hex: String = self.text.by_ref().take(digits).collect();
        let number = u32::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == digits);
        number.and_then(char::from_u32).ok_or_else(|| format!("bad unicode escape {hex:?}"))
    }
}

fn unexpected(next: Option<char>) -> String {
    match next {
        Some(next) => format!("unexpected {next:?}"),
        None => "unexpected EOF".to_owned(),
    }
}

impl Node {
    /// The only type a value can have; `None` when it depends on its neighbours.
    fn fixed(&self) -> Option<String> {
        Some(match self {
            Self::Typed(signature, _) => signature.clone(),
            Self::Number(text) if is_double(text) => "d".to_owned(),
            Self::Number(_) | Self::Text(_) => return None,
            Self::Bool(_) => "b".to_owned(),
            Self::Bytes(_) => "ay".to_owned(),
            Self::Variant(_) => "v".to_owned(),
            Self::Array(items) => format!("a{}", items.iter().find_map(Self::fixed)?),
            Self::Dictionary(entries) => {
                let key = entries.iter().find_map(|(key, _)| key.fixed())?;
                let value = entries.iter().find_map(|(_, value)| value.fixed())?;
                format!("a{{{key}{value}}}")
            }
        })
    }

    /// The type a value gets where nothing says more. No value is made of one that the bus would not take.
    fn infer(&self) -> Parsed<String> {
        let signature = self.fixed().map_or_else(|| self.guess(), Ok)?;
        match signature.len() > MAX_SIGNATURE {
            true => Err("its type is too long".to_owned()),
            false => Ok(signature),
        }
    }

    /// The type of one that is not fixed.
    fn guess(&self) -> Parsed<String> {
        let empty = || "can't infer type of an empty container".to_owned();
        /// One that is fixed decides for all; else the first that can be inferred.
        fn common<'a>(items: impl Iterator<Item = &'a Node> + Clone) -> Option<String> {
            let fixed = items.clone().find_map(Node::fixed);
            fixed.or_else(|| items.map(Node::infer).find_map(|inferred| inferred.ok()))
        }
        match self {
            Self::Array(items) => Ok(format!("a{}", common(items.iter()).ok_or_else(empty)?)),
            Self::Dictionary(entries) => {
                let key = common(entries.iter().map(|entry| &entry.0)).ok_or_else(empty)?;
                let value = common(entries.iter().map(|entry| &entry.1)).ok_or_else(empty)?;
                Ok(format!("a{{{key}{value}}}"))
            }
            Self::Text(_) => Ok("s".to_owned()),
            _ => Ok("i".to_owned()),
        }
    }

    /// The value as one of this type.
    fn value(&self, signature: &str) -> Parsed<Value> {
        let mismatch = || format!("can't parse value as type {signature:?}");
        match self {
            Self::Typed(own, node) if own == signature => node.value(signature),
            Self::Number(text) => number(text, signature),
            Self::Text(text) => match signature {
                "s" => Ok(Value::text(text)),
                "o" if text.starts_with('/') => Ok(Value::Path(text.clone())),
                "g" if text.len() <= 255 => Ok(Value::Signature(text.clone())),
                _ => Err(mismatch()),
            },
            Self::Bool(value) if signature == "b" => Ok(Value::Bool(*value)),
            Self::Bytes(bytes) if signature == "ay" => Ok(Value::bytes(bytes)),
            Self::Variant(node) if signature == "v" => {
                Ok(Value::Variant(Box::new(node.value(&node.infer()?)?)))
            }
            Self::Array(items) => {
                let element = signature.strip_prefix('a').filter(|_| is_type(signature));
                let element = element.ok_or_else(mismatch)?;
                let values = items.iter().map(|item| item.value(element));
                Ok(Value::Array(element.to_owned(), values.collect::<Parsed<_>>()?))
            }
            Self::Dictionary(entries) => {
                let element = signature.strip_prefix('a').filter(|_| is_type(signature));
                let inner = element.and_then(|entry| entry.strip_prefix('{')?.strip_suffix('}'));
                let (key, value) =
                    inner.and_then(|e| e.split_at_checked(1)).ok_or_else(mismatch)?;
                let entry = |(k, v): &(Node, Node)| {
                    Ok(Value::Entry(Box::new((k.value(key)?, v.value(value)?))))
                };
                let values = entries.iter().map(entry).collect::<Parsed<_>>()?;
                Ok(Value::Array(element.unwrap_or_default().to_owned(), values))
            }
            _ => Err(mismatch()),
        }
    }
}

/// Whether a signature is that of one whole type that a value can be written for. A dictionary's entry is none.
fn is_type(signature: &str) -> bool {
    match signature.as_bytes() {
        [kind] => b"ybnqiuxtdsogv".contains(kind),
        [b'a', b'{', _, .., b'}'] => signature
            .get(2..signature.len() - 1)
            .and_then(|inner| inner.split_at_checked(1))
            .is_some_and(|(key, value)| key != "v" && is_type(key) && is_type(value)),
        [b'a', ..] => signature.get(1..).is_some_and(is_type),
        _ => false,
    }
}

fn is_double(number: &str) -> bool {
    !number.contains("0x") && number.contains(['.', 'e', 'E'])
}

/// Decimal, hexadecimal after `0x`, octal after `0`.
fn number(text: &str, signature: &str) -> Parsed<Value> {
    if signature == "d" {
        let value = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
        return Ok(Value::Double(value));
    }
    let digits = text.trim_start_matches(['+', '-']);
    let (digits, base) = match digits.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    let size = i128::from_str_radix(digits, base).map_err(|error| format!("{text:?}: {error}"))?;
    let whole = if text.starts_with('-') { -size } else { size };
    let value = match signature {
        "y" => whole.try_into().ok().map(Value::Byte),
        "n" => whole.try_into().ok().map(Value::I16),
        "q" => whole.try_into().ok().map(Value::U16),
        "i" => whole.try_into().ok().map(Value::I32),
        "u" => whole.try_into().ok().map(Value::U32),
        "x" => whole.try_into().ok().map(Value::I64),
        "t" => whole.try_into().ok().map(Value::U64),
        _ => return Err(format!("can't parse {text:?} as type {signature:?}")),
    };
    value.ok_or_else(|| format!("{text:?}: value out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(signature: &str, values: Vec<Value>) -> Value {
        Value::Array(signature.to_owned(), values)
    }

    #[test]
    fn values() {
        let entry = |key: &str, value| Value::Entry(Box::new((Value::text(key), value)));
        for (text, value) in [
            ("5", Value::I32(5)),
            (" -5 ", Value::I32(-5)),
            ("0x1f", Value::I32(31)),
            ("017", Value::I32(15)),
            ("0", Value::I32(0)),
            ("uint64 5", Value::U64(5)),
            ("@t 18446744073709551615", Value::U64(u64::MAX)),
            ("byte 255", Value::Byte(255)),
            ("1.5", Value::Double(1.5)),
            ("double 2", Value::Double(2.0)),
            ("true", Value::Bool(true)),
            ("'it\\'s'", Value::text("it's")),
            ("\"a\\tb\\u00e9\"", Value::text("a\tb\u{e9}")),
            ("objectpath '/a'", Value::Path("/a".into())),
            ("['a', 'b']", Value::texts(&["a", "b"])),
            ("@as []", Value::texts(&[])),
            ("[1, uint16 2]", list("q", vec![Value::U16(1), Value::U16(2)])),
            ("[1, 2.5]", list("d", vec![Value::Double(1.0), Value::Double(2.5)])),
            ("[[], [1]]", list("ai", vec![list("i", vec![]), list("i", vec![Value::I32(1)])])),
            ("b'ab'", Value::bytes(b"ab\0")),
            ("<'x'>", Value::Variant(Box::new(Value::text("x")))),
            ("{'a': 1}", list("{si}", vec![entry("a", Value::I32(1))])),
            ("@a{su} {'a': 1}", list("{su}", vec![entry("a", Value::U32(1))])),
        ] {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn nonsense() {
        let deep = "[".repeat(40);
        for text in [
            "",
            "5s",
            "inactive",
            "'open",
            "[1, 'a']",
            "[",
            "[1",
            "{1}",
            "[]",
            "int16 70000",
            "uint32 -1",
            "@s 5",
            "uint32 uint32 5",
            "1 2",
            "<1",
            "@a 5",
            "@(i) 5",
            "objectpath 'x'",
            "@a{vs} {}",
            "@{si} {}",
            &format!("@{}i []", "a".repeat(255)),
            &format!("@{}s{} []", "a{s".repeat(100_000), "}".repeat(100_000)),
            &format!("<@{}i []>", "a".repeat(255)),
            "08",
            "'\\u12'",
            &deep,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    fn of(key: &str, value: &str) -> Result<Vec<Property>> {
        properties(&HashMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn names() {
        assert!(of("org.example.key", "x").unwrap().is_empty());
        let one = of("org.systemd.property.CollectMode", "'inactive-or-failed'").unwrap();
        assert_eq!(one[0].name, "CollectMode");
        for (name, why) in [("Ab", "too short"), ("Foo_Bar", "contains non-alphabetic character")] {
            let key = format!("org.systemd.property.{name}");
            let error = of(&key, "1").unwrap_err().to_string();
            assert_eq!(error, format!("annotation {key} name incorrect: {why}"));
        }
        let error = of("org.systemd.property.Foo", "bar").unwrap_err().to_string();
        assert!(error.starts_with("annotation org.systemd.property.Foo=bar value parse error: "));
    }

    #[test]
    fn seconds_become_microseconds() {
        for (name, value, expected, micros) in [
            ("TimeoutStopSec", "123", "TimeoutStopUSec", Some(123_000_000)),
            ("RuntimeMaxSec", "uint64 2", "RuntimeMaxUSec", Some(2_000_000)),
            ("TimeoutStopSec", "1.5", "TimeoutStopUSec", Some(1_500_000)),
            ("TimeoutStopUSec", "uint64 7", "TimeoutStopUSec", Some(7)),
            ("Sec", "uint64 7", "Sec", Some(7)),
            ("FooSec", "'7'", "", None),
        ] {
            match of(&format!("org.systemd.property.{name}"), value) {
                Ok(properties) => {
                    assert_eq!(properties[0].name, expected);
                    assert_eq!(Some(properties[0].value.clone()), micros.map(Value::U64));
                }
                Err(error) => {
                    assert_eq!(micros, None);
                    assert!(error.to_string().ends_with("not a number"), "{error}");
                }
            }
        }
    }
}
