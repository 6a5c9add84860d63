//! JSON as Go reads it, which engines and their users rely on: the case of a field's name does not
//! matter (`"CPU"`, `"pagesize"`), `null` is the same as absent, and of two spellings of one name the
//! later counts (encoding/json, `Unmarshal`).

use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use serde_json::map::{self, Entry, Map};

/// A value to deserialize leniently. The names of fields come from the type that is read into, so this
/// knows no schema of its own; keys of maps (`annotations`, `unified`) stay as they are.
pub(crate) struct Lenient(pub(crate) Value);

/// What does not fit the type that is read into, and where in the document it stands.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// From the innermost outwards.
    place: Vec<Step>,
    problem: String,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Misfit {
    fn within(mut self, step: Step) -> Self {
        self.place.push(step);
        self
    }

    /// The place, as `process.user.uid` or `mounts[3].type`; empty for the document itself.
    pub(crate) fn place(&self) -> String {
        self.place.iter().rev().fold(String::new(), |place, step| match step {
            Step::Index(index) => format!("{place}[{index}]"),
            Step::Key(key) if place.is_empty() => key.clone(),
            Step::Key(key) => format!("{place}.{key}"),
        })
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self { place: Vec::new(), problem: problem.to_string() }
    }
}

impl From<serde_json::Error> for Misfit {
    fn from(error: serde_json::Error) -> Self {
        serde::de::Error::custom(error)
    }
}

/// The entries of an object, one after the other.
struct Entries {
    rest: map::IntoIter,
    next: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        self.next = self.rest.next();
        let Some((key, _)) = &self.next else { return Ok(None) };
        let name: StringDeserializer<Misfit> = key.clone().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|misfit| misfit.within(Step::Key(key.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (key, value) = self.next.take().unwrap_or_default();
        seed.deserialize(Lenient(value)).map_err(|misfit| misfit.within(Step::Key(key)))
    }
}

/// The items of an array, one after the other.
struct Items {
    rest: std::iter::Enumerate<std::vec::IntoIter<Value>>,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let Some((index, value)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Lenient(value))
            .map(Some)
            .map_err(|misfit| misfit.within(Step::Index(index)))
    }
}

impl<'de> Deserializer<'de> for Lenient {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Object(map) => visitor.visit_map(Entries { rest: map.into_iter(), next: None }),
            Value::Array(items) => visitor.visit_seq(Items { rest: items.into_iter().enumerate() }),
            scalar => Ok(scalar.deserialize_any(visitor)?),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let Value::Object(map) = self.0 else { return self.deserialize_any(visitor) };
        let mut map = by_field(map, fields);
        if name == "LinuxResources" && map.get("pids").is_some_and(|pids| !names_limit(pids)) {
            // The type cannot say "no limit given", and its zero would be a limit.
            map.remove("pids");
        }
        Self(Value::Object(map)).deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        Ok(self.0.deserialize_enum(name, variants, visitor)?)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// The entries under the names that the fields have. Names of no field are left out: they are ignored.
fn by_field(map: Map<String, Value>, fields: &[&str]) -> Map<String, Value> {
    let mut named = Map::with_capacity(map.len());
    for (key, value) in map {
        let exact = fields.iter().find(|field| **field == key);
        let field = exact.or_else(|| fields.iter().find(|field| field.eq_ignore_ascii_case(&key)));
        if let Some(field) = field.filter(|_| !value.is_null()) {
            put(&mut named, (*field).to_owned(), value);
        }
    }
    named
}

/// Go reads a second object of the same name into the first one.
fn put(map: &mut Map<String, Value>, key: String, value: Value) {
    match map.entry(key) {
        Entry::Vacant(vacant) => {
            vacant.insert(value);
        }
        Entry::Occupied(mut occupied) => match (occupied.get_mut(), value) {
            (_, Value::Null) => {}
            (Value::Object(first), Value::Object(second)) => {
                second.into_iter().for_each(|(key, value)| put(first, key, value));
            }
            (first, second) => *first = second,
        },
    }
}

fn names_limit(pids: &Value) -> bool {
    let Some(pids) = pids.as_object() else { return true };
    pids.iter().any(|(key, value)| key.eq_ignore_ascii_case("limit") && !value.is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::{LinuxResources, Spec};

    fn resources(value: Value) -> LinuxResources {
        serde::Deserialize::deserialize(Lenient(value)).unwrap()
    }

    #[test]
    fn the_case_of_names_does_not_matter() {
        let read = resources(json!({
            "CPU": {"Cpus": "0", "REALTIMEPERIOD": 7},
            "blockio": {"throttlereadiopsdevice": [{"Major": 8, "rate": 3}]},
            "hugepageLimits": [{"pagesize": "2MB", "limit": 1}],
            "unified": {"CPU.max": "1"},
        }));
        let plain = json!({
            "cpu": {"cpus": "0", "realtimePeriod": 7},
            "blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
            "unified": {"CPU.max": "1"},
        });
        assert_eq!(read, serde_json::from_value(plain).unwrap());
    }

    #[test]
    fn two_spellings_are_one_object_and_the_later_value_counts() {
        let read = resources(json!({
            "cpu": {"shares": 100, "quota": 1}, "CPU": {"Cpus": "0", "Quota": 2, "shares": null},
        }));
        let plain = json!({"cpu": {"shares": 100, "quota": 2, "cpus": "0"}});
        assert_eq!(read, serde_json::from_value(plain).unwrap());
    }

    #[test]
    fn null_and_an_empty_pids_are_absent() {
        for pids in [json!(null), json!({}), json!({"limit": null}), json!({"max": 1})] {
            assert!(resources(json!({"pids": pids})).pids().is_none(), "{pids}");
        }
        assert_eq!(resources(json!({"Pids": {"Limit": 0}})).pids().unwrap().limit(), 0);
        assert_eq!(resources(json!({"memory": null, "devices": null})), LinuxResources::default());
    }

    /// Whatever can be read exactly is read the same leniently.
    #[test]
    fn exact_documents_keep_their_meaning() {
        for spec in [Spec::default(), Spec::rootless(1000, 1000)] {
            let value = serde_json::to_value(&spec).unwrap();
            let read: Spec = serde::Deserialize::deserialize(Lenient(value)).unwrap();
            assert_eq!(read, spec);
        }
    }
}
