//! JSON of others, read strictly, and JSON of ours, written in one form.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::MAX_SIZE;

/// Reads JSON in which no object has a key twice: of those, readers take one or the
/// other, and what was signed would mean different things to them.
///
/// # Errors
/// What is wrong, to continue a sentence.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() as u64 > MAX_SIZE {
        return Err(format!("it has more than {} MiB", MAX_SIZE >> 20));
    }
    match serde_json::from_slice::<Once>(bytes) {
        Ok(Once(value)) => Ok(value),
        Err(error) => Err(error.to_string()),
    }
}

/// Takes out of an object what `T` has.
///
/// # Errors
/// What is wrong, to continue a sentence.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    // Serde would take a list for the fields in their order, which nobody else does.
    if !value.is_object() {
        return Err("it is no JSON object".to_owned());
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// A value in which no object has a key twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Once, E> {
        Ok(Once(Value::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Once, E> {
        Ok(Once(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Once, E> {
        Ok(Once(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Once, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("no finite number"))?;
        Ok(Once(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Once, E> {
        Ok(Once(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Once, E> {
        Ok(Once(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Once(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Once, A::Error> {
        let mut map = Map::new();
        while let Some((key, Once(value))) = entries.next_entry::<String, Once>()? {
            if map.contains_key(&key) {
                let shown: String = key.chars().take(60).collect();
                return Err(A::Error::custom(format!(
                    "the key {shown:?} is there a second time"
                )));
            }
            map.insert(key, value);
        }
        Ok(Once(map.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"[{"b":[{"a":1,"x":2,"\u0061":3}]}]"#,
            r#"{"a":{},"b":{"c":null,"c":null}}"#,
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains("a second time"), "{error}");
        }
        let text = br#"{"a":[1,-2,0.5,true,null,"x",{"a":{}}],"b":18446744073709551615}"#;
        let plain: Value = serde_json::from_slice(text).unwrap();
        assert_eq!(parse(text), Ok(plain));
    }

    #[test]
    fn depth_size_and_what_follows_are_bounded() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse(b"{} {}").is_err());
        assert!(parse(b"").is_err());
        assert!(parse(b"{\"a\":1e999}").is_err());
        let large = vec![b' '; usize::try_from(MAX_SIZE).unwrap() + 1];
        assert!(parse(&large).unwrap_err().contains("16 MiB"));
    }
}
