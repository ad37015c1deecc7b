//! What can be wrong with a unikernel.

/// What is wrong with a file that should be booted. Each continues "cannot be booted: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelFlaw {
    /// It is no ELF file.
    #[error("it does not begin as an ELF file does")]
    NotElf,
    /// It is an ELF file that cannot be read.
    #[error("its ELF headers are damaged: {0}")]
    Elf(String),
    /// It is an ELF file of a kind that nothing starts.
    #[error("it is an ELF file {actual}, expected {expected}")]
    Kind {
        /// What it is.
        actual: String,
        /// What would do.
        expected: &'static str,
    },
    /// A header is not as it must be.
    #[error("its {header} header at byte {at} {problem}")]
    Header {
        /// Which one.
        header: &'static str,
        /// Where it is in the file.
        at: u64,
        /// What is wrong: continues "its header …".
        problem: String,
    },
    /// A note is not as it must be.
    #[error("its ELF note {note} {problem}")]
    Note {
        /// Which one.
        note: &'static str,
        /// What is wrong: continues "its note …".
        problem: String,
    },
    /// It is no unikernel of Solo5.
    #[error("it has no ELF note {0}, which every unikernel for Solo5 has")]
    NoNote(&'static str),
    /// Nothing in it says how it is started.
    #[error("it has neither a multiboot header nor Xen's note of a PVH entry")]
    NoEntry,
    /// Multiboot loaders take ELF files of 32 bits, or addresses in the header.
    #[error(
        "its multiboot header has no addresses, and loaders take those of an ELF file of 32 bits only, but this one has 64"
    )]
    Wide,
}

impl KernelFlaw {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoNote(_) | Self::NotElf => Some(
                "the flavour `unikernel` boots kernels that start by multiboot or PVH".to_owned(),
            ),
            Self::NoEntry => Some(
                "the flavour `mirage` boots unikernels for Solo5, `debian` boots Linux".to_owned(),
            ),
            Self::Wide => {
                Some("`objcopy -O elf32-i386` makes an ELF file of 32 bits of it".to_owned())
            }
            Self::Elf(_) | Self::Header { .. } | Self::Note { .. } => {
                Some("it may be damaged or cut off: get or build it again".to_owned())
            }
            Self::Kind { .. } => None,
        }
    }
}
