//! Envelopes: DSSE v1.0, bytes with signatures over them.
//!
//! What is signed is not the JSON around it but the payload with its type
//! ([`pae`]), so nothing has to be made canonical before a signature can be checked.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::Deserialize;
use serde_json::{Value, json};

use lunikernel_cache::canonical;

use super::json;
use super::key::{PrivateKey, PublicKey};

/// What a payload of ours is: an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// How many signatures an envelope may have. Each is checked with every trusted key, and
/// that hashes the payload anew.
const MAX_SIGNATURES: usize = 16;

/// A payload and signatures over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    signatures: Vec<Signature>,
    /// Fields that DSSE does not know, in the envelope or a signature.
    foreign: Vec<String>,
}

/// A signature as an envelope has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    /// Which key is said to have made it; nothing vouches for that.
    pub keyid: Option<String>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why some bytes are no envelope. Each continues "… is no envelope: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeFlaw {
    /// It is no JSON, or lacks a field.
    #[error("{0}")]
    Json(String),
    /// Something is not base64.
    #[error("its {0} is no base64")]
    Base64(&'static str),
    /// It holds something else than a statement.
    #[error("its payload is `{0}`, expected `{PAYLOAD_TYPE}`")]
    PayloadType(String),
    /// It is not signed.
    #[error("it has no signature")]
    Unsigned,
    /// It has too many signatures.
    #[error("it has {0} signatures, expected at most {MAX_SIGNATURES}")]
    TooManySignatures(usize),
}

#[derive(Deserialize)]
struct WrittenEnvelope {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<WrittenSignature>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct WrittenSignature {
    #[serde(default)]
    keyid: Option<String>,
    sig: String,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// What is signed: DSSE's pre-authentication encoding.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// An envelope that nobody has signed yet.
    #[must_use]
    pub fn new(payload: Vec<u8>) -> Self {
        Self {
            payload,
            signatures: Vec::new(),
            foreign: Vec::new(),
        }
    }

    /// Reads an envelope. Fields that DSSE does not know are passed over, as it wants.
    ///
    /// # Errors
    /// [`EnvelopeFlaw`], also where a key is there twice.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeFlaw> {
        let value = json::parse(bytes).map_err(EnvelopeFlaw::Json)?;
        let written: WrittenEnvelope = json::typed(value).map_err(EnvelopeFlaw::Json)?;
        if written.payload_type != PAYLOAD_TYPE {
            let shown = written.payload_type.chars().take(80).collect();
            return Err(EnvelopeFlaw::PayloadType(shown));
        }
        match written.signatures.len() {
            0 => return Err(EnvelopeFlaw::Unsigned),
            1..=MAX_SIGNATURES => {}
            count => return Err(EnvelopeFlaw::TooManySignatures(count)),
        }
        let payload = decode(&written.payload).ok_or(EnvelopeFlaw::Base64("payload"))?;
        let mut foreign: Vec<String> = written.rest.into_iter().map(|(key, _)| key).collect();
        let mut signatures = Vec::new();
        for written in written.signatures {
            foreign.extend(written.rest.into_iter().map(|(key, _)| key));
            signatures.push(Signature {
                // Unset and empty are the same by the specification.
                keyid: written.keyid.filter(|id| !id.is_empty()),
                bytes: decode(&written.sig).ok_or(EnvelopeFlaw::Base64("signature"))?,
            });
        }
        Ok(Self {
            payload,
            signatures,
            foreign,
        })
    }

