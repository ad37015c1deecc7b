//! One action as a value.

use std::collections::{BTreeMap, BTreeSet};

use bazel_remote_apis::google::protobuf::Duration as ProtoDuration;
use lunikernel_cache::{BlobStore, CacheError, Digest, Tree, reapi};
use prost::Message as _;

use super::platform::Platform;

/// The time that builds are told it is, in seconds since 1970: 1980-01-01, the first
/// that a zip can hold. A real date would make today's bits differ from tomorrow's.
pub const SOURCE_DATE_EPOCH: u32 = 315_532_800;

/// What every command finds in its environment, unless its action sets another value.
#[must_use]
pub fn fixed_environment() -> BTreeMap<String, String> {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    [
        ("HOME", "/root"),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("PATH", path),
        ("SOURCE_DATE_EPOCH", &SOURCE_DATE_EPOCH.to_string()),
        ("TERM", "dumb"),
        ("TZ", "UTC"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// What is to be run, on which inputs, for which outputs.
///
/// Lists whose order means nothing are sets, so that equal invocations encode to
/// equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// Environment, beside what every sandbox sets.
    pub environment: BTreeMap<String, String>,
    /// Folder below the input root in which it starts; empty for the root.
    pub working_directory: String,
    /// What it makes, relative to the working directory.
    pub outputs: BTreeSet<String>,
    /// What it runs on, and within which bounds.
    pub platform: Platform,
    /// How long it may take, in seconds.
    pub timeout_seconds: u64,
    /// Everything that it sees.
    pub input_root: Tree,
}

/// An action and the messages that it refers to, encoded.
#[derive(Debug, Clone)]
pub struct EncodedAction {
    /// The action's digest: its key in the action cache.
    pub digest: Digest,
    /// The action, its command and its input folders.
    messages: Vec<Vec<u8>>,
}

impl Invocation {
    /// Encodes it canonically (REAPI v2: fields sorted, defaults left out).
    #[must_use]
    pub fn encode(&self) -> EncodedAction {
        let command = reapi::Command {
            arguments: self.arguments.clone(),
            environment_variables: self
                .environment
                .iter()
                .map(|(name, value)| reapi::command::EnvironmentVariable {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            output_paths: self.outputs.iter().cloned().collect(),
            working_directory: self.working_directory.clone(),
            ..Default::default()
        }
        .encode_to_vec();

        let mut messages = Vec::new();
        let root = self
            .input_root
            .encode::<std::convert::Infallible>(&mut |_, bytes| {
                messages.push(bytes);
                Ok(())
            });
        let root = match root {
            Ok(digest) => digest,
            Err(never) => match never {},
        };
        let action = reapi::Action {
            command_digest: Some(Digest::of(&command).to_reapi()),
            input_root_digest: Some(root.to_reapi()),
            timeout: Some(ProtoDuration {
                seconds: i64::try_from(self.timeout_seconds).unwrap_or(i64::MAX),
                nanos: 0,
            }),
            platform: Some(self.platform.to_reapi()),
            ..Default::default()
        }
        .encode_to_vec();
        let digest = Digest::of(&action);
        messages.push(command);
        messages.push(action);
        EncodedAction { digest, messages }
    }
}

impl EncodedAction {
    /// Stores the messages, so that a sandbox or a server can be given the digest.
    ///
    /// # Errors
    /// [`CacheError::Io`] where the store cannot be written.
    pub fn store(&self, blobs: &BlobStore) -> Result<(), CacheError> {
        self.messages
            .iter()
            .try_for_each(|message| blobs.put(message).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Network;
    use crate::recipe::Arch;

    fn invocation() -> Invocation {
        Invocation {
            arguments: vec!["true".to_owned()],
            environment: BTreeMap::new(),
            working_directory: "build".to_owned(),
            outputs: BTreeSet::from(["out".to_owned()]),
            platform: Platform::default(),
            timeout_seconds: 1,
            input_root: Tree::new(),
        }
    }

    #[test]
    fn every_part_is_in_the_digest() {
        let base = invocation().encode().digest;
        let changes: [fn(&mut Invocation); 6] = [
            |i| i.arguments.push("x".to_owned()),
            |i| drop(i.environment.insert("A".to_owned(), "b".to_owned())),
            |i| i.working_directory.clear(),
            |i| assert!(i.outputs.insert("more".to_owned())),
            |i| i.platform = Platform::new(Arch::X86_64, 1, 1, Network::Off),
            |i| i.timeout_seconds = 2,
        ];
        for change in changes {
            let mut other = invocation();
            change(&mut other);
            assert_ne!(other.encode().digest, base, "{other:?}");
        }
        assert_eq!(invocation().encode().digest, base);
    }
}
