//! Container images that tests make, the same bytes every time.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use fs_err as fs;
use lunikernel_cache::Sha256;
use tar::{EntryType, Header};

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// One layer's members: type, path, mode, and content or target.
pub(crate) type Members<'a> = &'a [(EntryType, &'a str, u32, &'a [u8])];

pub(crate) fn layer(members: Members<'_>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, mode, content) in members {
        let mut header = Header::new_gnu();
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_700_000_000);
        header.set_mode(*mode);
        header.set_entry_type(*kind);
        let is_link = matches!(kind, EntryType::Link | EntryType::Symlink);
        if is_link {
            let target = str::from_utf8(content).unwrap();
            header.set_link_name(target).unwrap();
        }
        let content: &[u8] = if is_link { b"" } else { content };
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// An image's parts by the hex of their SHA-256, and its index.
#[derive(Clone, Default)]
pub(crate) struct Image {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) index: Vec<u8>,
    pub(crate) manifest: String,
    pub(crate) config: String,
}

impl Image {
    /// Two layers over each other; `word` tells images apart.
    pub(crate) fn new(shell: &[u8], word: &str, architecture: &str) -> Self {
        let below = layer(&[
            (EntryType::Directory, "bin/", 0o755, b""),
            (EntryType::Regular, "bin/busybox", 0o755, shell),
            (EntryType::Symlink, "bin/sh", 0o777, b"busybox"),
            (EntryType::Directory, "etc/", 0o750, b""),
            (EntryType::Regular, "etc/word", 0o644, b"below\n"),
            (EntryType::Regular, "etc/gone", 0o644, b"gone\n"),
            (EntryType::Regular, "etc/first", 0o4755, b"one file\n"),
        ]);
        let above = layer(&[
            (EntryType::Regular, "etc/.wh.gone", 0o644, b""),
            (EntryType::Regular, "etc/word", 0o600, word.as_bytes()),
            (EntryType::Link, "etc/second", 0o644, b"etc/first"),
        ]);
        let mut image = Self::default();
        let ids: Vec<String> = [&below, &above]
            .map(|tar| Sha256::of(tar).to_string())
            .into();
        let packed = image.put(gzip(&below), &format!("{LAYER}+gzip"));
        let plain = image.put(above, LAYER);
        let config = format!(
            "{{\"architecture\":\"{architecture}\",\"os\":\"linux\",\"config\":{{}},\
             \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{}\",\"{}\"]}}}}",
            ids[0], ids[1]
        );
        image.config = Sha256::of(config.as_bytes()).hex();
        let config = image.put(config.into_bytes(), CONFIG);
        let manifest = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{config},\
             \"layers\":[{packed},{plain}]}}"
        );
        image.manifest = Sha256::of(manifest.as_bytes()).hex();
        let own = image.put(manifest.into_bytes(), MANIFEST);
        let other = format!(
            "{{\"mediaType\":\"{MANIFEST}\",\"digest\":\"{}\",\"size\":2,\
             \"platform\":{{\"architecture\":\"arm64\",\"os\":\"linux\"}}}}",
            Sha256::of(b"{}")
        );
        let own = own.replace(
            "\"size\"",
            &format!(
                "\"platform\":{{\"architecture\":\"{architecture}\",\"os\":\"linux\"}},\"size\""
            ),
        );
        image.index = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[{other},{own}]}}"
        )
        .into_bytes();
        image
    }

    /// Keeps a part and describes it.
    pub(crate) fn put(&mut self, bytes: Vec<u8>, media_type: &str) -> String {
        let (sha256, size) = (Sha256::of(&bytes), bytes.len());
        self.blobs.insert(sha256.hex(), bytes);
        format!("{{\"mediaType\":\"{media_type}\",\"digest\":\"{sha256}\",\"size\":{size}}}")
    }

    /// Writes it as a layout.
    pub(crate) fn lay(&self, folder: &Path) {
        fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        fs::write(
            folder.join("oci-layout"),
            "{\"imageLayoutVersion\":\"1.0.0\"}",
        )
        .unwrap();
        fs::write(folder.join("index.json"), &self.index).unwrap();
        for (hex, bytes) in &self.blobs {
            fs::write(folder.join("blobs/sha256").join(hex), bytes).unwrap();
        }
    }
}
