//! Container images as sources: from a registry of the test's own, from layouts on disk,
//! and made by podman.

#[path = "oci/podman.rs"]
mod podman;
#[path = "oci/registry.rs"]
mod registry;
mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use fs_err as fs;
use lunikernel_builder::assemble::deb::unpack_deb;
use lunikernel_cache::{Cache, NodeKind, Sha256};
use registry::Registry;
use support::hello::{self, luni};
use support::server::Server;
use support::{ends, root_of};
use tar::{EntryType, Header};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// One layer's members: type, path, mode, and content or target.
type Members<'a> = &'a [(EntryType, &'a str, u32, &'a [u8])];

fn layer(members: Members<'_>) -> Vec<u8> {
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

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// An image's parts by the hex of their SHA-256, and its index.
#[derive(Clone, Default)]
struct Image {
    blobs: BTreeMap<String, Vec<u8>>,
    index: Vec<u8>,
    manifest: String,
    config: String,
}

impl Image {
    /// Two layers over each other; `word` tells images apart.
    fn new(shell: &[u8], word: &str, architecture: &str) -> Self {
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
    fn put(&mut self, bytes: Vec<u8>, media_type: &str) -> String {
        let (sha256, size) = (Sha256::of(&bytes), bytes.len());
        self.blobs.insert(sha256.hex(), bytes);
        format!("{{\"mediaType\":\"{media_type}\",\"digest\":\"{sha256}\",\"size\":{size}}}")
    }

    /// Writes it as a layout.
    fn lay(&self, folder: &Path) {
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

/// A recipe in a folder of its own.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    /// `oci` is the source.
    fn new(oci: &str) -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(site.path("linux/boot")).unwrap();
        fs::write(site.path("linux/boot/vmlinuz-1.0"), "no kernel at all\n").unwrap();
        site.want(oci);
        site
    }

    fn want(&self, oci: &str) {
        let recipe = format!(
            "apiVersion: lunikernel/v1\nname: demo\nversion: 1.0.0\nflavour: debian\nsources:\n\
             \x20 app:\n    oci: {oci}\n  linux: {{file: linux}}\n\
             steps:\n  - name: made\n    root: [app]\n    outputs: [out]\n    run: |\n\
             \x20     cat /etc/word /etc/second > out\n      ls /etc >> out\n\
             rootfs:\n  from: [app]\n  files:\n    /made:\n      from: made/out\n\
             kernel: {{from: linux, modules: []}}\n"
        );
        fs::write(self.path("recipe.yaml"), recipe).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, cache: &str, args: &[&str]) -> Output {
        luni(&self.path(cache))
            .current_dir(self.folder.path())
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY")
            .args(args)
            .output()
            .unwrap()
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.path("recipe.lock")).unwrap()
    }
}

/// The static busybox of Debian; `None` where this machine cannot get it.
fn busybox(test: &str) -> Option<Vec<u8>> {
    let mirror = hello::mirror(test)?;
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let lock = fs::read_to_string(hello::recipe().join("recipe.lock")).unwrap();
    let (_, package) = lock.split_once("- name: busybox-static").unwrap();
    let (_, hex) = package.split_once("sha256: sha256:").unwrap();
    let mirror = mirror.trim_start_matches("file://").replace("%20", " ");
    let bytes = fs::read(Path::new(&mirror).join("sha256").join(&hex[..64])).unwrap();
    let digest = cache.blobs().put(&bytes).unwrap();
    let package = unpack_deb(cache.blobs(), &digest, None).unwrap();
    let found = package
        .root
        .nodes()
        .find(|(path, _)| path.ends_with("bin/busybox"));
    let NodeKind::File { content, .. } = &found.unwrap().1.kind else {
        panic!("busybox is no file");
    };
    Some(cache.blobs().read(content).unwrap())
}

#[test]
fn a_tag_is_pinned_to_a_digest_and_stays_until_it_is_told_to_move() {
    let first = Image::new(b"no shell\n", "first\n", "amd64");
    let registry = Registry::new(first.clone());
    let image = format!("{{image: \"{}/team/app:1.0\"}}", registry.host());
    let site = Site::new(&image);
    ends(&site.run("cache", &["lock"]), 0, &[]);
    let lock = site.lock();
    for hex in [&first.manifest, &first.config] {
        assert!(lock.contains(hex.as_str()), "no {hex} in {lock}");
    }
    // Manifest and configuration are there already, the layers are not.
    ends(&site.run("cache", &["fetch"]), 0, &["2 fetched now"]);
    ends(&site.run("fresh", &["fetch"]), 0, &["4 fetched now"]);
    let mirror = site.path("mirror");
    let mirror = mirror.to_str().unwrap();
    ends(
        &site.run("cache", &["cache", "push", mirror]),
        0,
        &["4 files pushed"],
    );

    let second = Image::new(b"no shell\n", "second\n", "amd64");
    *registry.image.lock().unwrap() = second.clone();
    ends(&site.run("cache", &["lock"]), 0, &[]);
    assert_eq!(site.lock(), lock);
    ends(
        &site.run("cache", &["lock", "--update", "app"]),
        0,
        &["app: "],
    );
    assert!(site.lock().contains(&second.manifest), "{}", site.lock());
    fs::write(site.path("recipe.lock"), lock).unwrap();
    // What the tag named before is gone from the registry, and a mirror still has it.
    ends(&site.run("later", &["fetch"]), 5, &["(layer 2)"]);
    let url = format!("file://{mirror}");
    let asked = registry.server.asked().len();
    ends(
        &site.run("later", &["--offline", "--mirror", &url, "fetch"]),
        0,
        &["3 fetched now"],
    );
    assert_eq!(registry.server.asked().len(), asked);

    // A digest can be named, with a tag that then says nothing.
    for tag in ["", ":nothing"] {
        let (host, hex) = (registry.host(), &second.manifest);
        site.want(&format!("{{image: \"{host}/team/app{tag}@sha256:{hex}\"}}"));
        ends(&site.run("named", &["lock"]), 0, &[]);
        assert!(site.lock().contains(hex.as_str()));
    }
}

#[test]
fn what_a_registry_lacks_or_lies_about_is_said() {
    let honest = Image::new(b"no shell\n", "word\n", "amd64");
    let registry = Registry::new(honest.clone());
    let host = registry.host();
    let site = Site::new(&format!("{{image: \"{host}/team/app:2.0\"}}"));
    let lock = || site.run("cache", &["lock"]);
    ends(&lock(), 3, &["has no image", "team/app:2.0", "hint: "]);
    site.want(&format!("{{image: \"{host}/team/app:1.0\"}}"));

    let foreign = Image::new(b"no shell\n", "word\n", "riscv64");
    *registry.image.lock().unwrap() = foreign;
    let told = [
        "0 images in",
        "are for linux/amd64",
        "linux/arm64, linux/riscv64",
    ];
    ends(&lock(), 3, &told);

    // The index names the manifest with another size, or other bytes come for it.
    let mut liar = honest.clone();
    let size = honest.blobs[&honest.manifest].len();
    let index = String::from_utf8(liar.index).unwrap();
    liar.index = index
        .replace(
            &format!("\"size\":{size}"),
            &format!("\"size\":{}", size + 1),
        )
        .into_bytes();
    *registry.image.lock().unwrap() = liar;
    ends(&lock(), 5, &[&format!("{} were expected", size + 1)]);
    let mut liar = honest.clone();
    liar.blobs.get_mut(&honest.manifest).unwrap()[0] = b' ';
    *registry.image.lock().unwrap() = liar;
    ends(&lock(), 5, &["it has other bytes"]);
    let mut liar = honest.clone();
    liar.blobs.get_mut(&honest.config).unwrap()[1] = b' ';
    *registry.image.lock().unwrap() = liar;
    ends(&lock(), 5, &["it has other bytes"]);
    assert!(!site.path("recipe.lock").exists());

    // A server of tokens that is not who it should be is not asked.
    let greedy = Server::start(|_, stream| {
        write!(
            stream,
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"http://t.invalid/\"\
             \r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
    });
    let host = greedy.url().replace("http://", "");
    site.want(&format!("{{image: \"{host}/team/app:1.0\"}}"));
    ends(
        &lock(),
        5,
        &["wants a token of `http://t.invalid/`, which is not `https:`"],
    );
    site.want("{image: \"app:1.0\"}");
    ends(
        &site.run("cache", &["check"]),
        3,
        &["does not begin with the host"],
    );
}

#[test]
fn a_layout_is_a_root_for_steps_and_for_the_system_and_verifies() {
    let test = "oci::a_layout_is_a_root_for_steps_and_for_the_system_and_verifies";
    let Some(shell) = busybox(test) else { return };
    let image = Image::new(&shell, "above\n", "amd64");
    let site = Site::new("{layout: image}");
    image.lay(&site.path("image"));
    ends(&site.run("cache", &["lock"]), 0, &[]);
    ends(&site.run("cache", &["build", "-o", "a.luni.zip"]), 0, &[]);
    let root = root_of(&site.path("a.luni.zip"));
    let node = |path: &str| root.get(path).unwrap_or_else(|| panic!("no {path}"));
    let first = node("etc/first");
    assert_eq!((first.mode, first.uid, first.gid), (0o4755, 7, 8));
    let (NodeKind::File { link: one, .. }, NodeKind::File { link: two, .. }) =
        (&first.kind, &node("etc/second").kind)
    else {
        panic!("no files");
    };
    assert!(one.is_some() && one == two, "{one:?}, {two:?}");
    assert!(root.get("etc/gone").is_none());
    assert_eq!(node("etc/word").mode, 0o600);
    assert_eq!(node("etc").mode, 0o750);
    let NodeKind::File { content, .. } = &node("made").kind else {
        panic!("no file");
    };
    let expected = "above\none file\nfirst\nsecond\nword\n";
    assert_eq!(content.sha256, Sha256::of(expected.as_bytes()));
    ends(
        &site.run("cache", &["verify-reproducibility"]),
        0,
        &["GOOD"],
    );

    // As one file, and under a name, it is the same image.
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all(".", site.path("image")).unwrap();
    fs::write(site.path("image.tar"), archive.into_inner().unwrap()).unwrap();
    let lock = site.lock();
    site.want("{layout: image.tar}");
    ends(&site.run("packed", &["lock"]), 0, &[]);
    assert_eq!(
        site.lock().replace("image.tar", "image"),
        lock,
        "another image"
    );
    ends(&site.run("packed", &["fetch"]), 0, &[]);
    fs::remove_file(site.path("image.tar")).unwrap();
    ends(
        &site.run("packed", &["--offline", "build", "-o", "b.luni.zip"]),
        0,
        &[],
    );
    ends(&site.run("empty", &["fetch"]), 5, &["image.tar (layer 1)"]);

    // A layer that is not what the configuration says is refused.
    let mut liar = image.clone();
    let config = String::from_utf8(liar.blobs[&image.config].clone()).unwrap();
    let at = config.rfind("sha256:").unwrap() + "sha256:".len();
    let mut other = config.clone();
    other.replace_range(at..at + 64, &"0".repeat(64));
    let (from, to) = (&image.config, Sha256::of(other.as_bytes()).hex());
    liar.blobs.insert(to.clone(), other.into_bytes());
    let manifest = String::from_utf8(liar.blobs[&image.manifest].clone()).unwrap();
    let manifest = manifest.replace(from, &to);
    let old = std::mem::replace(&mut liar.manifest, Sha256::of(manifest.as_bytes()).hex());
    liar.blobs
        .insert(liar.manifest.clone(), manifest.into_bytes());
    let index = String::from_utf8(liar.index).unwrap();
    liar.index = index.replace(&old, &liar.manifest).into_bytes();
    liar.lay(&site.path("liar"));
    site.want("{layout: liar}");
    ends(&site.run("packed", &["lock"]), 0, &[]);
    let told = ["layer 2 unpacks to other bytes", "sha256:00000000"];
    ends(
        &site.run("packed", &["build", "-o", "c.luni.zip"]),
        1,
        &told,
    );
}
