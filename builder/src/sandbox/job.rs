//! Reading an action: what of REAPI this sandbox runs, checked before anything is done.

use std::collections::BTreeMap;
use std::time::Duration;

use lunikernel_cache::{BlobStore, Digest, Sha256, reapi, tree};
use prost::Message;

use crate::plan::property as properties;
use crate::sandbox::SandboxError;

/// Time limit of an action that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);
/// Memory limit of an action that names none, in MiB.
const DEFAULT_MEMORY_MIB: u64 = 4096;
/// Limit of processes and threads of an action that names none.
const DEFAULT_PROCESSES: u64 = 2048;
/// The folder of the input root where commands run and their outputs are.
pub(super) const BUILD: &str = "build";

/// An action that can be run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) argv: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    /// `build`, or a folder below it.
    pub(super) workdir: String,
    /// Relative to `workdir`, sorted, each once.
    pub(super) outputs: Vec<String>,
    pub(super) input_root: reapi::Directory,
    pub(super) timeout: Duration,
    pub(super) memory_mib: u64,
    pub(super) processes: u64,
    /// Whether it may use the network.
    pub(super) network: bool,
    /// Whether it is remembered whom its command gives files to.
    pub(super) keeps_owners: bool,
}

impl Job {
    /// Reads the action with that digest, its command and the top of its input root.
    pub(super) fn read(blobs: &BlobStore, action: &Digest) -> Result<Self, SandboxError> {
        let bad = |why: String| SandboxError::BadAction {
            digest: *action,
            why,
        };
        let message: reapi::Action = decode(blobs, action).map_err(|e| e.of(action))?;
        let part = |digest: &Option<reapi::Digest>, what: &str| {
            digest
                .as_ref()
                .and_then(Digest::from_reapi)
                .ok_or_else(|| bad(format!("it names no {what}")))
        };
        let command: reapi::Command =
            decode(blobs, &part(&message.command_digest, "command")?).map_err(|e| e.of(action))?;
        let input_root = decode(blobs, &part(&message.input_root_digest, "input root")?)
            .map_err(|e| e.of(action))?;

        let job = Self {
            timeout: timeout_of(&message).map_err(bad)?,
            memory_mib: property(&message, &command, properties::MEMORY_MIB)
                .map_err(bad)?
                .unwrap_or(DEFAULT_MEMORY_MIB),
            processes: property(&message, &command, properties::PROCESSES)
                .map_err(bad)?
                .unwrap_or(DEFAULT_PROCESSES),
            network: network(&message, &command).map_err(bad)?,
            keeps_owners: keeps_owners(&message, &command).map_err(bad)?,
            env: command
                .environment_variables
                .into_iter()
                .map(|variable| (variable.name, variable.value))
                .collect(),
            argv: command.arguments,
            workdir: command.working_directory,
            outputs: sorted(command.output_paths),
            input_root,
        };
        job.check().map_err(bad)?;
        Ok(job)
    }

    /// Its working folder, relative to `/build`; empty for that itself.
    pub(super) fn below_build(&self) -> &str {
        let below = self.workdir.strip_prefix(BUILD).unwrap_or_default();
        below.trim_start_matches('/')
    }

    fn check(&self) -> Result<(), String> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err("its command names no program".to_owned());
        }
        if self.argv.iter().any(|argument| argument.contains('\0')) {
            return Err("an argument of its command holds a zero byte".to_owned());
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(format!("`{name}` cannot be an environment variable"));
            }
        }
        let mut parts = self.workdir.split('/');
        if parts.next() != Some(BUILD) || !parts.all(tree::is_name) {
            return Err(format!(
                "its working directory is `{}`; expected `{BUILD}` or a folder below it",
                self.workdir
            ));
        }
        match self
            .outputs
            .iter()
            .find(|path| !path.split('/').all(tree::is_name))
        {
            Some(path) => Err(format!("its output `{path}` is no path below a folder")),
            None => Ok(()),
        }
    }
}

