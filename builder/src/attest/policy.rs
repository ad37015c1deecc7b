//! Policies: whom one trusts, and how many of them have to agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use lunikernel_cache::regular::read_bounded;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::{AttestError, KeyId, PublicKey};
use crate::recipe::{
    Complaint, Finding, MAX_SIZE, Path as Place, Problem, Words, read_typed, schema_of,
};

/// How many keys a policy may have.
const MAX_KEYS: usize = 64;

/// The grammar of policies, from their types.
static GRAMMAR: LazyLock<Schema> = LazyLock::new(schema_of::<Written>);

const POLICY: Words = Words {
    one: "policy",
    many: "policies",
    begins: "apiVersion: lunikernel-policy/v1",
    start: "docs/attestations.md has an example",
};

/// Whom one trusts, and what they have to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The keys, each once.
    pub(super) keys: Vec<TrustedKey>,
    /// How many of them have to vouch for the same digest.
    pub(super) threshold: usize,
    /// What counts as vouching.
    pub(super) accept: BTreeSet<Accepted>,
    /// What a verdict must have varied to count.
    pub(super) varied: BTreeSet<String>,
    /// How many rounds a verdict must have to count.
    pub(super) rounds: usize,
}

/// A key that one trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// What it is called here.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// What counts as vouching for an artefact.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Accepted {
    /// That it was built by whoever signs.
    Provenance,
    /// That it was built again, with verdict GOOD.
    Verdict,
}

/// A policy as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
struct Written {
    /// The version of the policy's grammar: always `lunikernel-policy/v1`.
    #[serde(rename = "apiVersion")]
    #[allow(dead_code, reason = "reading it is the check of it")]
    api_version: ApiVersion,
    /// The keys that are trusted, by the names that messages call them by.
    keys: BTreeMap<String, KeySource>,
    /// How many different keys have to vouch for the same digest.
    #[schemars(range(min = 1, max = 64))]
    threshold: u16,
    /// What counts as vouching: `provenance`, `verdict` (GOOD), or both.
    #[serde(default = "everything")]
    #[schemars(length(min = 1))]
    accept: Vec<Accepted>,
    /// What a verdict must have varied to count, such as `time-zone`.
    #[serde(default)]
    varied: Vec<String>,
    /// How many rounds a verdict must have had to count.
    #[serde(default = "two")]
    #[schemars(range(min = 2, max = 1000))]
    rounds: u16,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
enum ApiVersion {
    #[serde(rename = "lunikernel-policy/v1")]
    V1,
}

/// Where a public key is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum KeySource {
    /// In a file beside the policy: its path, relative to the policy.
    File(String),
    /// Here: PEM, from `-----BEGIN PUBLIC KEY-----` on.
    Pem(String),
}

fn everything() -> Vec<Accepted> {
    vec![Accepted::Provenance, Accepted::Verdict]
}

fn two() -> u16 {
    2
}

impl Policy {
    /// That `threshold` of `keys` have to vouch for the same digest; without one, all of
    /// them. A key that is among them twice counts once.
    ///
    /// # Errors
    /// [`AttestError::Threshold`] where there are fewer keys than that, or none.
    pub fn of_keys(keys: Vec<TrustedKey>, threshold: Option<usize>) -> Result<Self, AttestError> {
        let mut seen = BTreeSet::new();
        let keys: Vec<TrustedKey> = keys
            .into_iter()
            .filter(|trusted| seen.insert(trusted.key.id()))
            .collect();
        let needed = threshold.unwrap_or(keys.len());
        if needed == 0 || needed > keys.len() {
            return Err(AttestError::Threshold {
                needed: needed.max(1),
                keys: keys.len(),
            });
        }
        Ok(Self {
            keys,
            threshold: needed,
            accept: everything().into_iter().collect(),
            varied: BTreeSet::new(),
            rounds: two().into(),
        })
    }