    /// Its bytes: canonical JSON and a line end, the signatures sorted by key.
    ///
    /// # Errors
    /// What the writer of JSON says, which no envelope brings about.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let signatures: Vec<Value> = self
            .signatures
            .iter()
            .map(|signature| {
                let mut written = json!({ "sig": STANDARD.encode(&signature.bytes) });
                if let Some(keyid) = &signature.keyid {
                    written["keyid"] = json!(keyid);
                }
                written
            })
            .collect();
        let mut bytes = canonical::to_vec(&json!({
            "payload": STANDARD.encode(&self.payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": signatures,
        }))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// What is signed, without its type.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signatures; whether they are right is another question.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Fields of the file that DSSE does not know, and that writing it again would lose.
    #[must_use]
    pub fn foreign(&self) -> &[String] {
        &self.foreign
    }

    /// Adds the signature by `key`, in the place of what claimed to be it.
    pub fn sign(&mut self, key: &PrivateKey) {
        let keyid = Some(key.public().id().to_string());
        self.signatures.retain(|there| there.keyid != keyid);
        self.signatures.push(Signature {
            keyid,
            bytes: key.sign(&pae(PAYLOAD_TYPE, &self.payload)),
        });
        self.signatures.sort();
    }

    /// Those of `keys` that signed it, by their places. The signature decides; the id of
    /// the key beside it is only a hint by the specification, and not looked at.
    #[must_use]
    pub fn signers(&self, keys: &[&PublicKey]) -> Vec<usize> {
        let message = pae(PAYLOAD_TYPE, &self.payload);
        let signed = |key: &PublicKey| {
            let mut signatures = self.signatures.iter();
            signatures.any(|signature| key.verifies(&message, &signature.bytes))
        };
        let keys = keys.iter().enumerate();
        keys.filter(|(_, key)| signed(key))
            .map(|(place, _)| place)
            .collect()
    }

    /// Whether a signature claims to be by `key`.
    #[must_use]
    pub fn claims(&self, key: &PublicKey) -> bool {
        let id = key.id().to_string();
        let mut signatures = self.signatures.iter();
        signatures.any(|signature| signature.keyid.as_ref() == Some(&id))
    }
}

/// Base64 in either alphabet (RFC 4648, sections 4 and 5), which DSSE leaves open, with
/// its padding and nothing else.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vector_of_the_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    fn signed(payload: &[u8], seeds: &[u8]) -> Envelope {
        let mut envelope = Envelope::new(payload.to_vec());
        for seed in seeds {
            envelope.sign(&PrivateKey::from_seed([*seed; 32]));
        }
        envelope
    }

    fn public(seed: u8) -> PublicKey {
        PrivateKey::from_seed([seed; 32]).public()
    }

    #[test]
    fn who_signed_is_told_whatever_order_they_signed_in() {
        let keys = [&public(1), &public(2), &public(3)];
        let envelope = signed(b"x", &[3, 1, 3]);
        assert_eq!(envelope.signatures().len(), 2);
        assert_eq!(envelope.signers(&keys), [0, 2]);
        let bytes = envelope.to_bytes().unwrap();
        assert_eq!(signed(b"x", &[1, 3]).to_bytes().unwrap(), bytes);
        assert_eq!(Envelope::parse(&bytes), Ok(envelope));
    }

    #[test]
    fn a_signature_over_another_payload_or_under_another_name_is_none() {
        let mut envelope = signed(b"x", &[1]);
        let other = signed(b"y", &[1]);
        envelope.signatures = other.signatures.clone();
        assert!(envelope.signers(&[&public(1)]).is_empty());
        assert!(envelope.claims(&public(1)));
        let mut renamed = signed(b"x", &[2]);
        renamed.signatures[0].keyid = Some(public(1).id().to_string());
        assert_eq!(renamed.signers(&[&public(1), &public(2)]), [1]);
        renamed.signatures[0].keyid = None;
        assert_eq!(renamed.signers(&[&public(2)]), [0]);
    }

    #[test]
    fn what_others_write_differently_is_read() {
        let ours = signed(&[0xfb, 0xff], &[1]);
        let text = String::from_utf8(ours.to_bytes().unwrap()).unwrap();
        let urls = text
            .replace("+/8=", "-_8=")
            .replace("{\"payload\"", "{ \"more\":{}, \"payload\"");
        assert_ne!(urls, text);
        let read = Envelope::parse(urls.as_bytes()).unwrap();
        assert_eq!(read.signers(&[&public(1)]), [0]);
        assert_eq!(read.foreign(), ["more"]);
    }

    #[test]
    fn hostile_envelopes_are_refused() {
        let good = String::from_utf8(signed(b"x", &[1]).to_bytes().unwrap()).unwrap();
        let many = vec![r#"{"sig":""}"#; 65].join(",");
        for (from, to, expected) in [
            ("\"eA==\"", "\"eA=\"", "its payload is no base64"),
            ("\"eA==\"", "\"eB==\"", "its payload is no base64"),
            ("\"eA==\"", "\"eA==\\n\"", "its payload is no base64"),
            ("\"sig\":\"", "\"sig\":\"*", "its signature is no base64"),
            ("in-toto", "other", "application/vnd.other+json"),
            (
                "{\"payload\"",
                "{\"payload\":\"eQ==\",\"payload\"",
                "a second time",
            ),
            ("\"payload\":", "\"pay\":", "missing field `payload`"),
            ("\"eA==\"", "7", "invalid type"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = Envelope::parse(good.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let (head, _) = good.split_once('[').unwrap();
        let parse =
            |signatures: &str| Envelope::parse(format!("{head}[{signatures}]}}").as_bytes());
        assert_eq!(parse(""), Err(EnvelopeFlaw::Unsigned));
        assert_eq!(parse(&many), Err(EnvelopeFlaw::TooManySignatures(65)));
    }
}
