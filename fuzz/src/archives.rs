//! Archives as honest tools make them, around content of any kind.

use std::io::Write as _;

pub(crate) const AR_MAGIC: &[u8] = b"!<arch>\n";
pub(crate) const TAR_BLOCK: usize = 512;

/// A package with this data.
#[must_use]
pub fn deb_of(data: &[u8]) -> Vec<u8> {
    let text = b"Package: demo\nVersion: 1.0-1\nArchitecture: all\n";
    let control = tar_of(&[(b'0', "./control", "", text)]);
    ar_of(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control),
        ("data.tar", data),
    ])
}

/// An ar archive of these members.
#[must_use]
pub fn ar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = AR_MAGIC.to_vec();
    for (name, content) in members {
        let size = content.len();
        writeln!(
            bytes,
            "{name:<16}0           0     0     100644  {size:<10}`"
        )
        .expect("a vector takes everything");
        bytes.extend_from_slice(content);
        bytes.extend((size % 2 == 1).then_some(b'\n'));
    }
    bytes
}

/// A tar archive of these members: type, name, target, content.
#[must_use]
pub fn tar_of(members: &[(u8, &str, &str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, target, content) in members {
        let mut header = tar::Header::new_gnu();
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(TAR_BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * TAR_BLOCK, 0);
    bytes
}

/// A cpio archive of these files.
#[must_use]
pub fn cpio_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let members = files
        .iter()
        .map(|(name, content)| cpio_member(name, 0o100_644, content));
    let end = cpio_member("TRAILER!!!", 0, b"");
    members.chain([end]).collect::<Vec<_>>().concat()
}

/// A member of a cpio archive.
#[must_use]
pub fn cpio_member(name: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = b"070701".to_vec();
    let (size, name_size) = (content.len() as u32, name.len() as u32 + 1);
    for field in [1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
        bytes.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A gzip of this content, in one block that is not compressed.
#[must_use]
pub fn gzip_of(content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    bytes.extend(stored(content));
    bytes.extend(crc32fast::hash(content).to_le_bytes());
    bytes.extend((content.len() as u32).to_le_bytes());
    bytes
}

/// One block of deflate that is not compressed (RFC 1951, 3.2.4).
fn stored(content: &[u8]) -> Vec<u8> {
    let size = content.len() as u16;
    let mut bytes = vec![1];
    bytes.extend(size.to_le_bytes());
    bytes.extend((!size).to_le_bytes());
    bytes.extend(content);
    bytes
}

/// A zip of these files, each deflated in one block that is not compressed.
#[must_use]
pub fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let packed = stored(content);
        let offset = bytes.len() as u32;
        let mut header = Vec::new();
        for field in [20u16, 0, 8, 0, 33] {
            header.extend(field.to_le_bytes());
        }
        let sizes = [packed.len() as u32, content.len() as u32];
        for field in [crc32fast::hash(content), sizes[0], sizes[1]] {
            header.extend(field.to_le_bytes());
        }
        header.extend((name.len() as u16).to_le_bytes());
        header.extend(0u16.to_le_bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&header);
        bytes.extend(name.bytes());
        bytes.extend(packed);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(header);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.bytes());
    }
    let (offset, size) = (bytes.len() as u32, directory.len() as u32);
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    let count = files.len() as u16;
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend(size.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend(0u16.to_le_bytes());
    bytes
}

/// An ELF file of 64 bits with a section `.modinfo`.
#[must_use]
pub fn module_of(modinfo: &[u8]) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    let sections = 64 + modinfo.len() + names.len();
    for (number, width) in [
        (1, 2),
        (62, 2),
        (1, 4),
        (0, 8),
        (0, 8),
        (sections, 8),
        (0, 4),
        (64, 2),
        (0, 2),
        (0, 2),
        (64, 2),
        (3, 2),
        (2, 2),
    ] {
        bytes.extend_from_slice(&(number as u64).to_le_bytes()[..width]);
    }
    bytes.extend_from_slice(modinfo);
    bytes.extend_from_slice(names);
    let mut section = |name: u32, kind: u32, offset: usize, size: usize| {
        bytes.extend_from_slice(&name.to_le_bytes());
        bytes.extend_from_slice(&kind.to_le_bytes());
        for number in [0, 0, offset, size, 0, 1, 0] {
            bytes.extend_from_slice(&(number as u64).to_le_bytes());
        }
    };
    section(0, 0, 0, 0);
    section(1, 1, 64, modinfo.len());
    section(10, 3, 64 + modinfo.len(), names.len());
    bytes
}

/// An archive of inputs with these entries, as they are, whether it may have them or not.
#[must_use]
pub fn inputs_tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in entries {
        let mut header = tar::Header::new_ustar();
        // The library refuses what leads out of the folder, which is wanted here.
        let field = &mut header.as_old_mut().name;
        for (to, from) in field.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(315_532_800);
        header.set_size(content.len() as u64);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}
