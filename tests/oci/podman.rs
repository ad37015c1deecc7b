//! An image that an independent program made.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;
use lunikernel_builder::assemble::image::{self, Stack};
use lunikernel_builder::assemble::unpack;
use lunikernel_builder::lock::{LockFile, LockedSource};
use lunikernel_builder::source::oci::codec;
use lunikernel_cache::{Cache, NodeKind, Rootfs};
use lunikernel_testing::left_out;
use tar::EntryType;

use super::support::hello::busybox;
use super::support::images::layer;
use super::support::transcript;
use super::{Site, ends};

/// A command of podman with a store of its own.
fn podman(folder: &Path, args: &[&str]) -> std::io::Result<Output> {
    Command::new("podman")
        .current_dir(folder)
        .env("TMPDIR", folder)
        .arg("--root")
        .arg(folder.join("store"))
        .arg("--runroot")
        .arg(folder.join("run"))
        .args(["--storage-driver", "vfs", "--events-backend", "none"])
        .args(args)
        .output()
}

/// Each path with all that is known of it, hard links by the first of their names.
fn described(root: &Rootfs) -> BTreeMap<String, String> {
    let mut groups = BTreeMap::new();
    let each = root.nodes().map(|(path, node)| {
        let mut node = node.clone();
        if let NodeKind::File { link, .. } = &mut node.kind {
            *link = link.take().map(|link| {
                let first = groups.entry(link).or_insert_with(|| path.to_owned());
                first.clone()
            });
        }
        (path.to_owned(), format!("{node:?}"))
    });
    each.collect()
}

#[test]
fn an_image_that_podman_built_unpacks_as_podman_unpacks_it() {
    let test = "oci::podman::an_image_that_podman_built_unpacks_as_podman_unpacks_it";
    let Some(shell) = busybox(test) else { return };
    let site = Site::new("{layout: image.tar}");
    let folder = site.folder.path();
    let base = layer(&[
        (EntryType::Directory, "bin/", 0o755, b""),
        (EntryType::Regular, "bin/busybox", 0o755, &shell),
        (EntryType::Symlink, "bin/sh", 0o777, b"busybox"),
        (EntryType::Directory, "etc/", 0o750, b""),
        (EntryType::Regular, "etc/first", 0o4755, b"one file\n"),
        (EntryType::Link, "etc/second", 0o4755, b"etc/first"),
        (EntryType::Regular, "etc/gone", 0o644, b"gone\n"),
        (EntryType::Directory, "anew/", 0o755, b""),
        (EntryType::Regular, "anew/old", 0o644, b"old\n"),
        (EntryType::Symlink, "turned", 0o777, b"etc"),
    ]);
    fs::write(site.path("base.tar"), base).unwrap();
    fs::write(
        site.path("Containerfile"),
        "FROM scratch\nADD base.tar /\nRUN [\"/bin/sh\", \"-euc\", \"\
         busybox rm /etc/gone; busybox rm -r /anew; busybox mkdir -m 711 /anew; \
         echo new > /anew/new; busybox ln /etc/first /etc/third; \
         busybox chown 5:6 /anew/new; busybox chmod 2640 /anew/new; \
         busybox rm /turned; busybox mkdir /turned; echo x > /turned/x; \
         busybox mkfifo /etc/pipe\"]\nRUN [\"/bin/busybox\", \"rm\", \"/anew/new\"]\n",
    )
    .unwrap();
    let build = "build --isolation chroot --network host --layers -t localhost/made:1 .";
    let built = podman(folder, &build.split(' ').collect::<Vec<_>>());
    let why = match &built {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(transcript(output)),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = why {
        return left_out(test, &format!("podman builds nothing here: {why}"));
    }
    let run = |args: &str| {
        let output = podman(folder, &args.split(' ').collect::<Vec<_>>()).unwrap();
        assert!(output.status.success(), "{args}: {}", transcript(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    run("save --format oci-archive -o image.tar localhost/made:1");
    run("push localhost/made:1 oci:image");
    run("create --name made localhost/made:1 /bin/sh");
    run("export -o root.tar made");

    let cache = Cache::open(&site.path("theirs")).unwrap();
    let exported = cache.blobs().put(&fs::read(site.path("root.tar")).unwrap());
    let theirs = unpack::unpack(cache.blobs(), &exported.unwrap());
    let theirs = described(&theirs.unwrap().unwrap());
    assert!(theirs.contains_key("turned/x"), "{theirs:?}");
    for layout in [
        "{layout: image.tar}",
        "{layout: image.tar, image: \"localhost/made:1\"}",
        "{layout: image}",
    ] {
        site.want(layout);
        ends(&site.run("cache", &["lock"]), 0, &[]);
        ends(&site.run("cache", &["fetch"]), 0, &[]);
        let (lock, _) = LockFile::read(&site.path("recipe.lock")).unwrap();
        let Some(LockedSource::Oci(locked)) = lock.sources.get("app") else {
            panic!("no image in {}", site.lock());
        };
        assert!(locked.layers.len() > 1, "{}", site.lock());
        let cache = Cache::open(&site.path("cache")).unwrap();
        let mut stack = Stack::default();
        for layer in &locked.layers {
            let codec = codec(&layer.media_type).unwrap();
            let layer = image::unpack(cache.blobs(), &layer.digest(), codec).unwrap();
            stack.add(&layer).unwrap();
        }
        let ours = described(&stack.finish());
        for path in ours.keys().chain(theirs.keys()) {
            assert_eq!(ours.get(path), theirs.get(path), "{path}, {layout}");
        }
    }
    let other = "{layout: image.tar, image: \"localhost/other:1\"}";
    site.want(other);
    let told = [
        "has no image `localhost/other:1`",
        "it has `localhost/made:1`",
    ];
    ends(&site.run("cache", &["lock"]), 3, &told);
}
