//! Everything about a Lunikernel that can be told from its zip: its digests, which
//! are checked, what it says about itself, and what is in its initramfs and kernel.

use std::fmt;
use std::io::{self, BufReader, Read};

use lunikernel_cache::artefact::{
    Artefact, ArtefactError, INITRAMFS, KERNEL, Manifest, Overlay, Protocol,
};
use lunikernel_cache::{Digest, Progress};
use serde::Serialize;

use crate::assemble::cpio::{ReadError, read_gzip};
use crate::overlay::{History, Overlaid, OverlayError, Paths, listed_paths};
use crate::unikernel::solo5::{self, DeviceKind};
use crate::unikernel::{KernelFlaw, MAX_KERNEL};

mod glance;

pub use glance::{Glance, glance};

/// How many of the largest files are listed.
const LARGEST: usize = 10;
/// As much as is unpacked: no initramfs that fits into a memory comes near.
const MAX_UNPACKED: u64 = 16 << 30;

/// Everything about a Lunikernel that can be told from its zip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Its identity: every byte was read, and every entry has its digest.
    pub digest: Digest,
    /// What it says about itself.
    pub manifest: Manifest,
    /// Its entries in the order of the zip, the manifest included.
    pub entries: Vec<EntryInfo>,
    /// What is in its initramfs, if it has one.
    pub initramfs: Option<InitramfsInfo>,
    /// What was laid over it, in order.
    pub overlays: Vec<Overlaid>,
    /// The version that a Linux kernel says it is, if it is one for x86.
    pub kernel_version: Option<String>,
    /// What a unikernel of Solo5's says about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solo5: Option<solo5::Image>,
}

/// An entry of the zip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryInfo {
    /// Its name.
    pub name: String,
    /// Its digest.
    #[serde(flatten)]
    pub digest: Digest,
}

/// What is in an initramfs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InitramfsInfo {
    /// How many archives follow each other: overlays add one each.
    pub archives: u64,
    /// How many files, folders, links and devices there are.
    pub members: u64,
    /// Size of all content in bytes, which is what it takes of the memory.
    pub unpacked: u64,
    /// The largest files, largest first.
    pub largest: Vec<FileInfo>,
}

/// A file of an initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// Its path, without a leading slash.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A Lunikernel could not be inspected, because something in it is wrong.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The zip is wrong.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// The initramfs is wrong.
    #[error("the initramfs of {artefact} cannot be unpacked")]
    Initramfs {
        /// The file.
        artefact: String,
        /// What is wrong.
        #[source]
        source: ReadError,
    },
    /// What it says of its overlays or its paths is wrong.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// Its list of paths is not that of its initramfs.
    #[error(
        "{artefact} is no sound Lunikernel: its entry `initramfs.paths.json` lists other paths than its initramfs has"
    )]
    Paths {
        /// The file.
        artefact: String,
    },
    /// The unikernel is damaged.
    #[error("the kernel of {artefact} is no unikernel for Solo5")]
    Unikernel {
        /// The file.
        artefact: String,
        /// What is wrong.
        #[source]
        source: KernelFlaw,
    },
    /// The manifest says something else than the unikernel.
    #[error("{artefact} says that it boots by {says}, but its kernel is for {is}")]
    Protocol {
        /// The file.
        artefact: String,
        /// What its manifest says.
        says: &'static str,
        /// What its kernel says.
        is: &'static str,
    },
    /// The kernel could not be read.
    #[error("could not read the kernel of {artefact}")]
    Kernel {
        /// The file.
        artefact: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

impl InspectError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Artefact(error) => error.hint(),
            Self::Initramfs { source, .. } => source.hint(),
            Self::Overlay(error) => error.hint(),
            Self::Unikernel { source, .. } => source.hint(),
            Self::Kernel { .. } | Self::Paths { .. } | Self::Protocol { .. } => None,
        }
    }
}

/// Checks every byte of `artefact`, then looks into it.
///
/// # Errors
/// [`InspectError`] with the first thing that is wrong.
pub fn inspect(artefact: &Artefact, progress: &dyn Progress) -> Result<Inspection, InspectError> {
    let checked = artefact.check(progress)?;
    let has_initramfs = artefact.manifest().entries.contains_key(INITRAMFS);
    let entries = artefact.entries().map(|(name, digest)| EntryInfo {
        name: name.to_owned(),
        digest,
    });
    Ok(Inspection {
        digest: checked.digest,
        manifest: artefact.manifest().clone(),
        entries: entries.collect(),
        overlays: History::of(artefact)?.overlays,
        initramfs: has_initramfs.then(|| initramfs(artefact)).transpose()?,
        kernel_version: kernel_version(artefact)?,
        solo5: solo5_image(artefact)?,
    })
}

fn initramfs(artefact: &Artefact) -> Result<InitramfsInfo, InspectError> {
    let packed = BufReader::with_capacity(256 << 10, artefact.entry(INITRAMFS)?);
    let mut reader = read_gzip(packed, MAX_UNPACKED);
    let mut info = InitramfsInfo::default();
    let mut paths = Paths::default();
    let failed = |source| InspectError::Initramfs {
        artefact: artefact.label().to_owned(),
        source,
    };
    while let Some(header) = reader.next_header().map_err(failed)? {
        paths.take(&header, &mut reader).map_err(failed)?;
        let size = u64::from(header.size);
        info.archives = u64::from(header.segment) + 1;
        info.members += 1;
        info.unpacked += size;
        let at = info.largest.partition_point(|file| file.size >= size);
        if at < LARGEST && size > 0 {
            let path = header.path;
            info.largest.insert(at, FileInfo { path, size });
            info.largest.truncate(LARGEST);
        }
    }
    if listed_paths(artefact)?.is_some_and(|listed| listed != paths) {
        return Err(InspectError::Paths {
            artefact: artefact.label().to_owned(),
        });
    }
    Ok(info)
}

