//! What packages say about others: dependencies, provisions, conflicts.

use std::cmp::Ordering;
use std::fmt;

use super::version::Version;

/// One word of a list of dependencies: `so:libc.musl-x86_64.so.1`, `foo>=1.2`, `!bar`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    /// Whether it must not be there.
    pub(super) conflict: bool,
    /// The name: of a package, or something that packages provide.
    pub(super) name: Box<str>,
    /// Which versions are meant.
    pub(super) versions: Versions,
}

/// Which versions are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Versions {
    /// All of them.
    Any,
    /// Those that stand in one of these orders to a version: `<`, `=`, `>` or several.
    Ordered {
        /// Whether earlier ones are.
        less: bool,
        /// Whether the same is.
        equal: bool,
        /// Whether later ones are.
        greater: bool,
        /// The version.
        version: Version,
    },
    /// Those that go on from a version (`~`), and with `<` or `>` the earlier or later
    /// ones, too.
    Like {
        /// Whether earlier ones are meant, too.
        less: bool,
        /// Whether later ones are meant, too.
        greater: bool,
        /// The version.
        version: Version,
    },
    /// The package with this checksum (`><`).
    Checksum(Box<str>),
    /// What cannot be read as a version: some packages provide such.
    Literal(Box<str>),
}

/// The longest word that is read, in bytes.
const MAX_WORD: usize = 512;

