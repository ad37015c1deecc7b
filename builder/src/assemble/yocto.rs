//! What Yocto writes beside an image about the packages in it: the image's manifest (a
//! line `NAME ARCHITECTURE VERSION` for each) and `license.manifest` (a block of fields
//! for each).

use std::collections::{BTreeMap, BTreeSet};

use lunikernel_cache::Sha256;

/// How large such a list may be, in bytes: the largest images have some thousand packages.
pub const MAX_LIST: u64 = 16 << 20;
/// How many packages it may have.
const MAX_PACKAGES: usize = 100_000;
/// How long a name, architecture or version may be, in bytes.
const MAX_WORD: usize = 256;
/// How long a licence may be, in bytes.
const MAX_LICENCE: usize = 4096;

/// A package of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedPackage {
    /// Its name.
    pub name: String,
    /// The processors that it runs on, in Yocto's words: `core2_64`, `noarch`.
    pub arch: String,
    /// Its version, as written.
    pub version: String,
}

/// A list of packages that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListFlaw {
    /// It is larger than any.
    #[error("it has {size} bytes, and such a list has at most {MAX_LIST}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// It is no text.
    #[error("it is not UTF-8")]
    NoText,
    /// It has no package.
    #[error("it names no package")]
    Empty,
    /// It has more packages than any.
    #[error("it has more than {MAX_PACKAGES} packages")]
    TooMany,
    /// A line is not as it has to be.
    #[error("line {line}: expected {expected}")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// What belongs there.
        expected: &'static str,
    },
}

const PACKAGE: &str = "`NAME ARCHITECTURE VERSION`, with one space between them";

/// Reads an image's manifest, and gives its packages sorted.
///
/// # Errors
/// [`ListFlaw`] where it is none, or names a package twice.
pub fn manifest(bytes: &[u8]) -> Result<BTreeSet<ListedPackage>, ListFlaw> {
    let mut packages = BTreeSet::new();
    for (index, line) in text(bytes)?.lines().enumerate() {
        let wrong = |expected| ListFlaw::Line {
            line: index + 1,
            expected,
        };
        let words: Vec<&str> = line.split(' ').take(4).collect();
        let &[name, arch, version] = words.as_slice() else {
            return Err(wrong(PACKAGE));
        };
        if !is_name(name) || !is_name(arch) || !is_word(version) {
            return Err(wrong(PACKAGE));
        }
        if packages.len() == MAX_PACKAGES {
            return Err(ListFlaw::TooMany);
        }
        let package = ListedPackage {
            name: name.to_owned(),
            arch: arch.to_owned(),
            version: version.to_owned(),
        };
        if !packages.insert(package) {
            return Err(wrong("each package once"));
        }
    }
    if packages.is_empty() {
        return Err(ListFlaw::Empty);
    }
    Ok(packages)
}

/// Reads `license.manifest`: the licence of each package, by the package's name, in the
/// words of its recipe.
///
/// # Errors
/// [`ListFlaw`] where it is none, or names a package twice.
pub fn licences(bytes: &[u8]) -> Result<BTreeMap<String, String>, ListFlaw> {
    let mut licences = BTreeMap::new();
    let mut name: Option<&str> = None;
    for (index, line) in text(bytes)?.lines().enumerate() {
        let wrong = |expected| ListFlaw::Line {
            line: index + 1,
            expected,
        };
        if line.trim().is_empty() {
            match name.take() {
                Some(_) => return Err(wrong("`LICENSE: …` before the block ends")),
                None => continue,
            }
        }
        let Some((field, value)) = line.split_once(':') else {
            return Err(wrong("`FIELD: value`"));
        };
        let value = value.trim();
        match field {
            "PACKAGE NAME" if name.is_some() => return Err(wrong("`LICENSE: …` first")),
            "PACKAGE NAME" if !is_name(value) => return Err(wrong("a package's name")),
            "PACKAGE NAME" => name = Some(value),
            "LICENSE" => {
                let Some(name) = name.take() else {
                    return Err(wrong("`PACKAGE NAME: …` before its licence"));
                };
                let is_text = !value.chars().any(char::is_control);
                if value.is_empty() || value.len() > MAX_LICENCE || !is_text {
                    return Err(wrong("a licence"));
                }
                if licences.len() == MAX_PACKAGES {
                    return Err(ListFlaw::TooMany);
                }
                let old = licences.insert(name.to_owned(), value.to_owned());
                if old.is_some() {
                    return Err(wrong("each package once"));
                }
            }
            // Versions and recipes, and what later releases add.
            _ => {}
        }
    }
    match (name, licences.is_empty()) {
        (None, false) => Ok(licences),
        _ => Err(ListFlaw::Empty),
    }
}

