//! What was laid over a Lunikernel, as it says itself: the entry `overlays.json`.

use lunikernel_cache::artefact::{Artefact, ArtefactError, INITRAMFS};
use lunikernel_cache::{Digest, canonical};
use serde::{Deserialize, Serialize};

use super::{BLOCK, OverlayError, read_entry};

/// The entry of a Lunikernel that says what was laid over it.
pub const HISTORY: &str = "overlays.json";
/// The largest history, in bytes.
const MAX_HISTORY: u64 = 4 << 20;

/// All runs of overlaying that a Lunikernel has seen, the first one first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The version of this entry's form.
    pub format: HistoryFormat,
    /// One for each run.
    pub overlays: Vec<Overlaid>,
}

/// The version of a history's form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryFormat {
    /// The first one.
    #[default]
    #[serde(rename = "lunikernel-overlays/1")]
    V1,
}

/// One run of overlaying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlaid {
    /// The identity of the Lunikernel that was the base.
    pub base: Digest,
    /// The content of each overlay in its canonical form, in the order in which they
    /// were laid over each other.
    pub content: Vec<Digest>,
    /// The archive that was put behind the initramfs: its last gzip member then.
    pub segment: Digest,
    /// Whether members were taken out of the initramfs in front of it.
    pub rewritten: bool,
    /// The paths that were removed, sorted, without a leading slash.
    pub removed: Vec<String>,
}

impl History {
    /// What `artefact` says; an empty one where nothing was laid over it.
    ///
    /// # Errors
    /// [`OverlayError`] where it cannot be read or is not in its canonical form.
    pub fn of(artefact: &Artefact) -> Result<Self, OverlayError> {
        if !artefact.manifest().entries.contains_key(HISTORY) {
            return Ok(Self::default());
        }
        let bytes = read_entry(artefact, HISTORY, MAX_HISTORY)?;
        let entries = &artefact.manifest().entries;
        let is_possible = [INITRAMFS, BLOCK]
            .iter()
            .any(|it| entries.contains_key(*it));
        Self::parse(&bytes)
            .filter(|_| is_possible)
            .ok_or_else(|| OverlayError::History {
                artefact: artefact.label().to_owned(),
            })
    }

    /// Reads an entry [`HISTORY`]; `None` where it is not as it should be.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let history = canonical::from_slice::<Self>(bytes).ok()?;
        let sound = |it: &Overlaid| !it.content.is_empty() && it.removed.is_sorted();
        let is_possible = !history.overlays.is_empty() && history.overlays.iter().all(sound);
        is_possible.then_some(history)
    }

    /// Canonical JSON (RFC 8785).
    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        canonical::to_vec(self)
    }
}

/// Where an entry could not be read.
pub(super) fn unreadable(artefact: &Artefact, source: std::io::Error) -> OverlayError {
    OverlayError::Artefact(ArtefactError::Io {
        attempted: "read",
        artefact: artefact.label().to_owned(),
        source,
    })
}
