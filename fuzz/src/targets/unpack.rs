//! Packages, archives and what is in them.

use std::io::Read as _;

use lunikernel_builder::assemble::codec::Codec;
use lunikernel_builder::assemble::control::{Control, licences};
use lunikernel_builder::assemble::cpio::CpioReader;
use lunikernel_builder::assemble::deb as package;
use lunikernel_builder::assemble::modules::modinfo::ModInfo;
use lunikernel_builder::assemble::unpack as unpacked;
use lunikernel_builder::inspect::linux_version;
use lunikernel_builder::overlay::{History, Limits, fuzz_paths, read_zip};
use lunikernel_cache::tree::is_name;
use lunikernel_cache::{Digest, NodeKind};

use super::store::{require_sound, scratch_cache};
use crate::archives::{AR_MAGIC, TAR_BLOCK, deb_of};

const AR_HEADER: usize = 60;
/// How much content a codec may give here, so that one input does not take all the time.
const MOST: u64 = 4 << 20;

/// A Debian package. The checksums of tar headers that are not compressed are mended,
/// so that what is behind them is reached.
pub(crate) fn deb(data: &[u8]) -> bool {
    let mut data = data.to_vec();
    for member in ar_members(&data) {
        mend(&mut data[member]);
    }
    accepts(&data)
}

/// A tar archive, as the data of a package whose rest is right.
pub(crate) fn tar(data: &[u8]) -> bool {
    let mut tar = data.to_vec();
    mend(&mut tar);
    accepts(&deb_of(&tar))
}

fn accepts(deb: &[u8]) -> bool {
    let Ok((control, root)) = package::fuzz(deb) else {
        return false;
    };
    require_sound(&root);
    let names: usize = root.nodes().map(|(path, _)| path.len()).sum();
    assert!(names <= 256 << 20, "its names have {names} bytes");
    require_same(&control);
    true
}

fn require_same(control: &Control) {
    let json = serde_json::to_vec(control).expect("what was read can be written");
    let again: Control = serde_json::from_slice(&json).expect("what was written can be read");
    assert_eq!(&again, control);
    for word in [&control.package, &control.version, &control.architecture] {
        assert!(!word.is_empty() && !word.contains(['\n', ' ']));
    }
    // Whatever it answers, it must answer.
    let _ = control.may_replace(control);
}

/// A control file, and a copyright file.
pub(crate) fn control(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    assert!(licences(&text).iter().all(|name| !name.contains('\n')));
    let Ok(control) = Control::parse(&text) else {
        return false;
    };
    require_same(&control);
    true
}

/// Where the contents of an ar archive's members are, as far as it is one.
fn ar_members(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = AR_MAGIC.len();
    while let Some(header) = bytes.get(at..at + AR_HEADER) {
        let size = String::from_utf8_lossy(&header[48..58]);
        let Ok(size) = size.trim_end().parse::<usize>() else {
            break;
        };
        let start = at + AR_HEADER;
        let end = start.saturating_add(size).min(bytes.len());
        found.push(start..end);
        at = end + size % 2;
    }
    found
}

/// Puts right checksums into a tar archive's headers, as far as it is one.
fn mend(tar: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = tar.get_mut(at..at + TAR_BLOCK) {
        let looks_like_one = block.starts_with(b"./") || block[257..].starts_with(b"ustar");
        if !looks_like_one {
            return;
        }
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().unwrap_or(0).min(1 << 30) as usize;
        at += TAR_BLOCK + size.next_multiple_of(TAR_BLOCK);
    }
}

/// cpio archives: every member's content is where its header says, and is what it says.
pub(crate) fn cpio(data: &[u8]) -> bool {
    let mut reader = CpioReader::new(data, 1 << 24);
    let mut end = 0;
    loop {
        let Ok(member) = reader.next_member() else {
            return false;
        };
        let Some(member) = member else {
            return true;
        };
        let header = &member.header;
        let path = &header.path;
        assert!(
            path.is_empty() || path.split('/').all(is_name),
            "{path:?} leaves the root"
        );
        assert!(header.offset >= end && header.content_offset > header.offset);
        let start = header.content_offset as usize;
        end = header.content_offset + u64::from(header.size);
        let content = &data[start..end as usize];
        assert_eq!(Digest::of(content), member.content);
        if let Some(target) = member.target {
            assert_eq!(target.as_bytes(), content);
        }
    }
}

/// An initramfs as the kernel reads it: archives that follow each other.
pub(crate) fn initramfs(data: &[u8]) -> bool {
    unpacks(data)
}

/// A squashfs image.
pub(crate) fn squashfs(data: &[u8]) -> bool {
    unpacks(data)
}

