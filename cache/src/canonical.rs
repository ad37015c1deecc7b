//! Canonical JSON (RFC 8785): one value, one sequence of bytes, and so one digest.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why bytes are not the canonical form of a value. Each continues "… is wrong: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalFlaw {
    /// They are no JSON, or lack a field.
    #[error("{0}")]
    Json(String),
    /// They say the same in another form, which begins to differ at this byte.
    #[error("it is not in the canonical form (RFC 8785) from byte {0} on")]
    Form(usize),
}

/// Writes a value.
///
/// # Errors
/// Where it has a number or a key that JSON cannot hold.
pub fn to_vec(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    serde_json_canonicalizer::to_vec(value)
}

/// Reads what [`to_vec`] writes, and nothing else.
///
/// # Errors
/// [`CanonicalFlaw`].
pub fn from_slice<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalFlaw> {
    let value = serde_json::from_slice(bytes).map_err(json)?;
    check(&value, bytes)?;
    Ok(value)
}

/// Whether `bytes` are the canonical form of `value`, which was read from them.
///
/// # Errors
/// [`CanonicalFlaw`].
pub fn check(value: &impl Serialize, bytes: &[u8]) -> Result<(), CanonicalFlaw> {
    let canonical = to_vec(value).map_err(json)?;
    if canonical == bytes {
        return Ok(());
    }
    let same = canonical.iter().zip(bytes).take_while(|(a, b)| a == b);
    Err(CanonicalFlaw::Form(same.count()))
}

fn json(error: serde_json::Error) -> CanonicalFlaw {
    CanonicalFlaw::Json(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Value = BTreeMap<String, u8>;

    #[test]
    fn only_the_one_form_is_read() {
        let value = Value::from([("b".to_owned(), 1), ("a".to_owned(), 2)]);
        let bytes = to_vec(&value).unwrap();
        assert_eq!(bytes, br#"{"a":2,"b":1}"#);
        assert_eq!(from_slice::<Value>(&bytes), Ok(value));
        for (other, at) in [
            (&br#"{"b":1,"a":2}"#[..], 2),
            (br#"{"a":2,"b":1} "#, 13),
            (br#"{ "a":2,"b":1}"#, 1),
            (br#"{"\u0061":2,"b":1}"#, 2),
        ] {
            let flaw = CanonicalFlaw::Form(at);
            assert_eq!(
                from_slice::<Value>(other),
                Err(flaw),
                "{}",
                other.escape_ascii()
            );
        }
        assert!(matches!(
            from_slice::<Value>(b"["),
            Err(CanonicalFlaw::Json(_))
        ));
    }
}
