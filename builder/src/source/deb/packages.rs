//! Reading `Packages`: an archive's list of binary packages.
//!
//! The list of a release has some sixty thousand paragraphs in 45 MB, so it is read as
//! a stream, and only what locking needs is kept.

use std::io::{BufRead, Read};

use debversion::Version;
use lunikernel_cache::Sha256;

use super::relation::{is_name, parse_version};

/// The longest line: `Provides` of some packages has tens of thousands of characters.
const MAX_LINE: u64 = 1 << 20;
/// Ten times what the largest archive has.
const MAX_PACKAGES: usize = 1_000_000;

/// A binary package that an archive offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: Box<str>,
    pub(super) version: Box<str>,
    /// `version`, read.
    pub(super) parsed: Version,
    /// Whether it is for every architecture.
    pub(super) all: bool,
    /// Whether `Multi-Arch: allowed` lets `name:any` mean it.
    pub(super) any: bool,
    /// 0 for required … 4 for extra: which provider of a virtual package to prefer.
    pub(super) priority: u8,
    pub(super) filename: Box<str>,
    pub(super) size: u64,
    pub(super) sha256: Sha256,
    /// The source package and, where it is another than its own, its version.
    pub(super) source: Option<Box<str>>,
    pub(super) depends: Option<Box<str>>,
    pub(super) pre_depends: Option<Box<str>>,
    pub(super) provides: Option<Box<str>>,
    pub(super) conflicts: Option<Box<str>>,
    pub(super) breaks: Option<Box<str>>,
    /// Which of the releases it is from, by number.
    pub(super) release: usize,
}

/// Why a list of packages was refused.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// It could not be decompressed.
    #[error("it cannot be decompressed")]
    Read(#[from] std::io::Error),
    /// Decompressed, it is not what the release file says.
    #[error(
        "decompressed, it is not the list of {expected} bytes that the release file names (it has {found} bytes)"
    )]
    Plain {
        /// The size in bytes that was expected.
        expected: u64,
        /// How many bytes came; more than expected are not read on.
        found: u64,
    },
    /// It has a line that is longer than any honest one.
    #[error("line {line} is longer than {MAX_LINE} bytes")]
    LongLine {
        /// The line's number.
        line: u64,
    },
    /// It has more packages than any honest list.
    #[error("it lists more than {MAX_PACKAGES} packages")]
    TooMany,
    /// A line is none of the format.
    #[error("line {line} is {what}")]
    Line {
        /// The line's number.
        line: u64,
        /// What it is.
        what: &'static str,
    },
    /// A package lacks what locking needs, or has it in an impossible form.
    #[error("the package `{package}` that ends in line {line} has {what}")]
    Package {
        /// The package's name, as far as it is known.
        package: String,
        /// The line's number.
        line: u64,
        /// What is wrong.
        what: String,
    },
}

const FIELDS: [&str; 14] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Priority",
    "Filename",
    "Size",
    "SHA256",
    "Source",
    "Depends",
    "Pre-Depends",
    "Provides",
    "Conflicts",
    "Breaks",
];

