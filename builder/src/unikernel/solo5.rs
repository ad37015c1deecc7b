//! Solo5: what a unikernel says about itself in its ELF notes `ABI1` (which target it
//! was built for) and `MFT1` (which devices it wants). The layouts are those of Solo5's
//! `elf_abi.h` and `mft_abi.h`, version 1 of both, for a processor of 64 bits.

use lunikernel_cache::artefact::Protocol;
use serde::Serialize;

use super::KernelFlaw;
use super::elf::Elf;
use super::header::u32_at;

const OWNER: &[u8] = b"Solo5\0";
const ABI1: u32 = 0x3149_4241;
const MFT1: u32 = 0x3154_464d;

/// The one version of the list of devices.
const VERSION: u32 = 1;
/// The most entries that the list has, the reserved one included.
const MOST_ENTRIES: usize = 64;
/// What aligns the list in its note to 8 bytes.
const PADDING: usize = 4;
/// Length of the list's head: version and number of entries.
const HEAD: usize = 8;
/// Length of an entry.
const ENTRY: usize = 104;
/// Length of its name, with at least one terminating zero.
const NAME: usize = 68;
/// The type of the first entry, which is no device.
const RESERVED: u32 = 1 << 30;

/// A unikernel for Solo5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// What runs it.
    pub target: Target,
    /// The version of the interface between the two.
    pub abi_version: u32,
    /// The devices that it wants, in its order.
    pub devices: Vec<Device>,
}

impl Image {
    /// How it is started.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.target {
            Target::Hvt => Protocol::Solo5Hvt,
            Target::Spt => Protocol::Solo5Spt,
            Target::Virtio => Protocol::Solo5Virtio,
            Target::Muen => Protocol::Solo5Muen,
            Target::Xen => Protocol::XenPvh,
        }
    }
}

/// What runs a unikernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The tender `solo5-hvt`, by hardware virtualisation.
    Hvt,
    /// The tender `solo5-spt`, as a process behind a filter of system calls.
    Spt,
    /// A hypervisor with virtio devices.
    Virtio,
    /// The separation kernel Muen.
    Muen,
    /// Xen, or another hypervisor that starts by PVH.
    Xen,
}

/// A device that a unikernel wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its name for it: ASCII letters, digits and what else is printable.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A disk.
    Block,
    /// A network interface.
    Net,
}

/// Reads what `file` says about itself.
///
/// # Errors
/// [`KernelFlaw`] where it is no unikernel for Solo5, or one that no tender runs.
pub fn read(file: &[u8]) -> Result<Image, KernelFlaw> {
    let elf = Elf::read(file)?;
    if !elf.wide {
        return Err(KernelFlaw::Kind {
            actual: "of 32 bits".to_owned(),
            expected: "one of 64",
        });
    }
    let (target, abi_version) = abi(only(&elf, ABI1, "ABI1")?)?;
    let devices = devices(only(&elf, MFT1, "MFT1")?)?;
    Ok(Image {
        target,
        abi_version,
        devices,
    })
}

/// The content of the one note of that kind.
fn only<'a>(elf: &Elf<'a>, kind: u32, name: &'static str) -> Result<&'a [u8], KernelFlaw> {
    let mut notes = elf.notes(OWNER, kind);
    let note = notes.next().ok_or(KernelFlaw::NoNote(name))?;
    match notes.next() {
        None => Ok(note),
        Some(_) => Err(flaw(name, "is there twice".to_owned())),
    }
}

fn abi(note: &[u8]) -> Result<(Target, u32), KernelFlaw> {
    let flaw = |problem| flaw("ABI1", problem);
    let field = |index: usize| u32_at(note, 4 * index);
    let (16, Some(target), Some(version), Some(0), Some(0)) =
        (note.len(), field(0), field(1), field(2), field(3))
    else {
        return Err(flaw("is damaged".to_owned()));
    };
    let target = match target {
        1 => Target::Hvt,
        2 => Target::Spt,
        3 => Target::Virtio,
        4 => Target::Muen,
        6 => Target::Xen,
        other => {
            return Err(flaw(format!(
                "names target {other}, expected hvt (1), spt (2), virtio (3), muen (4) or xen (6)"
            )));
        }
    };
    if version == 0 || version > 1000 {
        return Err(flaw(format!(
            "has version {version} of its target's interface"
        )));
    }
    Ok((target, version))
}

fn devices(note: &[u8]) -> Result<Vec<Device>, KernelFlaw> {
    let flaw = |problem| flaw("MFT1", problem);
    let list = note.strip_prefix(&[0; PADDING]);
    let list = list.ok_or_else(|| flaw("is damaged".to_owned()))?;
    let (Some(version), Some(count)) = (u32_at(list, 0), u32_at(list, 4)) else {
        return Err(flaw("is cut off".to_owned()));
    };
    if version != VERSION {
        return Err(flaw(format!("has version {version}, expected 1")));
    }
    let count = count as usize;
    if !(1..=MOST_ENTRIES).contains(&count) {
        return Err(flaw(format!("has {count} entries, expected 1 to 64")));
    }
    let entries = list.get(HEAD..).unwrap_or_default();
    if entries.len() != count * ENTRY {
        return Err(flaw(format!(
            "has {} bytes for {count} entries, expected {}",
            entries.len(),
            count * ENTRY
        )));
    }
    let mut devices: Vec<Device> = Vec::new();
    for (index, entry) in entries.chunks_exact(ENTRY).enumerate() {
        let (name, kind) = self::entry(entry)
            .ok_or_else(|| flaw(format!("has an entry {index} that is damaged")))?;
        let kind = match (index, kind) {
            (0, RESERVED) if name.is_empty() => continue,
            (1.., 1) if !name.is_empty() => DeviceKind::Block,
            (1.., 2) if !name.is_empty() => DeviceKind::Net,
            _ => {
                return Err(flaw(format!(
                    "has an entry {index} `{name}` of the unknown kind {kind:#x}"
                )));
            }
        };
        if devices.iter().any(|device| device.name == name) {
            return Err(flaw(format!("names the device `{name}` twice")));
        }
        devices.push(Device { name, kind });
    }
    Ok(devices)
}

/// Name and kind of an entry; what a tender fills in must still be zeros.
fn entry(entry: &[u8]) -> Option<(String, u32)> {
    let (name, rest) = entry.split_at_checked(NAME)?;
    let end = name.iter().position(|byte| *byte == 0)?;
    let (name, padding) = name.split_at_checked(end)?;
    let kind = u32_at(rest, 0)?;
    let blank = padding.iter().chain(rest.get(4..)?).all(|byte| *byte == 0);
    let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let name = (blank && name.iter().all(fine)).then(|| String::from_utf8(name.to_vec()));
    Some((name?.ok()?, kind))
}

fn flaw(note: &'static str, problem: String) -> KernelFlaw {
    KernelFlaw::Note { note, problem }
}