fn text(bytes: &[u8]) -> Result<&str, ListFlaw> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > MAX_LIST {
        return Err(ListFlaw::TooLarge { size });
    }
    str::from_utf8(bytes).map_err(|_| ListFlaw::NoText)
}

/// Letters, digits and what packages, architectures and recipes have in their names.
fn is_name(word: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
    is_word(word) && word.bytes().all(letter)
}

fn is_word(word: &str) -> bool {
    let right = word.bytes().all(|byte| byte.is_ascii_graphic());
    !word.is_empty() && word.len() <= MAX_WORD && right
}

/// A licence in the words of SPDX.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expression {
    /// An SPDX expression (SPDX 2.3, annex D).
    pub text: String,
    /// Its parts that SPDX has no name for, by the reference that stands for them
    /// (`LicenseRef-…`): what the recipe has there.
    pub others: BTreeMap<String, String>,
}

impl Expression {
    /// What stands for `name`, which SPDX does not know.
    fn other(&mut self, name: &str) -> String {
        let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let mut reference = "LicenseRef-".to_owned();
        reference.extend(name.chars().map(|c| if fits(&c) { c } else { '-' }));
        if !name.chars().all(|c| fits(&c)) {
            // Two names may be the same but for what cannot be in a reference.
            let hash = Sha256::of(name.as_bytes()).hex();
            reference.push('-');
            reference.extend(hash.chars().take(8));
        }
        self.others.insert(reference.clone(), name.to_owned());
        reference
    }
}

/// The SPDX expression for a licence as a recipe of Yocto has it: licences with `&`, `|`
/// and brackets. What has no counterpart in SPDX becomes a reference to the recipe's own
/// words: one licence that is none of SPDX's, or all of what is no such expression.
#[must_use]
pub fn expression(licence: &str) -> Expression {
    parsed(licence).unwrap_or_else(|| {
        let mut whole = Expression::default();
        whole.text = whole.other(licence);
        whole
    })
}

/// The same, or nothing where operators and brackets are not where they belong.
fn parsed(licence: &str) -> Option<Expression> {
    let mut spaced = String::with_capacity(licence.len());
    for c in licence.chars() {
        match c {
            '&' | '|' | '(' | ')' => spaced.extend([' ', c, ' ']),
            c => spaced.push(c),
        }
    }
    let mut found = Expression::default();
    let mut depth = 0_usize;
    // Whether a licence or an opening bracket comes next.
    let mut operand = true;
    for word in spaced.split_ascii_whitespace() {
        let (word, ends_operand) = match (word, operand) {
            ("(", true) => {
                depth += 1;
                ("(".to_owned(), false)
            }
            (")", false) => {
                depth = depth.checked_sub(1)?;
                (")".to_owned(), true)
            }
            ("&", false) => ("AND".to_owned(), false),
            ("|", false) => ("OR".to_owned(), false),
            ("(" | ")" | "&" | "|", _) => return None,
            (name, true) => {
                let known = spdx(name).map(str::to_owned);
                (known.unwrap_or_else(|| found.other(name)), true)
            }
            _ => return None,
        };
        if !matches!(found.text.chars().last(), None | Some('(')) && word != ")" {
            found.text.push(' ');
        }
        found.text.push_str(&word);
        operand = !ends_operand;
    }
    (!operand && depth == 0).then_some(found)
}

