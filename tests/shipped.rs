//! What can be said of every recipe in `recipes/` without building it; of those that only
//! `scripts/nightly` builds, that is all that CI sees.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use fs_err as fs;
use lunikernel_cache::Digest;
use serde_json::Value;
use support::{luni, project, transcript};

/// A line of `recipes/nightly.txt`.
struct Nightly {
    /// The folder below `recipes/`.
    recipe: String,
    rounds: u64,
    /// The formats of its exports.
    exports: String,
    why: String,
}

fn nightly() -> Vec<Nightly> {
    let text = fs::read_to_string(project("recipes/nightly.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Nightly {
            recipe: word(),
            rounds: word().parse().expect("a number of rounds"),
            exports: word(),
            why: word(),
        }
    };
    lines.map(parse).collect()
}

#[test]
fn every_lock_fits_its_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for recipe in support::recipes() {
        if !recipe.with_file_name("recipe.lock").exists() {
            continue;
        }
        let output = luni(folder.path())
            .args(["--offline", "lock", "--check"])
            .arg(&recipe)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
        checked += 1;
    }
    assert!(checked >= 4, "only {checked} locks");
}

/// A verdict is only worth something for the very recipe and lock that it is about.
#[test]
fn what_nightly_alone_builds_has_a_digest_and_a_verdict_of_now() {
    for one in nightly() {
        let Nightly {
            recipe,
            rounds,
            exports,
            why,
        } = one;
        println!("recipes/{recipe} is not built here, but by nightly: {why}");
        assert!(!why.is_empty(), "nobody says why {recipe} is left out");
        let name = recipe.replace('/', "-");
        let golden = project(&format!("tests/golden/{name}.sha256"));
        let golden = fs::read_to_string(golden).unwrap();
        let (sha256, file) = golden.trim_end().split_once("  ").unwrap();
        assert_eq!(Some(file), expected_file(&recipe).as_deref());
        assert!(rounds >= 2, "one round shows nothing");
        let verdict = project(&format!("tests/golden/{name}.verdict.json"));
        let verdict: Value = serde_json::from_slice(&fs::read(verdict).unwrap()).unwrap();
        assert_eq!(verdict["verdict"], "GOOD");
        for file in ["recipe", "lock"] {
            let path = project("recipes").join(&recipe);
            let path = path.join(["recipe.", if file == "lock" { file } else { "yaml" }].concat());
            let now = Digest::of(&fs::read(&path).unwrap());
            assert_eq!(
                verdict["subject"][file]["sha256"],
                format!("sha256:{}", now.sha256.hex()),
                "{} has changed since the verdict: run `scripts/nightly recipes/{recipe}`",
                path.display()
            );
        }
        let made = verdict["rounds"].as_array().unwrap();
        assert!(made.len() >= 2, "one round shows nothing");
        let exported = project(&format!("tests/golden/{name}-exports.sha256"));
        let exported = fs::read_to_string(exported).unwrap();
        let exported: BTreeMap<&str, &str> = (exported.lines())
            .filter_map(|line| line.split_once("  "))
            .map(|(sha256, file)| (file, sha256))
            .collect();
        assert!(exported.len() >= exports.split(',').count(), "{exported:?}");
        for round in made {
            assert_eq!(round["artefact"]["sha256"], format!("sha256:{sha256}"));
            // Of disks as they are, a verdict has the block digest, which no other program makes.
            let is_disk = |file: &str| file.ends_with(".raw") || file.ends_with(".fixed.vhd");
            for (file, digest) in round["exports"].as_object().unwrap() {
                let sha256 = digest["sha256"].as_str().unwrap();
                let expected = exported.get(file.as_str()).expect(file);
                assert!(
                    is_disk(file) || sha256 == format!("sha256:{expected}"),
                    "{file}"
                );
            }
        }
    }
}

/// The file that `luni build` writes for a recipe.
fn expected_file(recipe: &str) -> Option<String> {
    let name = recipe.rsplit('/').next()?;
    Some(format!("{name}.luni.zip"))
}

/// The kernel that is compiled for `recipes/debian/tiny`.
mod tiny {
    use super::*;

    fn folder() -> PathBuf {
        project("recipes/debian/tiny")
    }

    /// The options in the configuration and their values.
    fn config() -> BTreeMap<String, String> {
        let text = fs::read_to_string(folder().join("files/config")).unwrap();
        let mut options = BTreeMap::new();
        for line in text.lines() {
            if line.is_empty() || line.starts_with("# ") {
                continue;
            }
            let (option, value) = line.split_once('=').expect(line);
            let name = option.strip_prefix("CONFIG_").expect(line);
            let known = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(known), "{line}");
            let before = options.insert(name.to_owned(), value.to_owned());
            assert_eq!(before, None, "{option} is there twice");
        }
        options
    }

    #[test]
    fn the_configuration_agrees_with_itself() {
        let config = config();
        let is = |option: &str| config.get(option).map(String::as_str);
        for (option, value) in &config {
            let right = match value.as_str() {
                "y" => true,
                other => other.parse::<u32>().is_ok() || other.starts_with('"'),
            };
            assert!(right, "CONFIG_{option}={value}: there are no modules");
        }
        assert_eq!(is("MODULES"), None, "there are no modules");
        // What a driver needs that `make allnoconfig` does not add by itself.
        for (driver, needs) in [
            ("VIRTIO_PCI", &["VIRTIO_MENU", "PCI"] as &[&str]),
            ("VIRTIO_MMIO", &["VIRTIO_MENU"]),
            ("VIRTIO_NET", &["NETDEVICES", "NET_CORE", "NET", "INET"]),
            ("VIRTIO_BLK", &["BLK_DEV", "BLOCK"]),
            ("SCSI_VIRTIO", &["SCSI", "SCSI_LOWLEVEL", "BLK_DEV_SD"]),
            ("BLK_DEV_NVME", &["BLOCK", "PCI"]),
            (
                "ENA_ETHERNET",
                &["ETHERNET", "NET_VENDOR_AMAZON", "PCI_MSI"],
            ),
            ("GVE", &["ETHERNET", "NET_VENDOR_GOOGLE", "PCI_MSI"]),
            ("SERIAL_8250_CONSOLE", &["SERIAL_8250", "TTY", "PRINTK"]),
            ("EFI_STUB", &["EFI", "RELOCATABLE", "ACPI"]),
            ("RD_GZIP", &["BLK_DEV_INITRD"]),
            ("DEVTMPFS", &["TMPFS", "SHMEM", "SYSFS", "PROC_FS"]),
        ] {
            for option in needs.iter().chain([&driver]) {
                assert_eq!(is(option), Some("y"), "CONFIG_{option}, for {driver}");
            }
        }
        let packed = ["GZIP", "BZIP2", "LZMA", "XZ", "LZO", "LZ4", "ZSTD"];
        let packed = packed.map(|it| format!("KERNEL_{it}"));
        let chosen = packed.iter().filter(|it| config.contains_key(*it));
        assert_eq!(chosen.count(), 1, "one way to pack the kernel");
    }
}