    /// Reads the policy in a file.
    ///
    /// # Errors
    /// [`AttestError`], with all complaints at once where that is possible.
    pub fn read(path: &Path) -> Result<Self, AttestError> {
        let bytes = read_bounded(path, MAX_SIZE)
            .map_err(|source| AttestError::io("read the policy", source))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&bytes, &path.display().to_string(), Some(folder)).map_err(|complaints| {
            AttestError::Policy {
                path: path.to_owned(),
                complaints,
            }
        })
    }

    /// Reads a policy; `name` is what complaints call it, and keys are looked for in
    /// `folder`. Without one, a policy that names files is refused.
    ///
    /// # Errors
    /// Complaints, of which at least one is an error.
    pub fn parse(bytes: &[u8], name: &str, folder: Option<&Path>) -> Result<Self, Vec<Complaint>> {
        let mut keys = Vec::new();
        let (written, ..) = read_typed::<Written>(bytes, name, &POLICY, &GRAMMAR, |written| {
            let mut findings = Vec::new();
            keys = find_keys(written, folder, &mut findings);
            findings
        })?;
        Ok(Self {
            keys,
            threshold: written.threshold.into(),
            accept: written.accept.into_iter().collect(),
            varied: written.varied.into_iter().collect(),
            rounds: written.rounds.into(),
        })
    }

    /// The keys that are trusted.
    #[must_use]
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// How many of them have to vouch for the same digest.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }
}

/// The keys of a policy, and what is wrong with them.
fn find_keys(
    written: &Written,
    folder: Option<&Path>,
    findings: &mut Vec<Finding>,
) -> Vec<TrustedKey> {
    let all = Place::new().key("keys");
    let mut keys = Vec::new();
    let mut seen: BTreeMap<KeyId, &str> = BTreeMap::new();
    if written.keys.len() > MAX_KEYS {
        let message = format!("the policy has {} keys", written.keys.len());
        let problem = Problem::error(0..0, message).expected(format!("at most {MAX_KEYS}"));
        findings.push(Finding::new(all, problem));
        return keys;
    }
    for (name, source) in &written.keys {
        let place = all.key(name);
        let key = match find_key(source, folder) {
            Ok(key) => key,
            Err((kind, problem)) => {
                findings.push(Finding::new(place.key(kind), problem));
                continue;
            }
        };
        if !is_name(name) {
            let problem = Problem::error(0..0, "this is no name for a key")
                .expected("1 to 64 letters, digits and `.@_-`");
            findings.push(Finding::new(place, problem));
        } else if let Some(first) = seen.insert(key.id(), name) {
            let message = format!("`{name}` is the same key as `{first}`");
            let problem = Problem::error(0..0, message)
                .expected("each key once")
                .hint("one key cannot agree with itself; remove one of the two");
            findings.push(Finding::new(place, problem));
        }
        keys.push(TrustedKey {
            name: name.clone(),
            key,
        });
    }
    let threshold = usize::from(written.threshold);
    if threshold > written.keys.len() {
        let message = format!(
            "{threshold} keys have to agree, and the policy has {}",
            written.keys.len()
        );
        let problem = Problem::error(0..0, message)
            .expected("a number that is not larger than that of the keys");
        findings.push(Finding::new(Place::new().key("threshold"), problem));
    }
    keys
}

/// A key, or what is wrong with it, at which key of the mapping.
fn find_key(
    source: &KeySource,
    folder: Option<&Path>,
) -> Result<PublicKey, (&'static str, Problem)> {
    match source {
        KeySource::Pem(text) => PublicKey::from_pem(text).map_err(|flaw| {
            let problem = Problem::error(0..0, format!("this is no public key: {flaw}"));
            ("pem", with_hint(problem, flaw.hint()))
        }),
        KeySource::File(path) => {
            let Some(folder) = folder else {
                let problem = Problem::error(0..0, "there is no folder to look for the key in");
                return Err(("file", problem.expected("`pem`, with the key itself")));
            };
            PublicKey::read(&folder.join(path)).map_err(|error| {
                let message = match &error {
                    AttestError::Io { source, .. } => format!("the key cannot be read: {source}"),
                    other => other.to_string(),
                };
                (
                    "file",
                    with_hint(Problem::error(0..0, message), error.hint()),
                )
            })
        }
    }
}

fn with_hint(problem: Problem, hint: Option<String>) -> Problem {
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".@_-".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(fits)
}
