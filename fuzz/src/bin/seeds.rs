//! Writes those seeds that are made by our own code; run it after a format changed.

use std::path::Path;

use fs_err as fs;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, Tree, reapi};
use lunikernel_fuzz::archives::{
    ar_of, cpio_member, cpio_of, deb_of, gzip_of, inputs_tar_of, module_of, tar_of, zip_of,
};
use prost::Message as _;

/// Writes a seed of a target.
type Seed<'a> = dyn Fn(&str, &str, &[u8]) -> std::io::Result<()> + 'a;

fn main() -> std::io::Result<()> {
    let seed = |target: &str, name: &str, bytes: &[u8]| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };
    let digest = Digest::of(b"content");
    seed("digest", "prefixed", digest.sha256.to_string().as_bytes())?;
    seed("digest", "bare", digest.sha256.hex().as_bytes())?;
    seed(
        "digest",
        "upper",
        digest.sha256.hex().to_uppercase().as_bytes(),
    )?;

    let mut tree = Tree::new();
    let file = |executable| Entry::File { digest, executable };
    let target = "../lib".to_owned();
    for (path, entry) in [
        ("bin/sh", file(true)),
        ("etc/deep/er/motd", file(false)),
        ("lib64", Entry::Symlink { target }),
    ] {
        tree.insert(path, entry).map_err(std::io::Error::other)?;
    }
    seed("tree", "nested", &tree.to_reapi().encode_to_vec())?;
    seed("tree", "empty", &Tree::new().to_reapi().encode_to_vec())?;

    let result = reapi::ActionResult {
        output_files: vec![reapi::OutputFile {
            path: "out".to_owned(),
            digest: Some(digest.to_reapi()),
            is_executable: true,
            ..Default::default()
        }],
        output_directories: vec![reapi::OutputDirectory {
            path: "folder".to_owned(),
            tree_digest: Some(digest.to_reapi()),
            ..Default::default()
        }],
        exit_code: 1,
        stdout_digest: Some(digest.to_reapi()),
        ..Default::default()
    };
    seed("action_cache_entry", "failed", &result.encode_to_vec())?;
    seed("action_cache_entry", "empty", &[])?;
    seed("action_cache_entry", "bad-wire-type", &[0x0f])?;
    archives(&seed)?;
    inputs_tars(&seed)?;
    compared(&seed)?;
    seed(
        "modinfo",
        "good",
        &module_of(b"depends=a,b\0alias=pci:v1*\0softdep=pre: c\0"),
    )?;
    seed("modinfo", "bad-alias", &module_of(b"alias=two words\0"))?;
    seed("modinfo", "bad-depends", &module_of(b"depends=../x\0"))?;
    seed("modinfo", "bad-no-elf", b"depends=a\0alias=b\0")?;
    seed(
        "kernel",
        "good",
        &kernel(0x10, b"6.1.0-1-amd64 (x) #1 SMP\0"),
    )?;
    seed("kernel", "bad-no-end", &kernel(0x10, b"6.1.0"))?;
    seed("kernel", "bad-control", &kernel(0x10, b"6.1\x1b[31m\0"))?;
    seed("kernel", "bad-pointer", &kernel(0xffff, b"6.1.0\0"))
}

/// Tar archives, packages and cpio archives, of which the bad ones try to get out.
fn archives(seed: &Seed<'_>) -> std::io::Result<()> {
    const FILE: u8 = b'0';
    const HARD: u8 = b'1';
    const LINK: u8 = b'2';
    const FOLDER: u8 = b'5';
    let pax = b"29 SCHILY.xattr.user.a=hallo\n";
    let good = tar_of(&[
        (FOLDER, "./", "", b""),
        (FOLDER, "./usr/", "", b""),
        (
            FILE,
            "./usr/share/doc/demo/copyright",
            "",
            b"License: MIT\n",
        ),
        (LINK, "./bin", "usr/bin", b""),
        (b'L', "././@LongLink", "", b"./usr/a-long-name\0"),
        (FILE, "./usr/a", "", b"#!/bin/sh\n"),
        (HARD, "./usr/b", "./usr/a-long-name", b""),
        (b'x', "./PaxHeaders/c", "", pax),
        (FILE, "./usr/c", "", b""),
    ]);
    seed("tar", "good", &good)?;
    seed("deb", "good", &deb_of(&good))?;
    for (name, member) in [
        ("bad-parent", (FILE, "../x", "", &b"x"[..])),
        ("bad-absolute", (FILE, "/x", "", b"x")),
        ("bad-device", (b'3', "./x", "", b"")),
        ("bad-type", (b'Z', "./x", "", b"")),
        ("bad-hard-link", (HARD, "./x", "../../etc/passwd", b"")),
        ("bad-pax", (b'x', "./x", "", b"999 a=b\n")),
        ("bad-folder-with-content", (FOLDER, "./x", "", b"x")),
    ] {
        seed("tar", name, &tar_of(&[member]))?;
    }
    let below = [(LINK, "./a", "/etc", &b""[..]), (FILE, "./a/b", "", b"x")];
    seed("tar", "bad-below-link", &tar_of(&below))?;
    let twice = [(FILE, "./a", "", &b"x"[..]), (FILE, "./a", "", b"y")];
    seed("tar", "bad-twice", &tar_of(&twice))?;
    seed("deb", "bad-below-link", &deb_of(&tar_of(&below)))?;
    let version: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    let data: (&str, &[u8]) = ("data.tar", &good);
    let control = tar_of(&[(FILE, "./control", "", b"Package: a\nVersion: 1\n")]);
    let control: (&str, &[u8]) = ("control.tar", &control);
    seed(
        "deb",
        "bad-no-architecture",
        &ar_of(&[version, control, data]),
    )?;
    seed("deb", "bad-order", &ar_of(&[version, data, control]))?;
    seed(
        "deb",
        "bad-version",
        &ar_of(&[("debian-binary", b"3.0\n"), control, data]),
    )?;
    seed(
        "deb",
        "bad-compression",
        &ar_of(&[version, ("control.tar.xz", &good), data]),
    )?;
    seed("deb", "bad-truncated", &deb_of(&good)[..600])?;

    let member = cpio_member;
    let end = member("TRAILER!!!", 0, b"");
    let folder = member("./a", 0o040_755, b"");
    let file = member("a/b", 0o100_644, b"hello");
    let link = member("c", 0o120_777, b"a/b");
    let root = member(".", 0o040_755, b"");
    let first = [&root[..], &folder, &file, &link, &end].concat();
    seed("cpio", "good", &first)?;
    seed(
        "cpio",
        "good-segments",
        &[&first[..], &[0; 64], &file, &end].concat(),
    )?;
    for (name, bytes) in [
        ("bad-parent", [member("../a", 0o100_644, b"x"), end.clone()]),
        ("bad-absolute", [member("/a", 0o100_644, b"x"), end.clone()]),
        ("bad-mode", [member("a", 0o177_644, b""), end.clone()]),
        ("bad-twice", [file.clone(), file.clone()]),
        ("bad-no-end", [folder, file]),
    ] {
        seed("cpio", name, &bytes.concat())?;
    }
    Ok(())
}

