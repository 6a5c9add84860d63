//! Values with a D-Bus type, and unit properties made of them.

use std::borrow::Cow;

/// A value of the D-Bus type system (D-Bus Specification, "Type System").
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Byte(u8),
    Bool(bool),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    Double(f64),
    Text(String),
    Path(String),
    Signature(String),
    /// The signature of one element, and the elements.
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
    /// One entry of a dictionary, which is an array of these.
    Entry(Box<(Value, Value)>),
    Variant(Box<Value>),
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// `as`
    pub(crate) fn texts(texts: &[&str]) -> Self {
        Self::Array("s".to_owned(), texts.iter().copied().map(Self::text).collect())
    }

    /// `ay`
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self::Array("y".to_owned(), bytes.iter().copied().map(Self::Byte).collect())
    }

    /// `au` with one element.
    pub(crate) fn pid(pid: i32) -> Self {
        Self::Array("u".to_owned(), vec![Self::U32(pid.cast_unsigned())])
    }

    /// The type's signature.
    pub(crate) fn signature(&self) -> String {
        let mut signature = String::new();
        self.sign(&mut signature);
        signature
    }

    fn sign(&self, out: &mut String) {
        let last = match self {
            Self::Byte(_) => 'y',
            Self::Bool(_) => 'b',
            Self::I16(_) => 'n',
            Self::U16(_) => 'q',
            Self::I32(_) => 'i',
            Self::U32(_) => 'u',
            Self::I64(_) => 'x',
            Self::U64(_) => 't',
            Self::Double(_) => 'd',
            Self::Text(_) => 's',
            Self::Path(_) => 'o',
            Self::Signature(_) => 'g',
            Self::Variant(_) => 'v',
            Self::Array(element, _) => {
                out.push('a');
                return out.push_str(element);
            }
            Self::Struct(fields) => {
                out.push('(');
                fields.iter().for_each(|field| field.sign(out));
                ')'
            }
            Self::Entry(entry) => {
                out.push('{');
                entry.0.sign(out);
                entry.1.sign(out);
                '}'
            }
        };
        out.push(last);
    }
}

/// One property of a unit, by the name it has on the bus (org.freedesktop.systemd1(5)).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Property {
    pub(crate) name: Cow<'static, str>,
    pub(crate) value: Value,
}

impl Property {
    pub(crate) fn new(name: &'static str, value: Value) -> Self {
        Self { name: Cow::Borrowed(name), value }
    }

    pub(crate) fn number(name: &'static str, value: u64) -> Self {
        Self::new(name, Value::U64(value))
    }

    /// `a(sv)`, as StartTransientUnit and SetUnitProperties take it.
    pub(crate) fn list(properties: &[Self]) -> Value {
        let pair = |property: &Self| {
            let value = Value::Variant(Box::new(property.value.clone()));
            Value::Struct(vec![Value::text(&*property.name), value])
        };
        Value::Array("(sv)".to_owned(), properties.iter().map(pair).collect())
    }
}
