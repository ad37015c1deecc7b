//! What a Debian package says about itself: its control file and its licences.

use std::collections::BTreeSet;

use debversion::Version;
use serde::{Deserialize, Serialize};

/// The fields of a binary package's control file that matter here (Debian Policy
/// §5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The package's name.
    pub package: String,
    /// Its version, as written.
    pub version: String,
    /// Its architecture, `all` where it fits every one.
    pub architecture: String,
    /// The packages whose files it may take over (§7.6.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<Relation>,
}

/// A package, perhaps with a bound on its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// The package's name.
    pub package: String,
    /// An operator (`<<`, `<=`, `=`, `>=`, `>>`) and a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<(String, String)>,
}

impl Control {
    /// Reads a control file; the error says what is wrong with it.
    ///
    /// # Errors
    /// A sentence without a subject: `has no Version`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let paragraph: deb822_fast::Paragraph = text
            .parse()
            .map_err(|error| format!("cannot be read: {error}"))?;
        let field = |name: &str| {
            paragraph
                .get(name)
                .map(str::trim)
                .filter(|value| !value.is_empty() && !value.contains(['\n', ' ']))
                .map(str::to_owned)
                .ok_or_else(|| format!("has no {name}, or a strange one"))
        };
        Ok(Self {
            package: field("Package")?,
            version: field("Version")?,
            architecture: field("Architecture")?,
            replaces: paragraph.get("Replaces").map(relations).unwrap_or_default(),
        })
    }

    /// Whether this package may take over files of `other`.
    #[must_use]
    pub fn may_replace(&self, other: &Self) -> bool {
        self.replaces.iter().any(|relation| {
            relation.package == other.package
                && relation
                    .bound
                    .as_ref()
                    .is_none_or(|(operator, bound)| holds(&other.version, operator, bound))
        })
    }
}

/// Whether `version OPERATOR bound` holds; false where a version makes no sense.
fn holds(version: &str, operator: &str, bound: &str) -> bool {
    let (Ok(version), Ok(bound)) = (version.parse::<Version>(), bound.parse::<Version>()) else {
        return false;
    };
    match operator {
        "<<" => version < bound,
        "<=" => version <= bound,
        "=" => version == bound,
        ">=" => version >= bound,
        ">>" => version > bound,
        _ => false,
    }
}

fn relations(field: &str) -> Vec<Relation> {
    field
        .split(',')
        .filter_map(|relation| {
            let (name, bound) = match relation.split_once('(') {
                None => (relation, None),
                Some((name, bound)) => {
                    let bound = bound.trim_end().strip_suffix(')')?.trim();
                    let at = bound.find(|letter: char| !"<>=".contains(letter))?;
                    let (operator, version) = bound.split_at(at);
                    (name, Some((operator.to_owned(), version.trim().to_owned())))
                }
            };
            let name = name.trim();
            let package = name.split_once(':').map_or(name, |(name, _)| name);
            (!package.is_empty()).then(|| Relation {
                package: package.to_owned(),
                bound,
            })
        })
        .collect()
}

/// The short names of licences in a machine-readable copyright file (DEP-5, version
/// 1.0 of the format); nothing where it is not machine-readable.
#[must_use]
pub fn licences(copyright: &str) -> BTreeSet<String> {
    let mut paragraphs = copyright
        .split("\n\n")
        .skip_while(|paragraph| paragraph.trim().is_empty());
    let Some(first) = paragraphs.next() else {
        return BTreeSet::new();
    };
    let is_dep5 = first.lines().any(|line| {
        field(line, "format").is_some_and(|value| {
            value.contains("copyright-format") || value.to_ascii_lowercase().contains("dep5")
        })
    });
    if !is_dep5 {
        return BTreeSet::new();
    }
    copyright
        .lines()
        .filter_map(|line| field(line, "license"))
        .map(str::trim)
        .filter(|name| !name.is_empty() && name.len() <= 200)
        .map(str::to_owned)
        .collect()
}

/// The value of `line` where it is the first line of the field `name`, whose name is
/// given in lower case.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = line.split_once(':')?;
    key.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_file_and_replaces() {
        let new = Control::parse(
            "Package: new\nVersion: 2:1.0-1\nArchitecture: amd64\nReplaces: old (<< 2.0~), other:any\nDescription: x\n .\n more\n",
        )
        .unwrap();
        let old = |version: &str| {
            Control::parse(&format!(
                "Package: old\nVersion: {version}\nArchitecture: all\n"
            ))
            .unwrap()
        };
        assert!(new.may_replace(&old("1.9")));
        assert!(!new.may_replace(&old("2.0~")));
        assert!(!old("1").may_replace(&new));
        for bad in [
            "",
            "Package: x\nVersion: 1\n",
            "Package: a b\nVersion: 1\nArchitecture: all\n",
        ] {
            assert!(Control::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn licences_of_dep5_only() {
        let dep5 = "Format: https://www.example.org/copyright-format/1.0/\nUpstream-Name: x\n\nFiles: *\nLicense: GPL-2+\n text\n\nFiles: b\nLicense: MIT or BSD-3-clause\n";
        assert_eq!(
            licences(dep5).into_iter().collect::<Vec<_>>(),
            ["GPL-2+", "MIT or BSD-3-clause"]
        );
        assert!(licences("This is free.\n\nLicense: GPL\n").is_empty());
    }
}
