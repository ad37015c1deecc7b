//! The text of an index, and of the database of what is installed: paragraphs of lines
//! that each begin with a letter and a colon (apk-index(5), apk-installed(5)).

use super::dependency::Dependency;
use super::version::Version;
use crate::assemble::apk::Checksum;

/// A package that an index or a database lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    /// `P:`, the name.
    pub(super) name: Box<str>,
    /// `V:`, the version.
    pub(super) version: Version,
    /// `A:`, the architecture; `noarch` for those that run everywhere.
    pub(super) arch: Box<str>,
    /// `C:`, the checksum of its control member.
    pub(super) checksum: Checksum,
    /// `S:`, the size of its file in bytes.
    pub(super) size: u64,
    /// `D:`, what it needs and what must not be there.
    pub(super) depends: Box<str>,
    /// `p:`, what it provides beside its name.
    pub(super) provides: Box<str>,
    /// `i:`, what must all be there for it to come along without being asked for.
    pub(super) install_if: Box<str>,
    /// `k:`, how much it should be preferred to others that provide the same.
    pub(super) priority: u64,
    /// A field that its entry has and this does not know, where that may matter: apk leaves
    /// out those in lower case, and installs no package that has others.
    pub(super) unknown: Option<char>,
    /// The repository that has it, by number; `None` for what is installed.
    pub(super) repository: Option<usize>,
}

/// An index or a database cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct IndexError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// The longest line, in bytes: what provides most has 200 KB of it.
const MAX_LINE: usize = 4 << 20;
/// How many packages one index may have: ten times what the largest has.
const MAX_PACKAGES: usize = 500_000;

/// What is known of a package before its paragraph ends.
#[derive(Default)]
struct Paragraph<'a> {
    begin: usize,
    name: Option<&'a str>,
    version: Option<&'a str>,
    arch: Option<&'a str>,
    checksum: Option<&'a str>,
    size: Option<&'a str>,
    depends: &'a str,
    provides: &'a str,
    install_if: &'a str,
    priority: Option<&'a str>,
    unknown: Option<char>,
}

/// Reads an index (`repository` says which) or the database of what is installed.
///
/// Packages whose versions cannot be compared with others are left out: apk does not
/// choose them either.
///
/// # Errors
/// [`IndexError`] with the first line that cannot be.
pub(super) fn parse(text: &str, repository: Option<usize>) -> Result<Vec<Package>, IndexError> {
    let mut packages = Vec::new();
    let mut paragraph: Option<Paragraph<'_>> = None;
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let wrong = |why: String| IndexError { line: number, why };
        if line.is_empty() {
            if let Some(done) = paragraph.take() {
                packages.extend(done.package(repository)?);
            }
            if packages.len() > MAX_PACKAGES {
                return Err(wrong(format!(
                    "there are more than {MAX_PACKAGES} packages"
                )));
            }
            continue;
        }
        if line.len() > MAX_LINE {
            return Err(wrong(format!("it is longer than {MAX_LINE} bytes")));
        }
        if line.contains('\r') {
            return Err(wrong("it has a carriage return in it".to_owned()));
        }
        let mut bytes = line.bytes();
        let (Some(letter @ (b'a'..=b'z' | b'A'..=b'Z')), Some(b':')) = (bytes.next(), bytes.next())
        else {
            return Err(wrong("expected a letter, a colon and a value".to_owned()));
        };
        let value = line.get(2..).unwrap_or_default();
        let current = paragraph.get_or_insert_with(|| Paragraph {
            begin: number,
            ..Paragraph::default()
        });
        let field = match letter {
            b'P' => &mut current.name,
            b'V' => &mut current.version,
            b'A' => &mut current.arch,
            b'C' => &mut current.checksum,
            b'S' => &mut current.size,
            b'k' => &mut current.priority,
            b'D' => {
                current.depends = value;
                continue;
            }
            b'p' => {
                current.provides = value;
                continue;
            }
            b'i' => {
                current.install_if = value;
                continue;
            }
            b'T' | b'U' | b'L' | b'I' | b'F' | b'M' | b'R' | b'Z' => continue,
            _ if letter.is_ascii_uppercase() => {
                current.unknown.get_or_insert(char::from(letter));
                continue;
            }
            // Newer versions of the format may have more of these, and nobody minds.
            _ => continue,
        };
        if field.replace(value).is_some() {
            return Err(wrong(format!("`{}:` is there twice", char::from(letter))));
        }
    }
    if let Some(done) = paragraph {
        packages.extend(done.package(repository)?);
    }
    Ok(packages)
}