/// Archives of inputs, of which there is only one way to write each.
fn inputs_tars(seed: &Seed<'_>) -> std::io::Result<()> {
    let texts = [("recipe.yaml", &b"name: a\n"[..]), ("recipe.lock", b"")];
    let [low, high] = ["0", "f"].map(|digit| format!("sha256/{}", digit.repeat(64)));
    let with = |more: &[(&str, &[u8])]| inputs_tar_of(&[&texts[..], more].concat());
    let good = with(&[(&low, b"content"), (&high, b"")]);
    seed("inputs_tar", "good", &good)?;
    seed("inputs_tar", "good-without-inputs", &with(&[]))?;
    let mut flipped = good.clone();
    if let Some(byte) = flipped.get_mut(520) {
        *byte = 1;
    }
    for (name, bytes) in [
        ("bad-twice", with(&[(&low, b"a"), (&low, b"a")])),
        ("bad-order", with(&[(&high, b""), (&low, b"a")])),
        ("bad-parent", with(&[("../a", b"")])),
        ("bad-name", with(&[("sha256/0", b"")])),
        ("bad-no-lock", inputs_tar_of(&texts[..1])),
        ("bad-padding", flipped),
        ("bad-cut-off", good.get(..1500).unwrap_or_default().to_vec()),
        ("bad-more", [&good[..], &[0; 512]].concat()),
        ("bad-tar", tar_of(&[(b'0', "recipe.yaml", "", b"")])),
    ] {
        seed("inputs_tar", name, &bytes)?;
    }
    Ok(())
}

/// What is compared: archives in archives, and broken ones that begin as others do.
fn compared(seed: &Seed<'_>) -> std::io::Result<()> {
    const TEXT: &[u8] = b"some text\nof three\nlines\n";
    let inner = gzip_of(&tar_of(&[(b'0', "inner", "", TEXT)]));
    let elf = module_of(b"depends=a,c\0");
    let good = [
        (
            "ar",
            ar_of(&[("/", b"\0\0\0\0"), ("a.o", &elf), ("b.txt", TEXT)]),
        ),
        ("cpio", cpio_of(&[("a/b", TEXT), ("c", &inner)])),
        ("elf", elf.clone()),
        ("gzip", gzip_of(&cpio_of(&[("a", TEXT)]))),
        (
            "tar",
            tar_of(&[(b'0', "a", "", &inner), (b'2', "b", "c", b"")]),
        ),
        ("zip", zip_of(&[("a", &inner), ("b.gz", TEXT)])),
    ];
    for (name, bytes) in good {
        let target = format!("compare_{name}");
        seed(&target, "good", &bytes)?;
        seed(
            &target,
            "bad-cut-off",
            bytes.get(..bytes.len() / 2).unwrap_or_default(),
        )?;
        seed(&target, "bad-text", TEXT)?;
    }
    let long = ar_of(&[
        ("//", b"a-long-name/\n"),
        ("/0", TEXT),
        ("#1/4", b"nameTEXT"),
    ]);
    seed("compare_ar", "good-long-names", &long)?;
    let text = String::from_utf8_lossy(&long).replace("8         `", "9999999999`");
    seed("compare_ar", "bad-size", text.as_bytes())?;
    let pax = b"12 path=x/y\n20 SCHILY.xattr.a=b\n";
    let tar = tar_of(&[(b'x', "pax", "", pax), (b'0', "a", "", TEXT)]);
    seed("compare_tar", "good-pax", &tar)?;
    seed(
        "compare_tar",
        "bad-checksum",
        &[&tar[..600], &[1; 600]].concat(),
    )
}

/// The beginning of a kernel for x86, `pointer` bytes behind 0x200 its version.
fn kernel(pointer: u16, version: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x200];
    bytes.extend_from_slice(b"\0\0HdrS\x0f\x02\0\0\0\0\0\0");
    bytes.extend_from_slice(&pointer.to_le_bytes());
    bytes.extend_from_slice(version);
    bytes
}