fn kernel_version(artefact: &Artefact) -> Result<Option<String>, InspectError> {
    /// The 16-bit pointer of the header reaches no further, and the version is short.
    const MOST: u64 = 0x200 + 0xffff + 256;
    let mut start = Vec::new();
    let kernel = artefact.entry(KERNEL)?;
    kernel
        .take(MOST)
        .read_to_end(&mut start)
        .map_err(|source| InspectError::Kernel {
            artefact: artefact.label().to_owned(),
            source,
        })?;
    Ok(linux_version(&start))
}

/// What a unikernel says about itself, where it is one of Solo5's. The manifest must
/// say the same.
fn solo5_image(artefact: &Artefact) -> Result<Option<solo5::Image>, InspectError> {
    let manifest = artefact.manifest();
    let protocol = manifest.boot.protocol;
    let is_solo5 = matches!(
        protocol,
        Protocol::Solo5Hvt | Protocol::Solo5Spt | Protocol::Solo5Virtio | Protocol::Solo5Muen
    );
    if !is_solo5 {
        return Ok(None);
    }
    let label = || artefact.label().to_owned();
    let mut kernel = Vec::new();
    let mut entry = artefact.entry(KERNEL)?.take(MAX_KERNEL);
    entry
        .read_to_end(&mut kernel)
        .map_err(|source| InspectError::Kernel {
            artefact: label(),
            source,
        })?;
    let image = solo5::read(&kernel).map_err(|source| InspectError::Unikernel {
        artefact: label(),
        source,
    })?;
    if image.protocol() != protocol {
        return Err(InspectError::Protocol {
            artefact: label(),
            says: protocol.name(),
            is: image.protocol().name(),
        });
    }
    Ok(Some(image))
}

/// The version in the setup header of a Linux kernel for x86, from the kernel's first
/// 66 KiB: `Documentation/arch/x86/boot.rst`, field `kernel_version`.
#[must_use]
pub fn linux_version(kernel: &[u8]) -> Option<String> {
    if kernel.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let pointer = u16::from_le_bytes(*kernel.get(0x20e..)?.first_chunk()?);
    if pointer == 0 {
        return None;
    }
    let text = kernel.get(0x200 + usize::from(pointer)..)?;
    let text: Vec<u8> = text.iter().copied().take(256).collect();
    let end = text.iter().position(|byte| *byte == 0)?;
    let text = text.get(..end)?;
    let printable = !text.is_empty() && text.iter().all(|byte| (0x20..0x7f).contains(byte));
    printable.then(|| String::from_utf8_lossy(text).into_owned())
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.manifest;
        writeln!(
            f,
            "{} {} ({}, {})",
            it.name, it.version, it.flavour, it.arch
        )?;
        writeln!(f, "  {}, every entry checked", self.digest)?;
        let protocol = it.boot.protocol.name();
        let memory = it.boot.min_memory_mib;
        writeln!(
            f,
            "\nboots by {protocol}, in {memory} MiB of memory or more"
        )?;
        writeln!(f, "  command line  {}", it.boot.cmdline)?;
        if let Some(version) = &self.kernel_version {
            writeln!(f, "  kernel        {version}")?;
        }
        let devices = match (it.devices.net, it.devices.block) {
            (true, true) => "network, disk",
            (true, false) => "network",
            (false, true) => "disk",
            (false, false) => "none",
        };
        writeln!(f, "  devices       {devices}")?;
        for device in self.solo5.iter().flat_map(|image| &image.devices) {
            let kind = match device.kind {
                DeviceKind::Block => "disk",
                DeviceKind::Net => "network",
            };
            writeln!(f, "                {kind} `{}`", device.name)?;
        }
        let overlay = match &it.overlay {
            Overlay::Initramfs {} => "one more archive behind the initramfs".to_owned(),
            Overlay::Block { device } => format!("a tar archive as the disk `{device}`"),
            Overlay::None {} => "not possible".to_owned(),
        };
        writeln!(f, "  overlay       {overlay}")?;
        writeln!(f, "\nentries")?;
        for entry in &self.entries {
            let EntryInfo { name, digest } = entry;
            writeln!(f, "  {:>12}  {name:<16}  {}", digest.size, digest.sha256)?;
        }
        if let Some(info) = &self.initramfs {
            let InitramfsInfo {
                archives,
                members,
                unpacked,
                largest,
            } = info;
            writeln!(
                f,
                "\ninitramfs: {members} members, {unpacked} bytes unpacked, archives: {archives}; the largest are"
            )?;
            for file in largest {
                writeln!(f, "  {:>12}  /{}", file.size, file.path.escape_debug())?;
            }
        }
        write!(f, "\nbuilt from {} inputs", it.inputs.len())?;
        for overlaid in &self.overlays {
            write!(f, "\noverlaid: base {}", overlaid.base.sha256)?;
            for content in &overlaid.content {
                write!(f, "\n          with {}", content.sha256)?;
            }
            for path in &overlaid.removed {
                write!(f, "\n          without /{}", path.escape_debug())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
