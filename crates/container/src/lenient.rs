//! JSON as Go reads it, which engines and their users rely on: the case of a field's name does not
//! matter (`"CPU"`, `"pagesize"`), `null` is the same as absent, and of two spellings of one name the
//! later counts (encoding/json, `Unmarshal`).

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::map::{Entry, Map};
use serde_json::{Error, Value};

/// A value to deserialize leniently. The names of fields come from the type that is read into, so this
/// knows no schema of its own; keys of maps (`annotations`, `unified`) stay as they are.
pub(crate) struct Lenient(pub(crate) Value);

impl<'de> Deserializer<'de> for Lenient {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(map) => {
                let entries = map.into_iter().map(|(key, value)| (key, Self(value)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
            Value::Array(items) => {
                visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Self)))
            }
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Object(map) = self.0 else { return self.deserialize_any(visitor) };
        let mut map = by_field(map, fields);
        if name == "LinuxResources" && map.get("pids").is_some_and(|pids| !names_limit(pids)) {
            // The type cannot say "no limit given", and its zero would be a limit.
            map.remove("pids");
        }
        Self(Value::Object(map)).deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Lenient {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
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