/// Reads the packages for `arch`, and those for all, and adds them to `packages`.
pub(super) fn read(
    mut reader: impl BufRead,
    arch: &str,
    release: usize,
    packages: &mut Vec<Package>,
) -> Result<(), PackagesError> {
    let mut paragraph = Paragraph::default();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        number += 1;
        let read = reader
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)?;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read as u64 == MAX_LINE {
            return Err(PackagesError::LongLine { line: number });
        }
        if read > 0 && !line.iter().all(|byte| b" \t\r".contains(byte)) {
            paragraph.line(&line, number)?;
            continue;
        }
        if let Some(package) = paragraph.finish(arch, release, number)? {
            if packages.len() >= MAX_PACKAGES {
                return Err(PackagesError::TooMany);
            }
            packages.push(package);
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// The fields of one paragraph that are of interest.
#[derive(Default)]
struct Paragraph {
    values: [Option<Vec<u8>>; FIELDS.len()],
    /// The field that a continuation line continues.
    current: Option<usize>,
    begun: bool,
}

impl Paragraph {
    fn line(&mut self, line: &[u8], number: u64) -> Result<(), PackagesError> {
        let wrong = |what| PackagesError::Line { line: number, what };
        if matches!(line.first(), Some(b' ' | b'\t')) {
            if !self.begun {
                return Err(wrong("a continuation of nothing"));
            }
            let value = self.current.and_then(|at| self.values.get_mut(at));
            if let Some(Some(value)) = value {
                if value.len() + line.len() > MAX_LINE as usize {
                    return Err(PackagesError::LongLine { line: number });
                }
                value.extend_from_slice(line);
            }
            return Ok(());
        }
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or_else(|| wrong("neither a field nor a continuation"))?;
        let (name, value) = line.split_at(colon);
        self.begun = true;
        self.current = FIELDS
            .iter()
            .position(|field| field.as_bytes().eq_ignore_ascii_case(name));
        if let Some(slot) = self.current.and_then(|at| self.values.get_mut(at)) {
            if slot.is_some() {
                return Err(wrong("a field that the paragraph has already"));
            }
            *slot = Some(value.strip_prefix(b":").unwrap_or(value).to_vec());
        }
        Ok(())
    }

    fn finish(
        &mut self,
        arch: &str,
        release: usize,
        line: u64,
    ) -> Result<Option<Package>, PackagesError> {
        let paragraph = std::mem::take(self);
        if !paragraph.begun {
            return Ok(None);
        }
        let mut text = [const { None }; FIELDS.len()];
        for (slot, value) in text.iter_mut().zip(paragraph.values) {
            *slot = match value.map(String::from_utf8).transpose() {
                Ok(value) => value,
                Err(_) => {
                    return Err(PackagesError::Line {
                        line,
                        what: "the end of a paragraph that is not UTF-8",
                    });
                }
            };
        }
        let [
            name,
            version,
            architecture,
            multi_arch,
            priority,
            filename,
            size,
            sha256,
            source,
            depends,
            pre_depends,
            provides,
            conflicts,
            breaks,
        ] = text;
        let name = name.as_deref().unwrap_or_default().trim();
        let wrong = |what: String| PackagesError::Package {
            package: name
                .chars()
                .take(80)
                .collect::<String>()
                .escape_debug()
                .to_string(),
            line,
            what,
        };
        let shown = |value: &Option<String>| match value {
            Some(value) => format!(
                "`{}`",
                value
                    .trim()
                    .chars()
                    .take(80)
                    .collect::<String>()
                    .escape_debug()
            ),
            None => "none".to_owned(),
        };
        let bad = |field: &str, value: &Option<String>| {
            wrong(format!("no usable field {field} (it is {})", shown(value)))
        };
        let all = match architecture.as_deref().map(str::trim) {
            Some("all") => true,
            Some(other) if other == arch => false,
            Some(_) => return Ok(None),
            None => return Err(bad("Architecture", &architecture)),
        };
        if !is_name(name) {
            return Err(wrong("no usable name".to_owned()));
        }
        let number = version.as_deref().unwrap_or_default().trim();
        let parsed = parse_version(number).ok_or_else(|| bad("Version", &version))?;
        let path = filename.as_deref().unwrap_or_default().trim();
        if !is_safe_path(path) {
            return Err(bad("Filename", &filename));
        }
        let boxed = |value: Option<String>| {
            let value = value?;
            let value = value.trim();
            (!value.is_empty()).then(|| value.into())
        };
        Ok(Some(Package {
            version: number.into(),
            parsed,
            all,
            any: multi_arch.as_deref().map(str::trim) == Some("allowed"),
            priority: match priority.as_deref().map(str::trim) {
                Some("required") => 0,
                Some("important") => 1,
                Some("standard") => 2,
                Some("optional") => 3,
                _ => 4,
            },
            filename: path.into(),
            size: size
                .as_deref()
                .and_then(|size| size.trim().parse().ok())
                .filter(|size| *size > 0)
                .ok_or_else(|| bad("Size", &size))?,
            sha256: sha256
                .as_deref()
                .and_then(|hash| hash.trim().parse().ok())
                .ok_or_else(|| bad("SHA256", &sha256))?,
            source: boxed(source),
            depends: boxed(depends),
            pre_depends: boxed(pre_depends),
            provides: boxed(provides),
            conflicts: boxed(conflicts),
            breaks: boxed(breaks),
            release,
            name: name.into(),
        }))
    }
}

/// Whether a path stays below the archive's root and is a plain one.
pub(super) fn is_safe_path(path: &str) -> bool {
    path.len() <= 1024
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\\?#".contains(&byte))
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
#[path = "packages_tests.rs"]
mod tests;
