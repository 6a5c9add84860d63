//! D-Bus messages as bytes (D-Bus Specification, "Marshaling" and "Message Format").

use super::value::Value;

/// More than systemd ever answers to what is asked here; the specification allows 128 MiB.
pub(super) const MAX_MESSAGE: usize = 4 << 20;
/// The part of a header that says how long the message is.
pub(super) const FIXED_HEADER: usize = 16;

// Message types.
const METHOD_CALL: u8 = 1;
pub(super) const METHOD_RETURN: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const SIGNAL: u8 = 4;

// Header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
pub(super) const MEMBER: u8 = 3;
pub(super) const ERROR_NAME: u8 = 4;
pub(super) const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
pub(super) const SIGNATURE: u8 = 8;

/// Whom a call goes to.
pub(super) struct Target {
    pub(super) destination: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
}

/// A method call, whole.
pub(super) fn call(serial: u32, target: &Target, member: &str, arguments: &[Value]) -> Vec<u8> {
    let mut body = Writer::default();
    arguments.iter().for_each(|argument| body.value(argument));
    let field =
        |code, value| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
    let mut fields = vec![
        field(PATH, Value::Path(target.path.to_owned())),
        field(INTERFACE, Value::text(target.interface)),
        field(MEMBER, Value::text(member)),
        field(DESTINATION, Value::text(target.destination)),
    ];
    if !arguments.is_empty() {
        let signature = arguments.iter().map(Value::signature).collect();
        fields.push(field(SIGNATURE, Value::Signature(signature)));
    }
    let mut message = Writer::default();
    // Little endian, no flags, version 1 of the protocol.
    message.0.extend_from_slice(&[b'l', METHOD_CALL, 0, 1]);
    message.length(body.0.len());
    message.value(&Value::U32(serial));
    message.value(&Value::Array("(yv)".to_owned(), fields));
    message.align(8);
    message.0.append(&mut body.0);
    message.0
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, bytes: &[u8]) {
        self.align(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Nothing here comes near 4 GiB; were it so, the bus would refuse the message.
    fn length(&mut self, length: usize) {
        self.number(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.text(signature);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(value) => self.0.push(*value),
            Value::Bool(value) => self.number(&u32::from(*value).to_le_bytes()),
            Value::I16(value) => self.number(&value.to_le_bytes()),
            Value::U16(value) => self.number(&value.to_le_bytes()),
            Value::I32(value) => self.number(&value.to_le_bytes()),
            Value::U32(value) => self.number(&value.to_le_bytes()),
            Value::I64(value) => self.number(&value.to_le_bytes()),
            Value::U64(value) => self.number(&value.to_le_bytes()),
            Value::Double(value) => self.number(&value.to_le_bytes()),
            Value::Text(text) | Value::Path(text) => {
                self.length(text.len());
                self.text(text);
            }
            Value::Signature(signature) => self.signature(signature),
            Value::Array(element, values) => self.array(element, values),
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::Entry(entry) => {
                self.align(8);
                self.value(&entry.0);
                self.value(&entry.1);
            }
            Value::Variant(inner) => {
                self.signature(&inner.signature());
                self.value(inner);
            }
        }
    }

    /// The length does not count the padding before the first element.
    fn array(&mut self, element: &str, values: &[Value]) {
        self.length(0);
        let at = self.0.len() - 4;
        self.align(alignment(element));
        let start = self.0.len();
        values.iter().for_each(|value| self.value(value));
        let length = u32::try_from(self.0.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
}

/// Of a type, by the first character of its signature.
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b's' | b'o' | b'a' | b'h') => 4,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 1,
    }
}

/// A message received, as far as it matters here.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) reply_to: Option<u32>,
    pub(super) member: String,
    pub(super) error: String,
    pub(super) body: Vec<Value>,
}

impl Message {
    /// How long the message is that begins with these [`FIXED_HEADER`] bytes; `None` for what is no
    /// message, or a longer one than is good.
    pub(super) fn length(head: &[u8]) -> Option<usize> {
        let mut reader = Reader::new(head)?;
        reader.at = 4;
        let body = reader.u32()? as usize;
        reader.at = 12;
        let fields = reader.u32()? as usize;
        let length = FIXED_HEADER.checked_add(fields)?.checked_next_multiple_of(8)?;
        length.checked_add(body).filter(|length| *length <= MAX_MESSAGE)
    }

    /// Reads a whole message. A body with types that no answer to our calls has is left out.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes)?;
        let mut message = Self { kind: *bytes.get(1)?, ..Self::default() };
        let mut signature = String::new();
        reader.at = 12;
        let end = FIXED_HEADER.checked_add(reader.u32()? as usize)?;
        while reader.at < end {
            reader.align(8);
            let code = reader.byte()?;
            match (code, reader.variant()?) {
                (REPLY_SERIAL, Value::U32(serial)) => message.reply_to = Some(serial),
                (MEMBER, Value::Text(member)) => message.member = member,
                (ERROR_NAME, Value::Text(name)) => message.error = name,
                (SIGNATURE, Value::Signature(text)) => signature = text,
                _ => {}
            }
        }
        reader.align(8);
        let body = signature.bytes().map(|kind| reader.value(kind)).collect::<Option<_>>();
        message.body = body.unwrap_or_default();
        Some(message)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let big_endian = match bytes.first()? {
            b'l' => false,
            b'B' => true,
            _ => return None,
        };
        Some(Self { bytes, at: 0, big_endian })
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4);
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let text = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    fn signature(&mut self) -> Option<String> {
        let length = self.byte()?;
        self.text(length.into())
    }

    fn variant(&mut self) -> Option<Value> {
        let signature = self.signature()?;
        match signature.as_bytes() {
            // A variant in a variant would be legal, and endless.
            [kind] if *kind != b'v' => self.value(*kind),
            _ => None,
        }
    }

    fn value(&mut self, kind: u8) -> Option<Value> {
        Some(match kind {
            b'u' => Value::U32(self.u32()?),
            b's' | b'o' => {
                let length = self.u32()? as usize;
                let text = self.text(length)?;
                if kind == b's' { Value::Text(text) } else { Value::Path(text) }
            }
            b'g' => Value::Signature(self.signature()?),
            b'v' => self.variant()?,
            _ => return None,
        })
    }
}

