//! Container images as sources: from a registry of the test's own, from layouts on disk,
//! and made by podman.

#[path = "oci/podman.rs"]
mod podman;
#[path = "oci/registry.rs"]
mod registry;
mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Output;

use fs_err as fs;
use lunikernel_cache::{NodeKind, Sha256};
use registry::Registry;
use support::hello::{busybox, luni};
use support::images::{INDEX, Image, MANIFEST};
use support::server::Server;
use support::{ends, root_of, varied};

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
    let verified = site.run("cache", &["verify-reproducibility", "--json"]);
    ends(&verified, 0, &[]);
    let report = serde_json::from_slice(&verified.stdout).unwrap();
    varied::all_but(test, &report, &varied::SANDBOX_AND_LOCALE);

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
        3,
        &told,
    );
}

#[test]
fn a_layout_tells_its_images_apart_by_name_and_digest() {
    let mut image = Image::new(b"no shell\n", "word\n", "amd64");
    let (hex, size) = (image.manifest.clone(), image.blobs[&image.manifest].len());
    let named = |name: &str| {
        format!(
            "{{\"mediaType\":\"{MANIFEST}\",\"digest\":\"sha256:{hex}\",\"size\":{size},\
             \"platform\":{{\"architecture\":\"amd64\",\"os\":\"linux\"}},\
             \"annotations\":{{\"org.opencontainers.image.ref.name\":\"{name}\"}}}}"
        )
    };
    let index = |entries: &str| {
        format!("{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[{entries}]}}")
    };
    // One image that has two names.
    let both = format!("{},{}", named("v1"), named("latest"));
    let inner = image.index.clone();
    image.index = index(&both).into_bytes();
    let site = Site::new(&format!("{{layout: lay, image: \"sha256:{hex}\"}}"));
    image.lay(&site.path("lay"));
    ends(&site.run("cache", &["lock"]), 0, &[]);
    site.want("{layout: lay}");
    ends(&site.run("cache", &["lock"]), 0, &[]);
    site.want("{layout: lay, image: v2}");
    let told = [
        "`lay` has no image `v2`; it has `v1`, `latest`",
        "hint: name one",
    ];
    ends(&site.run("cache", &["lock"]), 3, &told);

    // An image in an index that has a name, by its digest.
    let nested = image.put(inner, INDEX);
    let nested = nested.replace(
        "\"size\"",
        "\"annotations\":{\"org.opencontainers.image.ref.name\":\"all\"},\"size\"",
    );
    image.index = index(&nested).into_bytes();
    image.lay(&site.path("nested"));
    site.want(&format!("{{layout: nested, image: \"sha256:{hex}\"}}"));
    ends(&site.run("fresh", &["lock"]), 0, &[]);
    assert!(site.lock().contains(&hex), "{}", site.lock());
    let none = "0".repeat(64);
    site.want(&format!("{{layout: nested, image: \"sha256:{none}\"}}"));
    let told = [format!(
        "`nested` has no image `sha256:{none}`; it has `all`"
    )];
    ends(&site.run("fresh", &["lock"]), 3, &[&told[0]]);
}

#[test]
fn what_is_wrong_with_a_layer_of_a_layout_is_part_of_the_error() {
    let image = Image::new(b"no shell\n", "word\n", "amd64");
    let site = Site::new("{layout: lay}");
    image.lay(&site.path("lay"));
    ends(&site.run("cache", &["lock"]), 0, &[]);
    let manifest = String::from_utf8(image.blobs[&image.manifest].clone()).unwrap();
    let layer = image.blobs.keys();
    let mut layers = layer.filter(|hex| **hex != image.config && manifest.contains(hex.as_str()));
    let blob = site.path("lay/blobs/sha256").join(layers.next().unwrap());
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    let told = [
        "(layer ",
        "the layout `lay`: it has other bytes: sha256:",
        "hint: a place now",
    ];
    ends(&site.run("cache", &["-q", "build"]), 5, &told);
    let output = site.run("cache", &["--json", "build"]);
    ends(
        &output,
        5,
        &["the layout `lay`: it has other bytes: sha256:"],
    );
    fs::write(&blob, b"short").unwrap();
    ends(
        &site.run("cache", &["-q", "fetch"]),
        5,
        &["it has 5 bytes or more"],
    );
    fs::remove_file(&blob).unwrap();
    ends(
        &site.run("cache", &["-q", "fetch"]),
        5,
        &["the layout `lay`: it is not there"],
    );
}