/// What a name stands for: SPDX's own, which newer recipes have, or one of those that
/// older ones have.
fn spdx(name: &str) -> Option<&'static str> {
    const SAME: [&str; 42] = [
        "0BSD",
        "AFL-2.0",
        "AFL-2.1",
        "Apache-1.1",
        "Apache-2.0",
        "Artistic-1.0",
        "Artistic-2.0",
        "BSD-1-Clause",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSD-4-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "GFDL-1.2-only",
        "GFDL-1.3-only",
        "GPL-1.0-only",
        "GPL-1.0-or-later",
        "GPL-2.0-only",
        "GPL-2.0-or-later",
        "GPL-3.0-only",
        "GPL-3.0-or-later",
        "ICU",
        "ISC",
        "LGPL-2.0-only",
        "LGPL-2.0-or-later",
        "LGPL-2.1-only",
        "LGPL-2.1-or-later",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        "Libpng",
        "MIT",
        "MPL-1.1",
        "MPL-2.0",
        "NCSA",
        "OFL-1.1",
        "OpenSSL",
        "PSF-2.0",
        "Unlicense",
        "X11",
        "Zlib",
        "bzip2-1.0.6",
        "curl",
    ];
    if let Ok(at) = SAME.binary_search(&name) {
        return SAME.get(at).copied();
    }
    Some(match name {
        "Apachev2" | "Apache-2" => "Apache-2.0",
        "GPLv1" | "GPL-1" | "GPL-1.0" => "GPL-1.0-only",
        "GPLv1+" | "GPL-1+" | "GPL-1.0+" => "GPL-1.0-or-later",
        "GPLv2" | "GPLv2.0" | "GPL-2" | "GPL-2.0" => "GPL-2.0-only",
        "GPLv2+" | "GPLv2.0+" | "GPL-2+" | "GPL-2.0+" => "GPL-2.0-or-later",
        "GPLv3" | "GPLv3.0" | "GPL-3" | "GPL-3.0" => "GPL-3.0-only",
        "GPLv3+" | "GPLv3.0+" | "GPL-3+" | "GPL-3.0+" => "GPL-3.0-or-later",
        "LGPLv2" | "LGPLv2.0" | "LGPL-2" | "LGPL-2.0" => "LGPL-2.0-only",
        "LGPLv2+" | "LGPLv2.0+" | "LGPL-2+" | "LGPL-2.0+" => "LGPL-2.0-or-later",
        "LGPLv2.1" | "LGPL2.1" | "LGPL-2.1" => "LGPL-2.1-only",
        "LGPLv2.1+" | "LGPL2.1+" | "LGPL-2.1+" => "LGPL-2.1-or-later",
        "LGPLv3" | "LGPL-3" | "LGPL-3.0" => "LGPL-3.0-only",
        "LGPLv3+" | "LGPL-3+" | "LGPL-3.0+" => "LGPL-3.0-or-later",
        // The names that SPDX once had for these.
        "GPL-2.0-with-GCC-exception" => "GPL-2.0-only WITH GCC-exception-2.0",
        "GPL-2.0-with-autoconf-exception" => "GPL-2.0-only WITH Autoconf-exception-2.0",
        "GPL-2.0-with-classpath-exception" => "GPL-2.0-only WITH Classpath-exception-2.0",
        "GPL-3.0-with-GCC-exception" => "GPL-3.0-only WITH GCC-exception-3.1",
        "GPL-3.0-with-autoconf-exception" => "GPL-3.0-only WITH Autoconf-exception-3.0",
        "MPL-1" | "MPLv1.1" => "MPL-1.1",
        "MPL-2" | "MPLv2.0" => "MPL-2.0",
        "openssl" => "OpenSSL",
        "zlib" => "Zlib",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_manifest_is_read() {
        let text = b"busybox core2_64 1.31.1\nbase-files qemux86_64 3.0.14\n\
                     libc6 core2_64 2.31+git0+2d4f26e5cf\n";
        let packages = manifest(text).unwrap();
        let names: Vec<&str> = packages.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["base-files", "busybox", "libc6"]);
        let busybox = packages.iter().nth(1).unwrap();
        assert_eq!((&*busybox.arch, &*busybox.version), ("core2_64", "1.31.1"));
    }

    #[test]
    fn what_is_no_manifest_is_told_with_its_line() {
        let says = |text: &[u8]| manifest(text).unwrap_err().to_string();
        assert_eq!(says(b""), "it names no package");
        assert_eq!(says(b"a b\xff 1\n"), "it is not UTF-8");
        for wrong in [
            "a b 1\na b\n",
            "a b 1\na b 1 2\n",
            "a b 1\n\n",
            "a b 1\na  1\n",
            "a b 1\n../a b 1\n",
            "a b 1\na b 1\u{7}\n",
        ] {
            let told = says(wrong.as_bytes());
            assert!(told.starts_with("line 2: expected `NAME"), "{told}");
        }
        assert_eq!(
            says(b"a b 1\na b 1\n"),
            "line 2: expected each package once"
        );
        let long = format!("{} b 1\n", "a".repeat(MAX_WORD + 1));
        assert!(says(long.as_bytes()).starts_with("line 1"));
        let lines = |count: usize| (0..count).map(|it| format!("a{it} b 1\n"));
        let most: String = lines(MAX_PACKAGES).collect();
        assert_eq!(manifest(most.as_bytes()).unwrap().len(), MAX_PACKAGES);
        let more: String = lines(MAX_PACKAGES + 1).collect();
        assert_eq!(manifest(more.as_bytes()), Err(ListFlaw::TooMany));
        let size = MAX_LIST + 1;
        let large = vec![b'\n'; size as usize];
        assert_eq!(manifest(&large), Err(ListFlaw::TooLarge { size }));
        assert_eq!(licences(&large), Err(ListFlaw::TooLarge { size }));
    }

    #[test]
    fn licences_are_read_by_package() {
        let text = "PACKAGE NAME: busybox\nPACKAGE VERSION: 1.31.1\nRECIPE NAME: busybox\n\
                    LICENSE: GPLv2 & bzip2-1.0.6\n\nPACKAGE NAME: base-files\n\
                    PACKAGE VERSION: 3.0.14\nRECIPE NAME: base-files\nLICENSE: GPLv2\n\n";
        let read = licences(text.as_bytes()).unwrap();
        assert_eq!(read["busybox"], "GPLv2 & bzip2-1.0.6");
        assert_eq!(read["base-files"], "GPLv2");
        let says = |text: &str| licences(text.as_bytes()).unwrap_err().to_string();
        for (wrong, expected) in [
            ("", "it names no package"),
            ("PACKAGE NAME: a\n", "it names no package"),
            ("PACKAGE NAME: a\n\n", "line 2: expected `LICENSE: …`"),
            ("LICENSE: MIT\n", "line 1: expected `PACKAGE NAME: …`"),
            ("PACKAGE NAME: a b\n", "line 1: expected a package's name"),
            ("PACKAGE NAME: a\nLICENSE:\n", "line 2: expected a licence"),
            ("nothing\n", "line 1: expected `FIELD: value`"),
        ] {
            let told = says(wrong);
            assert!(told.starts_with(expected), "{told}");
        }
        let block =
            |name: &str, licence: &str| format!("PACKAGE NAME: {name}\nLICENSE: {licence}\n");
        let twice = block("a", "MIT") + &block("b", "MIT") + &block("a", "ISC");
        assert_eq!(says(&twice), "line 6: expected each package once");
        assert_eq!(says(&block("a", "M\u{7}IT")), "line 2: expected a licence");
        let long = "a".repeat(MAX_LICENCE);
        assert_eq!(licences(block("a", &long).as_bytes()).unwrap()["a"], long);
        assert_eq!(
            says(&block("a", &(long + "a"))),
            "line 2: expected a licence"
        );
        let blocks = |count: usize| (0..count).map(|it| block(&format!("a{it}"), "MIT"));
        let most: String = blocks(MAX_PACKAGES).collect();
        assert_eq!(licences(most.as_bytes()).unwrap().len(), MAX_PACKAGES);
        let more: String = blocks(MAX_PACKAGES + 1).collect();
        assert_eq!(licences(more.as_bytes()), Err(ListFlaw::TooMany));
    }

    #[test]
    fn licences_of_recipes_are_put_in_the_words_of_spdx() {
        for (recipe, spdx) in [
            ("MIT", "MIT"),
            ("GPLv2 & bzip2-1.0.6", "GPL-2.0-only AND bzip2-1.0.6"),
            (
                "GPL-2.0-only&(MIT|LGPLv2.1+)",
                "GPL-2.0-only AND (MIT OR LGPL-2.1-or-later)",
            ),
            ("((MIT))", "((MIT))"),
            (
                "GPL-3.0-with-GCC-exception & GPL-3.0-only",
                "GPL-3.0-only WITH GCC-exception-3.1 AND GPL-3.0-only",
            ),
        ] {
            let found = expression(recipe);
            assert_eq!(found.text, spdx, "{recipe}");
            assert_eq!(found.others, BTreeMap::new());
        }
    }

    #[test]
    fn what_spdx_has_no_name_for_is_kept_as_it_is() {
        let of = |recipe: &str| {
            let found = expression(recipe);
            let others: Vec<_> = found.others.into_iter().collect();
            let others = others.iter().map(|(id, text)| format!("{id}={text}"));
            (found.text, others.collect::<Vec<_>>().join(" "))
        };
        let expect = |recipe: &str, text: &str, others: &str| {
            assert_eq!(of(recipe), (text.to_owned(), others.to_owned()), "{recipe}");
        };
        // Busybox and libgcc of Yocto 4.0 and 5.0.
        expect(
            "GPL-2.0-only & bzip2-1.0.4",
            "GPL-2.0-only AND LicenseRef-bzip2-1.0.4",
            "LicenseRef-bzip2-1.0.4=bzip2-1.0.4",
        );
        expect(
            "PD & (MIT | CLOSED | PD)",
            "LicenseRef-PD AND (MIT OR LicenseRef-CLOSED OR LicenseRef-PD)",
            "LicenseRef-CLOSED=CLOSED LicenseRef-PD=PD",
        );
        // Names that a reference cannot have stay apart from one another.
        let (one, other) = (of("a_b").0, of("a+b").0);
        // By the beginning of the SHA-256 of the name, as `sha256sum` gives it.
        assert_eq!(one, "LicenseRef-a-b-648fa9b3");
        assert_eq!(other, "LicenseRef-a-b-300273da");
        assert_eq!(of("é").0, "LicenseRef---4a99557e");
        assert_ne!(one, other);
        assert_ne!(one, of("a-b").0);
        for wrong in ["MIT MIT", "MIT &", "& MIT", "(MIT", "MIT)", ")MIT(", "()"] {
            let found = expression(wrong);
            assert!(found.text.starts_with("LicenseRef-"), "{wrong}");
            assert_eq!(found.others[&found.text], wrong);
        }
    }
}