/// What a bus sends: the same layout, other fields.
#[cfg(test)]
pub(super) fn received(kind: u8, fields: Vec<(u8, Value)>, body: &[Value]) -> Vec<u8> {
    let mut content = Writer::default();
    body.iter().for_each(|value| content.value(value));
    let field =
        |(code, value)| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
    let mut message = Writer::default();
    message.0.extend_from_slice(&[b'l', kind, 0, 1]);
    message.length(content.0.len());
    message.value(&Value::U32(9));
    message.value(&Value::Array("(yv)".to_owned(), fields.into_iter().map(field).collect()));
    message.align(8);
    message.0.append(&mut content.0);
    message.0
}

#[cfg(test)]
mod tests {
    use super::super::value::Property;
    use super::*;

    const TARGET: Target = Target { destination: "org.a", path: "/a", interface: "org.a.I" };

    /// Bytes as the specification's rules give them, counted by hand.
    #[test]
    fn a_call_is_aligned() {
        let arguments = [Value::text("ab"), Value::Array("t".to_owned(), vec![Value::U64(7)])];
        let message = call(5, &TARGET, "M", &arguments);
        let body = b"\x02\0\0\0ab\0\0\x08\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0";
        assert!(message.ends_with(body), "{message:?}");
        let head = b"l\x01\0\x01\x18\0\0\0\x05\0\0\0";
        assert!(message.starts_with(head), "{message:?}");
        assert_eq!(message.len() % 8, 0);
        assert_eq!(Message::length(&message), Some(message.len()));
        let path = b"\x01\x01o\0\x02\0\0\0/a\0\0\0\0\0\0\x02\x01s\0\x07\0\0\0org.a.I\0";
        assert_eq!(&message[16..16 + path.len()], path);
        assert!(message.windows(6).any(|bytes| bytes == b"\x08\x01g\0\x03s"));
    }

    #[test]
    fn an_empty_array_keeps_its_padding() {
        let mut writer = Writer::default();
        writer.value(&Value::Array("(sv)".to_owned(), Vec::new()));
        assert_eq!(writer.0, [0; 8]);
        let mut writer = Writer::default();
        writer.value(&Property::list(&[]));
        assert_eq!(writer.0, [0; 8]);
    }

    #[test]
    fn properties() {
        let mut writer = Writer::default();
        writer.value(&Property::list(&[Property::number("A", 1), Property::number("B", 2)]));
        assert_eq!(
            writer.0,
            b"\x30\0\0\0\0\0\0\0\x01\0\0\0A\0\x01t\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\
              \x01\0\0\0B\0\x01t\0\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"
        );
    }

    #[test]
    fn answers_and_signals() {
        let body = [
            Value::U32(7),
            Value::Path("/job/7".into()),
            Value::text("a.scope"),
            Value::text("done"),
        ];
        let fields = vec![
            (7, Value::text(":1.2")),
            (MEMBER, Value::text("JobRemoved")),
            (SIGNATURE, Value::Signature("uoss".into())),
        ];
        let bytes = received(SIGNAL, fields, &body);
        assert_eq!(Message::length(&bytes[..16]), Some(bytes.len()));
        let signal = Message::parse(&bytes).unwrap();
        assert_eq!((signal.kind, signal.member.as_str()), (SIGNAL, "JobRemoved"));
        assert_eq!(signal.body, body);

        let fields = vec![(REPLY_SERIAL, Value::U32(3)), (SIGNATURE, Value::Signature("v".into()))];
        let body = [Value::Variant(Box::new(Value::text("/x")))];
        let reply = Message::parse(&received(METHOD_RETURN, fields, &body)).unwrap();
        assert_eq!((reply.reply_to, reply.body), (Some(3), vec![Value::text("/x")]));
    }

    #[test]
    fn nonsense_is_no_message() {
        let whole = received(SIGNAL, vec![(MEMBER, Value::text("M"))], &[]);
        for end in 0..whole.len() {
            let part = &whole[..end];
            assert!(Message::parse(part).is_none_or(|message| message.body.is_empty()));
        }
        assert_eq!(Message::length(b"x23456789abcdef0"), None);
        assert_eq!(Message::length(b"l\x01\0\x01\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff"), None);
        let endless =
            [b'l', 4, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 9, 1, b'v', 0, 1, b'v', 0, 0];
        assert_eq!(Message::parse(&endless), None);
    }
}
