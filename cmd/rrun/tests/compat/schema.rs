//! The names of all fields that the specification's types have, asked of the types themselves.

use std::cell::RefCell;
use std::collections::BTreeSet;

use oci_spec::runtime::Spec;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Every field, as `linux.resources.memory.limit`; the items of lists are `mounts[].type`, the values of
/// maps have no names.
pub(super) fn fields() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let mut todo = vec![Vec::new()];
    while let Some(path) = todo.pop() {
        let found = RefCell::new(Vec::new());
        let list = RefCell::new(vec![false; path.len()]);
        let probe = Probe { path: &path, depth: 0, found: &found, list: &list };
        // It always ends in an error: the way to the end of the path has all that it needs.
        let _ = Spec::deserialize(probe);
        let text = |path: &[&str]| {
            let list = list.borrow();
            let names = path.iter().enumerate().map(|(depth, name)| {
                let brackets = if list.get(depth).copied().unwrap_or_default() { "[]" } else { "" };
                format!("{name}{brackets}")
            });
            names.collect::<Vec<_>>().join(".")
        };
        for field in found.into_inner() {
            let longer: Vec<&'static str> = path.iter().copied().chain([field]).collect();
            known.insert(text(&longer));
            todo.push(longer);
        }
    }
    assert!(known.len() > 150, "the types are asked: {}", known.len());
    known
}

/// Goes into one field of each struct, along `path`, and notes which fields the last one has.
#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [&'static str],
    depth: usize,
    found: &'a RefCell<Vec<&'static str>>,
    /// For each name of the path whether its value is a list.
    list: &'a RefCell<Vec<bool>>,
}

/// One entry of a map, or one item of a list.
struct Once<'a>(Option<Probe<'a>>, &'static str);

impl<'de> MapAccess<'de> for Once<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if self.0.is_none() {
            return Ok(None);
        }
        let name: StrDeserializer<'_, Error> = self.1.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.0.take().unwrap())
    }
}

impl<'de> SeqAccess<'de> for Once<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|probe| seed.deserialize(probe)).transpose()
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some(name) = self.path.get(self.depth) else {
            *self.found.borrow_mut() = fields.to_vec();
            return self.deserialize_any(visitor);
        };
        visitor.visit_map(Once(Some(Self { depth: self.depth + 1, ..self }), name))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(depth) = self.depth.checked_sub(1) {
            self.list.borrow_mut()[depth] = true;
        }
        visitor.visit_seq(Once(Some(self), ""))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Once(Some(self), "key"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct enum identifier ignored_any
    }
}