/// An ISO 9660 image.
pub(crate) fn iso(data: &[u8]) -> bool {
    unpacks(data)
}

/// Whether it is an archive of any kind; what is in it stays below the root.
fn unpacks(data: &[u8]) -> bool {
    let Ok(Some(root)) = unpacked::fuzz(data) else {
        return false;
    };
    require_sound(&root);
    true
}

/// An overlay as a zip from any tool: what is read stays below the root, and is there.
pub(crate) fn overlay(data: &[u8]) -> bool {
    let limits = Limits {
        size: MOST,
        ratio: 200,
    };
    let blobs = scratch_cache().blobs();
    let Ok(content) = read_zip(data, "fuzzed", &limits, blobs) else {
        return false;
    };
    require_sound(content.root());
    let mut unpacked = 0;
    for (path, node) in content.root().nodes() {
        assert!(!path.is_empty() && path != "TRAILER!!!");
        if let NodeKind::File { content, .. } = &node.kind {
            assert!(blobs.contains(content), "the content of {path:?} is lost");
            unpacked += content.size;
        }
    }
    assert!(unpacked <= MOST, "{unpacked} bytes");
    for path in content.removed() {
        assert!(path.split('/').all(is_name), "{path:?} leaves the root");
    }
    true
}

/// What a zip says was laid over it: an accepted one is its own canonical form.
pub(crate) fn overlay_history(data: &[u8]) -> bool {
    let Some(history) = History::parse(data) else {
        return false;
    };
    let json = serde_json::to_vec(&history).expect("what was read can be written");
    let again: History = serde_json::from_slice(&json).expect("what was written can be read");
    assert_eq!(again, history);
    true
}

/// What a zip says are the paths of its initramfs.
pub(crate) fn overlay_paths(data: &[u8]) -> bool {
    fuzz_paths(data)
}

/// A kernel module: as an ELF file, and as the section itself.
pub(crate) fn modinfo(data: &[u8]) -> bool {
    let parsed = ModInfo::parse(data);
    for info in [&parsed, &ModInfo::fields(data)].into_iter().flatten() {
        // These go into index files of one line each.
        let words = info.depends.iter().chain(&info.aliases);
        for word in words {
            assert!(!word.contains(char::is_whitespace), "{word:?}");
        }
        for line in &info.softdeps {
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
    parsed.is_ok()
}

/// A Linux kernel's header.
pub(crate) fn kernel(data: &[u8]) -> bool {
    let Some(version) = linux_version(data) else {
        return false;
    };
    assert!((1..=256).contains(&version.len()));
    assert!(version.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    true
}

/// Compressed bytes, the first of which says how: what comes out does not depend on how
/// it is read.
pub(crate) fn codec(data: &[u8]) -> bool {
    let Some((codec, data)) = data.split_first() else {
        return false;
    };
    let codecs = [
        Codec::Gzip,
        Codec::Xz,
        Codec::Zstd,
        Codec::Bzip2,
        Codec::Plain,
    ];
    let codec = codecs[usize::from(codec.wrapping_sub(b'0')) % codecs.len()];
    let mut whole = Vec::new();
    let outcome = codec.reader(data).take(MOST).read_to_end(&mut whole);
    let mut pieces = Vec::new();
    let mut reader = codec.reader(data).take(MOST);
    let mut piece = [0; 97];
    let again = loop {
        match reader.read(&mut piece) {
            Ok(0) => break Ok(()),
            Ok(count) => pieces.extend_from_slice(&piece[..count]),
            Err(error) => break Err(error),
        }
    };
    assert_eq!(outcome.is_ok(), again.is_ok(), "{outcome:?} {again:?}");
    if outcome.is_ok() {
        assert!(whole == pieces, "read differently");
    }
    outcome.is_ok()
}

/// An archive of inputs: what is accepted has nothing in it but its entries, in order.
pub(crate) fn inputs_tar(data: &[u8]) -> bool {
    let length = data.len() as u64;
    let name = std::path::Path::new("fuzzed");
    let mut file = std::io::Cursor::new(data);
    let Ok((texts, blobs)) = lunikernel_builder::inputs_tar::index(&mut file, length, name) else {
        return false;
    };
    let mut end = 0;
    for span in texts.iter().chain(blobs.values()) {
        if blobs.values().any(|other| other == span) || texts.contains(span) {
            assert!(
                span.offset % 512 == 0,
                "an entry is not where a block begins"
            );
        }
        end += 512 + span.size.next_multiple_of(512);
    }
    assert_eq!(end + 1024, length, "there is something beside the entries");
    true
}

/// Manifests, indexes and configurations of container images.
pub(crate) fn oci(data: &[u8]) -> bool {
    lunikernel_builder::source::oci::fuzz(data).is_ok()
}