impl Paragraph<'_> {
    fn package(self, repository: Option<usize>) -> Result<Option<Package>, IndexError> {
        let wrong = |why: String| IndexError {
            line: self.begin,
            why,
        };
        let need = |field: Option<&str>, letter: char| match field {
            Some(value) => Ok(value.to_owned()),
            None => Err(wrong(format!("the package has no `{letter}:`"))),
        };
        let number = |text: String, letter: char| {
            text.parse::<u64>()
                .map_err(|_| wrong(format!("`{letter}:{}` is no number", brief(&text))))
        };
        let name = need(self.name, 'P')?;
        if !is_package_name(&name) {
            return Err(wrong(format!("`{}` is no name of a package", brief(&name))));
        }
        let version = need(self.version, 'V')?;
        let arch = need(self.arch, 'A')?;
        let checksum = need(self.checksum, 'C')?;
        // The installed database needs none to be put on disk again.
        let size = match (self.size, repository) {
            (None, None) => 0,
            (size, _) => number(need(size, 'S')?, 'S')?,
        };
        let Some(version) = Version::parse(&version) else {
            return Ok(None);
        };
        Ok(Some(Package {
            version,
            checksum: Checksum::parse(&checksum).ok_or_else(|| {
                let flaw = Checksum::flaw(&checksum);
                wrong(format!("`C:{}` of {name} {flaw}", brief(&checksum)))
            })?,
            name: name.into(),
            arch: arch.into(),
            size,
            depends: self.depends.into(),
            provides: self.provides.into(),
            install_if: self.install_if.into(),
            priority: match self.priority {
                Some(text) => number(text.to_owned(), 'k')?,
                None => 0,
            },
            unknown: self.unknown,
            repository,
        }))
    }
}

/// What is wrong, for a message: its beginning, with nothing in it that a terminal obeys.
fn brief(text: &str) -> String {
    let begin: String = text.chars().take(80).collect();
    begin.escape_debug().to_string()
}

/// Whether it names a package, and can be part of a file's name.
pub(super) fn is_package_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
        && name != "."
        && name != ".."
        && name.bytes().all(allowed)
}

impl Package {
    /// What it needs and what must not be there.
    pub(super) fn dependencies(&self) -> Result<Vec<Dependency>, String> {
        Dependency::list(&self.depends)
    }

    /// What it provides. What cannot be read provides nothing; whoever needs it says so.
    pub(super) fn provisions(&self) -> impl Iterator<Item = Dependency> {
        let words = self.provides.split_ascii_whitespace();
        words.filter_map(|word| Dependency::parse(word).ok())
    }

    /// What its file is called in a repository.
    pub(super) fn file_name(&self) -> String {
        format!("{}-{}.apk", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "C:Q1yY8lhMF1VhgegJgkcXfqaNabDJw=\nP:a\nV:1-r0\nA:x86_64\nS:7\nD:b c>1\n";

    #[test]
    fn paragraphs_are_packages() {
        let text = format!(
            "{GOOD}\n\n{}p:cmd:b=1 d\nk:10\nX:new",
            GOOD.replace("P:a", "P:b")
        );
        let packages = parse(&text, Some(0)).unwrap();
        let names: Vec<&str> = packages.iter().map(|package| &*package.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(packages[1].priority, 10);
        assert_eq!(packages[1].provisions().count(), 2);
        assert_eq!(packages[0].dependencies().unwrap().len(), 2);
        assert_eq!(packages[0].file_name(), "a-1-r0.apk");
        assert_eq!(packages[0].unknown, None);
        assert_eq!(packages[1].unknown, Some('X'));
        let odd = parse(&GOOD.replace("1-r0", "one"), Some(0));
        assert_eq!(odd, Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (from, to, line) in [
            ("P:a", "P:a/../b", 1),
            ("P:a", "P:..", 1),
            ("V:1-r0\n", "", 1),
            ("S:7", "S:-7", 1),
            ("S:7\n", "", 1),
            ("S:7", "S:7\nS:8", 6),
            ("C:Q1", "C:Q3", 1),
            ("A:x86_64", "A x86_64", 4),
            ("P:a", "Ä:a", 2),
            ("P:a", &format!("P:{}", "a".repeat(100_000)), 1),
            ("P:a", "P:\u{1b}[2J", 1),
            ("S:7", &format!("S:{}", "7".repeat(100_000)), 1),
            ("C:Q1", &format!("C:{}", "Q".repeat(100_000)), 1),
            ("C:Q1", "C:Q2", 1),
        ] {
            let error = parse(&GOOD.replace(from, to), Some(0)).unwrap_err();
            assert_eq!(error.line, line, "{to}: {error}");
            assert!(error.to_string().len() < 300);
            assert!(!error.to_string().contains(char::is_control));
            let by_sha256 = error.why.contains("of a is a checksum by SHA-256");
            assert_eq!(by_sha256, to == "C:Q2", "{error}");
        }
    }
}
