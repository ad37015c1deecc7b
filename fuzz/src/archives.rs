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
