//! The modules that a unikernel takes along: the entry `modules.json`.

use std::io::{self, Read as _};

use lunikernel_cache::artefact::{Artefact, ArtefactError, MODULES};
use lunikernel_cache::canonical::{self, CanonicalFlaw};
use serde::{Deserialize, Serialize};

/// The most modules.
const MOST: usize = 64;
/// The longest text that goes with a module, in bytes.
const LONGEST: usize = 1024;
/// The largest list: every name and text in its longest form.
const MAX_LIST: u64 = 1 << 20;

/// The modules of a unikernel, in the order in which it finds them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modules {
    /// The version of this entry's form.
    format: Format,
    /// Its modules.
    pub modules: Vec<Module>,
}

/// The version of the list's form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[default]
    #[serde(rename = "lunikernel-modules/1")]
    V1,
}

/// A module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// The entry with its content.
    pub entry: String,
    /// The text that the unikernel finds with it: printable ASCII.
    pub cmdline: String,
}

/// The list of modules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// The zip is wrong.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// The list could not be read.
    #[error("could not read the list of modules of {artefact}")]
    Read {
        /// The file.
        artefact: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The list is not as it should be.
    #[error("the entry `modules.json` of {artefact} is wrong: {flaw}")]
    List {
        /// The file.
        artefact: String,
        /// What is wrong.
        flaw: CanonicalFlaw,
    },
    /// The list is no list of what is there.
    #[error("the entry `modules.json` of {artefact} lists other modules than there are")]
    Others {
        /// The file.
        artefact: String,
    },
}

impl ModulesError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Artefact(error) => error.hint(),
            _ => None,
        }
    }
}

impl Modules {
    /// The entry that the module with that index is in.
    #[must_use]
    pub fn entry(index: usize) -> String {
        format!("modules/{index}")
    }

    /// What `artefact` lists; nothing where it has no list.
    ///
    /// # Errors
    /// [`ModulesError`] where it cannot be read or is not as it should be.
    pub fn of(artefact: &Artefact) -> Result<Self, ModulesError> {
        if !artefact.manifest().entries.contains_key(MODULES) {
            return Ok(Self::default());
        }
        let label = || artefact.label().to_owned();
        let mut bytes = Vec::new();
        let mut entry = artefact.entry(MODULES)?.take(MAX_LIST);
        entry
            .read_to_end(&mut bytes)
            .map_err(|source| ModulesError::Read {
                artefact: label(),
                source,
            })?;
        let list = canonical::from_slice::<Self>(&bytes).map_err(|flaw| ModulesError::List {
            artefact: label(),
            flaw,
        })?;
        let entries = &artefact.manifest().entries;
        if !list.is_sound()
            || !list
                .modules
                .iter()
                .all(|it| entries.contains_key(&it.entry))
        {
            return Err(ModulesError::Others { artefact: label() });
        }
        Ok(list)
    }

    fn is_sound(&self) -> bool {
        let sound = |(index, it): (usize, &Module)| {
            let printable = |byte: u8| (0x20..0x7f).contains(&byte);
            it.entry == Self::entry(index)
                && it.cmdline.len() <= LONGEST
                && it.cmdline.bytes().all(printable)
        };
        (1..=MOST).contains(&self.modules.len()) && self.modules.iter().enumerate().all(sound)
    }

    /// Canonical JSON (RFC 8785).
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        canonical::to_vec(self)
    }
}
