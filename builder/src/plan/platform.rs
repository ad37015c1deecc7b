//! What an action runs on, within which bounds, and whether it reaches the network.

use lunikernel_cache::{Digest, reapi};

use crate::lock::LockedStep;
use crate::recipe::Arch;

/// Names of the platform properties that our actions carry.
pub mod property {
    /// The operating system: always `Linux`.
    pub const OS_FAMILY: &str = "OSFamily";
    /// The instruction set: `x86-64`.
    pub const ISA: &str = "ISA";
    /// Whether the network may be used: `off`, or `on` together with [`FIXED_OUTPUT`].
    pub const NETWORK: &str = "network";
    /// What the outputs together must be, as `SHA256/SIZE` of the folder that has them;
    /// [`TO_BE_LOCKED`] where a lock is being made. No sandbox lets an action use the
    /// network that does not say so.
    pub const FIXED_OUTPUT: &str = "luni-fixed-output";
    /// How much memory all processes together may use, in MiB.
    pub const MEMORY_MIB: &str = "luni-memory-mib";
    /// How many processes and threads there may be at once.
    pub const PROCESSES: &str = "luni-processes";

    /// Whether commands find the owners that they gave to files: [`OWNERS_KEPT`], or not
    /// there. What comes out has none in either case.
    pub const OWNERS: &str = "luni-owners";
    /// The value of [`OWNERS`].
    pub const OWNERS_KEPT: &str = "kept";

    /// The value of [`FIXED_OUTPUT`] while a lock is being made.
    pub const TO_BE_LOCKED: &str = "to-be-locked";
}

/// Whether an action may use the network: only where what it makes is held to a digest,
/// so that whatever the network answers cannot change what is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// It has none.
    Off,
    /// It may, and its outputs are fixed.
    Fixed(FixedOutput),
}

/// What the outputs of an action that may use the network are held to. There is none but
/// from a lock, or for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedOutput(Option<Digest>);

impl FixedOutput {
    /// What a lock says.
    #[must_use]
    pub fn of(locked: &LockedStep) -> Self {
        Self(Some(locked.outputs))
    }

    /// What comes is about to be written into a lock.
    pub(crate) fn to_be_locked() -> Self {
        Self(None)
    }

    /// The digest of the folder with the outputs, where it is known.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.0
    }

    fn value(&self) -> String {
        match self.0 {
            Some(digest) => format!("{}/{}", digest.sha256.hex(), digest.size),
            None => property::TO_BE_LOCKED.to_owned(),
        }
    }
}

/// Platform properties of an action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Platform {
    // Nothing else can put a property there: the network is on only with a fixed output.
    properties: Vec<(&'static str, String)>,
}

impl Platform {
    /// A processor, at most so much memory and so many processes, and a network or none.
    #[must_use]
    pub fn new(arch: Arch, memory_mib: u64, processes: u64, network: Network) -> Self {
        let mut properties = vec![
            (property::OS_FAMILY, "Linux".to_owned()),
            (property::ISA, arch.isa().to_owned()),
            (property::MEMORY_MIB, memory_mib.to_string()),
            (property::PROCESSES, processes.to_string()),
        ];
        match network {
            Network::Off => properties.push((property::NETWORK, "off".to_owned())),
            Network::Fixed(output) => {
                properties.push((property::NETWORK, "on".to_owned()));
                properties.push((property::FIXED_OUTPUT, output.value()));
            }
        }
        // REAPI: sorted by name.
        properties.sort_unstable();
        Self { properties }
    }

    /// The same, where commands find the owners that they gave to files.
    #[must_use]
    pub fn keeping_owners(mut self) -> Self {
        let kept = property::OWNERS_KEPT.to_owned();
        self.properties.push((property::OWNERS, kept));
        self.properties.sort_unstable();
        self
    }

    pub(super) fn to_reapi(&self) -> reapi::Platform {
        reapi::Platform {
            properties: self
                .properties
                .iter()
                .map(|(name, value)| reapi::platform::Property {
                    name: (*name).to_owned(),
                    value: value.clone(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::Sha256;

    use super::*;

    fn said(network: Network) -> Vec<String> {
        let platform = Platform::new(Arch::X86_64, 64, 8, network).to_reapi();
        let properties = platform.properties.into_iter();
        properties
            .map(|p| format!("{}={}", p.name, p.value))
            .collect()
    }

    #[test]
    fn the_network_comes_only_with_what_the_outputs_must_be() {
        let usual = [
            "ISA=x86-64",
            "OSFamily=Linux",
            "luni-memory-mib=64",
            "luni-processes=8",
            "network=off",
        ];
        assert_eq!(said(Network::Off), usual);

        let locked = LockedStep {
            asked: Sha256::of(b""),
            outputs: Digest::of(b"tree"),
        };
        let fixed = FixedOutput::of(&locked);
        let value = format!("luni-fixed-output={}/4", Sha256::of(b"tree").hex());
        let on = said(Network::Fixed(fixed));
        assert!(
            on.contains(&value) && on.contains(&"network=on".to_owned()),
            "{on:?}"
        );
        assert!(on.is_sorted());

        let unknown = said(Network::Fixed(FixedOutput::to_be_locked()));
        assert!(unknown.contains(&"luni-fixed-output=to-be-locked".to_owned()));
    }
}
