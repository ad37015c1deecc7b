//! Which values a manifest may have.

use std::fmt;

use super::super::layout::MAX_ZIP_SIZE;
use super::super::name::{check_name, folders};
use super::super::{FILES, INITRAMFS, KERNEL, LOCK, MANIFEST, RECIPE};
use super::{Manifest, ManifestError, Overlay, Protocol};

/// The highest integer that canonical JSON can hold exactly (RFC 8785, appendix D).
const MAX_INTEGER: u64 = (1 << 53) - 1;
/// The longest name of a disk: Solo5's manifests have 68 bytes for one and a zero.
const MAX_DEVICE: usize = 67;
/// One byte below the 2048 that Linux has for it on x86, its terminating zero included.
const MAX_CMDLINE: usize = 2047;
/// One TiB.
const MAX_MEMORY_MIB: u32 = 1 << 20;

type Check = Result<(), ManifestError>;

impl Manifest {
    /// Checks every value.
    pub(super) fn check(&self) -> Check {
        word("/name", &self.name, 128, lower_word_rule)?;
        word("/version", &self.version, 128, version_rule)?;
        word("/flavour", &self.flavour, 64, lower_word_rule)?;
        word("/arch", &self.arch, 32, arch_rule)?;
        self.check_boot()?;
        self.check_entries()?;
        self.check_inputs()
    }

    fn check_boot(&self) -> Check {
        let cmdline = &self.boot.cmdline;
        if cmdline.len() > MAX_CMDLINE || !is_printable(cmdline) {
            return Err(wrong(
                "/boot/cmdline",
                "at most 2047 bytes of printable ASCII",
                shown(cmdline),
            ));
        }
        let memory = self.boot.min_memory_mib;
        if !(1..=MAX_MEMORY_MIB).contains(&memory) {
            return Err(wrong("/boot/min_memory_mib", "1 to 1048576", memory));
        }
        let linux = self.boot.protocol == Protocol::Linux;
        match &self.overlay {
            Overlay::Initramfs {} if !linux => Err(wrong(
                "/overlay/kind",
                "another kind where the boot protocol is not `linux`",
                "`initramfs`",
            )),
            Overlay::Block { device } => word("/overlay/device", device, MAX_DEVICE, version_rule),
            _ => Ok(()),
        }
    }

    fn check_entries(&self) -> Check {
        for (name, entry) in &self.entries {
            let at = || pointer("/entries", name);
            if check_name(name.as_bytes()).is_err() || name == MANIFEST {
                return Err(wrong(at(), "a name that an entry may have", shown(name)));
            }
            if let Some(folder) = folders(name).find(|it| self.entries.contains_key(*it)) {
                return Err(wrong(at(), "no entry inside another", shown(folder)));
            }
            if entry.size > MAX_ZIP_SIZE {
                let expected = "at most 4294967294 bytes";
                return Err(wrong(at() + "/size", expected, entry.size));
            }
            if entry.executable && !name.starts_with(FILES) {
                let expected = "no such key: only files below `files/` can be executable";
                return Err(wrong(at() + "/executable", expected, "`true`"));
            }
        }
        if !self.entries.contains_key(KERNEL) {
            return Err(wrong("/entries", "an entry `kernel`", "none"));
        }
        let linux = self.boot.protocol == Protocol::Linux;
        if self.entries.contains_key(INITRAMFS) != linux {
            return Err(wrong(
                "/entries",
                "an entry `initramfs.gz` exactly where the boot protocol is `linux`",
                if linux { "none" } else { "one" },
            ));
        }
        for (at, digest, name) in [("/recipe", self.recipe, RECIPE), ("/lock", self.lock, LOCK)] {
            if digest != self.entries.get(name).map(super::Entry::digest) {
                return Err(wrong(
                    at,
                    "the digest of the entry `recipe.yaml` or `recipe.lock`, or no key where there is none",
                    digest.map_or_else(|| "none".to_owned(), |it| it.to_string()),
                ));
            }
        }
        Ok(())
    }

    fn check_inputs(&self) -> Check {
        for (index, input) in self.inputs.iter().enumerate() {
            let at = |key: &str| format!("/inputs/{index}/{key}");
            word(&at("kind"), &input.kind, 32, lower_word_rule)?;
            text(&at("name"), &input.name)?;
            if let Some(version) = &input.version {
                text(&at("version"), version)?;
            }
            if let Some(licence) = &input.licence {
                text(&at("licence"), licence)?;
            }
            if input.size > MAX_INTEGER {
                return Err(wrong(at("size"), "at most 9007199254740991", input.size));
            }
        }
        for (index, pair) in self.inputs.windows(2).enumerate() {
            if let [one, two] = pair
                && one >= two
            {
                return Err(wrong(
                    format!("/inputs/{}", index + 1),
                    "inputs sorted by kind, name, version and sha256, each once",
                    shown(&two.name),
                ));
            }
        }
        Ok(())
    }
}

fn wrong(
    pointer: impl Into<String>,
    expected: &'static str,
    actual: impl fmt::Display,
) -> ManifestError {
    ManifestError::Value {
        pointer: pointer.into(),
        expected,
        actual: actual.to_string(),
    }
}

/// Text as it can be shown: bounded, and what is not printable escaped.
fn shown(text: &str) -> String {
    let start = text.chars().take(60).collect::<String>();
    format!("`{}`", start.escape_debug())
}

/// The JSON pointer of `key` below `at` (RFC 6901).
fn pointer(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn word(pointer: &str, text: &str, most: usize, rule: fn(&str) -> Option<&'static str>) -> Check {
    if text.is_empty() || text.len() > most {
        return Err(wrong(
            pointer,
            "a word that is neither empty nor too long",
            shown(text),
        ));
    }
    rule(text).map_or(Ok(()), |expected| {
        Err(wrong(pointer, expected, shown(text)))
    })
}

fn text(pointer: &str, text: &str) -> Check {
    if text.is_empty() || text.len() > 1024 || text.chars().any(char::is_control) {
        let expected = "1 to 1024 bytes without control characters";
        return Err(wrong(pointer, expected, shown(text)));
    }
    Ok(())
}

/// The rule that `text` breaks, if it breaks one.
fn lower_word_rule(text: &str) -> Option<&'static str> {
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fine = text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(rest);
    (!fine).then_some("lower-case letters, digits and `-`, beginning with a letter")
}

fn arch_rule(text: &str) -> Option<&'static str> {
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fine = text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(rest);
    (!fine).then_some("lower-case letters, digits and `_`, beginning with a letter")
}

fn version_rule(text: &str) -> Option<&'static str> {
    let fine = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".+~:_-".contains(&byte));
    (!fine).then_some("letters, digits and .+~:_-")
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