fn sorted(mut paths: Vec<String>) -> Vec<String> {
    paths.sort();
    paths.dedup();
    paths
}

fn timeout_of(action: &reapi::Action) -> Result<Duration, String> {
    let Some(timeout) = &action.timeout else {
        return Ok(DEFAULT_TIMEOUT);
    };
    match (u64::try_from(timeout.seconds), u32::try_from(timeout.nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 && (seconds, nanos) != (0, 0) => {
            Ok(Duration::new(seconds, nanos))
        }
        _ => Err(format!(
            "its timeout is {} s and {} ns; expected more than nothing",
            timeout.seconds, timeout.nanos
        )),
    }
}

/// A platform property; the action's platform goes before the command's, which REAPI 2.2
/// made obsolete.
fn text<'m>(action: &'m reapi::Action, command: &'m reapi::Command, name: &str) -> Option<&'m str> {
    #[expect(deprecated, reason = "older clients set only this one")]
    let platform = action.platform.as_ref().or(command.platform.as_ref());
    let mut properties = platform?.properties.iter();
    let found = properties.find(|property| property.name == name)?;
    Some(&found.value)
}

/// A platform property that is a number.
fn property(
    action: &reapi::Action,
    command: &reapi::Command,
    name: &str,
) -> Result<Option<u64>, String> {
    let Some(found) = text(action, command, name) else {
        return Ok(None);
    };
    match found.parse() {
        Ok(0) | Err(_) => Err(format!(
            "its platform property `{name}` is `{found}`; expected a number above 0"
        )),
        Ok(number) => Ok(Some(number)),
    }
}

/// Whether the network may be used: only by an action that says what its outputs must be.
fn network(action: &reapi::Action, command: &reapi::Command) -> Result<bool, String> {
    match text(action, command, properties::NETWORK) {
        None | Some("off") => Ok(false),
        Some("on") => match text(action, command, properties::FIXED_OUTPUT) {
            Some(output) if is_fixed(output) => Ok(true),
            Some(output) => Err(format!(
                "its platform property `{}` is `{output}`; expected `SHA256/SIZE`",
                properties::FIXED_OUTPUT
            )),
            None => Err(format!(
                "it is to use the network, and has no platform property `{}`",
                properties::FIXED_OUTPUT
            )),
        },
        Some(other) => Err(format!(
            "its platform property `{}` is `{other}`; expected `on` or `off`",
            properties::NETWORK
        )),
    }
}

/// Whether owners are remembered.
fn keeps_owners(action: &reapi::Action, command: &reapi::Command) -> Result<bool, String> {
    match text(action, command, properties::OWNERS) {
        None => Ok(false),
        Some(properties::OWNERS_KEPT) => Ok(true),
        Some(other) => Err(format!(
            "its platform property `{}` is `{other}`; expected `{}`",
            properties::OWNERS,
            properties::OWNERS_KEPT
        )),
    }
}

fn is_fixed(output: &str) -> bool {
    let digest = output.split_once('/');
    output == properties::TO_BE_LOCKED
        || digest.is_some_and(|(sha256, size)| {
            sha256.len() == 64 && sha256.parse::<Sha256>().is_ok() && size.parse::<u64>().is_ok()
        })
}

/// Why a message could not be had.
enum Unreadable {
    Store(lunikernel_cache::CacheError),
    Message(String),
}

impl Unreadable {
    fn of(self, action: &Digest) -> SandboxError {
        match self {
            Self::Store(error) => error.into(),
            Self::Message(why) => SandboxError::BadAction {
                digest: *action,
                why,
            },
        }
    }
}

fn decode<M: Message + Default>(blobs: &BlobStore, digest: &Digest) -> Result<M, Unreadable> {
    let bytes = blobs.read(digest).map_err(Unreadable::Store)?;
    M::decode(bytes.as_slice())
        .map_err(|error| Unreadable::Message(format!("its message {digest}: {error}")))
}
