//! The specification's proof: two implementations that share no code agree on every
//! byte of a good zip, and both refuse every bad one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use lunikernel_cache::artefact::{
    Artefact, Boot, Devices, EntrySource, Format, Input, Manifest, Overlay, Protocol, seal,
};
use lunikernel_cache::{Cache, Digest, Sha256, Silent};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/format")
}

/// The same contents as in `make_bad.py`.
fn contents() -> Vec<(&'static str, Vec<u8>)> {
    let text = b"an initramfs, likewise\n";
    let length = text.len() as u16;
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    gzip.extend(length.to_le_bytes());
    gzip.extend((!length).to_le_bytes());
    gzip.extend(text);
    gzip.extend(crc32fast::hash(text).to_le_bytes());
    gzip.extend(u32::from(length).to_le_bytes());
    vec![
        ("recipe.yaml", b"name: sample\n".to_vec()),
        ("recipe.lock", b"{}\n".to_vec()),
        ("kernel", b"a kernel, as far as a zip can tell\n".to_vec()),
        ("initramfs.gz", gzip),
        ("files/run.sh", b"#!/bin/sh\n".to_vec()),
        ("files/etc/motd", "Grüße\n".into()),
        ("empty", Vec::new()),
    ]
}

fn manifest() -> Manifest {
    let input = |kind: &str, name: &str, content: &[u8]| Input {
        kind: kind.to_owned(),
        name: name.to_owned(),
        version: None,
        sha256: Sha256::of(content),
        size: content.len() as u64,
        licence: None,
    };
    Manifest {
        format: Format::V1,
        name: "sample".to_owned(),
        version: "1.0".to_owned(),
        flavour: "debian".to_owned(),
        arch: "x86_64".to_owned(),
        boot: Boot {
            protocol: Protocol::Linux,
            cmdline: "console=ttyS0".to_owned(),
            min_memory_mib: 64,
        },
        devices: Devices {
            net: true,
            block: false,
        },
        overlay: Overlay::Initramfs {},
        entries: Default::default(),
        recipe: Some(Digest::of(b"name: sample\n")),
        lock: Some(Digest::of(b"{}\n")),
        inputs: vec![
            Input {
                version: Some("1:1.35.0-4".to_owned()),
                licence: Some("GPL-2.0-only".to_owned()),
                ..input("deb", "busybox", b"b")
            },
            input("file", "Grüße", b"g"),
        ],
    }
}

/// Seals the sample and returns the zip's bytes.
fn sealed() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let sources: Vec<EntrySource> = contents()
        .into_iter()
        .map(|(name, content)| {
            let digest = cache.blobs().put(&content).unwrap();
            let source = EntrySource::of_blob(cache.blobs(), name, digest).unwrap();
            if name == "files/run.sh" {
                source.executable()
            } else {
                source
            }
        })
        .collect();
    let sealed = seal(cache.blobs(), manifest(), &sources, &Silent).unwrap();
    let bytes = cache.blobs().read(&sealed.digest).unwrap();
    assert_eq!(Digest::of(&bytes), sealed.digest);
    bytes
}

fn second(arguments: &[&Path]) -> Output {
    Command::new("python3")
        .arg(folder().join("second_reader.py"))
        .args(arguments)
        .output()
        .expect("python3 is needed for the second implementation")
}

#[test]
fn both_write_the_same_bytes() {
    assert!(sealed() == fs::read(folder().join("good.zip")).unwrap());
}

#[test]
fn both_read_what_the_other_wrote() {
    let temp = tempfile::tempdir().unwrap();
    let ours = temp.path().join("ours.zip");
    let theirs = temp.path().join("theirs.zip");
    fs::write(&ours, sealed()).unwrap();

    let artefact = Artefact::open(&ours).unwrap();
    let checked = artefact.check(&Silent).unwrap();
    assert_eq!(checked.entries, contents().len() + 1);
    let expected = artefact.manifest().clone();

    let output = second(&[Path::new("check"), &ours]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim(), checked.digest.sha256.to_string());

    let output = second(&[Path::new("rebuild"), &ours, &theirs]);
    assert!(output.status.success());
    assert!(fs::read(&ours).unwrap() == fs::read(&theirs).unwrap());
    let again = Artefact::open(&theirs).unwrap();
    assert_eq!(again.check(&Silent).unwrap(), checked);
    assert_eq!(*again.manifest(), expected);
}

#[test]
fn other_zip_programs_read_it() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("ours.zip");
    fs::write(&path, sealed()).unwrap();
    let python = Command::new("python3")
        .args(["-m", "zipfile", "-t"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(python.status.success(), "{python:?}");
    match Command::new("unzip").arg("-tq").arg(&path).output() {
        Ok(unzip) => assert!(unzip.status.success(), "{unzip:?}"),
        Err(error) => lunikernel_testing::left_out(
            &lunikernel_testing::this_test(),
            &format!("there is no unzip here ({error})"),
        ),
    }
}

/// What is said of each zip in `tests/format/bad`, as it is committed beside them.
#[test]
fn both_refuse_the_bad_ones() {
    let mut said = String::new();
    let mut paths: Vec<PathBuf> = fs::read_dir(folder().join("bad"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "zip"));
    paths.sort();
    assert!(paths.len() > 80, "the folder of bad zips is not whole");
    for path in &paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(path).unwrap();
        let checked = Artefact::from_bytes(bytes, "it").and_then(|it| it.check(&Silent));
        let error = checked.expect_err(name);
        said.push_str(&format!("{name}: {error}\n"));
        assert!(error.hint().is_none_or(|hint| !hint.is_empty()));
    }
    let mut arguments = vec![Path::new("check")];
    arguments.extend(paths.iter().map(PathBuf::as_path));
    let second = String::from_utf8(second(&arguments).stdout).unwrap();
    assert_eq!(second.lines().count(), paths.len());
    for (path, verdict) in paths.iter().zip(second.lines()) {
        assert!(verdict.starts_with("refused: "), "{path:?}: {verdict}");
    }
    let expected = folder().join("bad/errors.txt");
    if std::env::var_os("UPDATE_ERRORS").is_some() {
        fs::write(&expected, &said).unwrap();
    }
    assert_eq!(said, fs::read_to_string(&expected).unwrap());
}