impl Dependency {
    /// Reads a word.
    ///
    /// # Errors
    /// The word and what is wrong with it.
    pub(super) fn parse(word: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{word}` {why}"));
        if word.len() > MAX_WORD {
            return Err(format!(
                "a name has {} bytes, more than {MAX_WORD}",
                word.len()
            ));
        }
        let (conflict, rest) = match word.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        let end = rest.find(['<', '>', '=', '~']).unwrap_or(rest.len());
        let (name, constraint) = rest.split_at(end);
        if name.contains('@') {
            return wrong("names a repository by its tag, which is not supported");
        }
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return wrong("names no package");
        }
        let version_at = constraint
            .find(|c| !matches!(c, '<' | '>' | '=' | '~'))
            .unwrap_or(constraint.len());
        let (operator, version) = constraint.split_at(version_at);
        let Some(versions) = Versions::of(operator, version) else {
            return wrong("has a version that is none");
        };
        Ok(Self {
            conflict,
            name: name.into(),
            versions,
        })
    }

    /// Reads words that are separated by spaces.
    ///
    /// # Errors
    /// The first word that cannot be read, and what is wrong with it.
    pub(super) fn list(words: &str) -> Result<Vec<Self>, String> {
        words.split_ascii_whitespace().map(Self::parse).collect()
    }

    /// Whether a package of this version and checksum is meant, its name aside.
    pub(super) fn admits(&self, version: &Version, checksum: &dyn fmt::Display) -> bool {
        match &self.versions {
            Versions::Checksum(wanted) => **wanted == *checksum.to_string(),
            _ => self.admits_provided(Some(version)),
        }
    }

    /// Whether something provided is meant. What has no version fits those only who do
    /// not ask for one.
    pub(super) fn admits_provided(&self, provided: Option<&Version>) -> bool {
        match (&self.versions, provided) {
            (Versions::Any, _) => true,
            (Versions::Checksum(_) | Versions::Literal(_), _) | (_, None) => false,
            (
                Versions::Ordered {
                    less,
                    equal,
                    greater,
                    version,
                },
                Some(provided),
            ) => match provided.cmp(version) {
                Ordering::Less => *less,
                Ordering::Equal => *equal,
                Ordering::Greater => *greater,
            },
            (
                Versions::Like {
                    less,
                    greater,
                    version,
                },
                Some(provided),
            ) => {
                provided.goes_on_from(version)
                    || match provided.cmp(version) {
                        Ordering::Less => *less,
                        Ordering::Equal => true,
                        Ordering::Greater => *greater,
                    }
            }
        }
    }
}

impl Versions {
    fn of(operator: &str, version: &str) -> Option<Self> {
        if operator.is_empty() {
            return version.is_empty().then_some(Self::Any);
        }
        if operator == "><" {
            let is_word = !version.is_empty() && version.chars().all(|c| c.is_ascii_graphic());
            return is_word.then(|| Self::Checksum(version.into()));
        }
        let has = |c: char| operator.contains(c);
        let Some(version) = Version::parse(version) else {
            // Packages provide `pc:bash=4.4-release`, and nobody can ask for that.
            let is_word = !version.is_empty() && version.chars().all(|c| c.is_ascii_graphic());
            return (operator == "=" && is_word).then(|| Self::Literal(version.into()));
        };
        Some(match operator {
            "<" | ">" | "=" | "<=" | ">=" => Self::Ordered {
                less: has('<'),
                equal: has('='),
                greater: has('>'),
                version,
            },
            "~" | "~=" | "=~" | "<~" | ">~" => Self::Like {
                less: has('<'),
                greater: has('>'),
                version,
            },
            _ => return None,
        })
    }

    /// The version that something is provided with.
    pub(super) fn provided(&self) -> Option<&Version> {
        match self {
            Self::Ordered {
                less: false,
                equal: true,
                greater: false,
                version,
            } => Some(version),
            _ => None,
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |on: &bool, sign: &'static str| if *on { sign } else { "" };
        match self {
            Self::Any => Ok(()),
            Self::Ordered {
                less,
                equal,
                greater,
                version,
            } => write!(
                f,
                "{}{}{}{version}",
                sign(less, "<"),
                sign(greater, ">"),
                sign(equal, "=")
            ),
            Self::Like {
                less,
                greater,
                version,
            } => write!(f, "{}{}~{version}", sign(less, "<"), sign(greater, ">")),
            Self::Checksum(checksum) => write!(f, "><{checksum}"),
            Self::Literal(text) => write!(f, "={text}"),
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.conflict { "!" } else { "" };
        write!(f, "{sign}{}{}", self.name, self.versions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_mean_what_apk_means_by_them() {
        for (word, fits, fits_not) in [
            ("a", "1 1.2-r0 0_alpha", ""),
            ("a=1.2-r0", "1.2-r0", "1.2 1.2-r1 1.1"),
            ("a<1.2", "1.1 1.2_rc1", "1.2 1.2-r0 1.3"),
            ("a<=1.2", "1.1 1.2", "1.2-r0 1.3"),
            ("a>1.2", "1.2-r0 1.2.1 1.3", "1.2 1.2_rc1 1.1"),
            ("a>=1.2", "1.2 1.2.1 1.3", "1.2_rc1 1.1"),
            ("a~1.2", "1.2 1.2-r3 1.2.9 1.2_rc1", "1.1 1.20 1.3"),
            ("a~=1.2", "1.2 1.2-r3", "1.3"),
            ("a>~1.2", "1.2.1-r0 1.3", "1.1"),
            ("a<~1.2", "1.2.1-r0 1.1", "1.3"),
        ] {
            let dependency = Dependency::parse(word).unwrap();
            let version = |text: &str| Version::parse(text).unwrap();
            for text in fits.split_whitespace() {
                assert!(dependency.admits(&version(text), &""), "{word} {text}");
            }
            for text in fits_not.split_whitespace() {
                assert!(!dependency.admits(&version(text), &""), "{word} {text}");
            }
        }
        let pinned = Dependency::parse("a><Q1abc=").unwrap();
        let version = Version::parse("1").unwrap();
        assert!(pinned.admits(&version, &"Q1abc="));
        assert!(!pinned.admits(&version, &"Q1abd="));
    }

    #[test]
    fn what_was_read_is_written_the_same() {
        for word in [
            "so:libc.musl-x86_64.so.1",
            "cmd:bash",
            "/bin/sh",
            "pc:glib-2.0>=2.56.0",
            "!postfix",
            "!hylafax<1",
            "a~1.2",
            "a>~1.2",
            "a><Q1abc=",
            "a=1",
            "a<1",
            "a<=1-r0",
            "a>=2_rc1",
            "pc:bash=4.4-release",
            "so:libstdc++.so.6",
            "gtk+2.0",
        ] {
            assert_eq!(Dependency::parse(word).unwrap().to_string(), word);
        }
        for bad in [
            "",
            "!",
            "=1",
            "a=",
            "a=<1",
            "a@edge",
            "a>x",
            "a==1",
            "a><",
            "a><Q1\u{1b}",
            "a\u{1}",
        ] {
            assert!(Dependency::parse(bad).is_err(), "{bad}");
        }
    }
}
