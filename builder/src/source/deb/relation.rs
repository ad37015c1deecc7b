//! Relations between packages: `libc6 (>= 2.36), awk | mawk`, as section 7.1 of the
//! Debian policy defines them.

use std::fmt;

use debversion::Version;

/// One alternative of a relation: a name, perhaps with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) name: String,
    /// What follows the colon: `any`, `native` or an architecture.
    pub(super) qualifier: Option<String>,
    pub(super) version: Option<(Comparison, Version)>,
}

/// How a version must compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Earlier,
    EarlierOrEqual,
    Equal,
    LaterOrEqual,
    Later,
}

impl Comparison {
    fn sign(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }

    pub(super) fn holds(self, left: &Version, right: &Version) -> bool {
        match self {
            Self::Earlier => left < right,
            Self::EarlierOrEqual => left <= right,
            Self::Equal => left == right,
            Self::LaterOrEqual => left >= right,
            Self::Later => left > right,
        }
    }
}

impl Relation {
    /// Whether this version of a package of the right name will do.
    pub(super) fn admits(&self, version: &Version) -> bool {
        self.version
            .as_ref()
            .is_none_or(|(comparison, wanted)| comparison.holds(version, wanted))
    }

    /// Whether a package that provides the name will do. A provision without a version
    /// satisfies only relations without one (policy 7.5).
    pub(super) fn admits_provision(&self, provided: Option<&Version>) -> bool {
        match (&self.version, provided) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((comparison, wanted)), Some(version)) => comparison.holds(version, wanted),
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        match &self.version {
            Some((comparison, version)) => write!(f, " ({} {version})", comparison.sign()),
            None => Ok(()),
        }
    }
}

/// Reads a field of relations: all of the outer list are wanted, one of each inner
/// list will do. The error says what could not be read.
pub(super) fn parse(field: &str) -> Result<Vec<Vec<Relation>>, String> {
    field
        .split(',')
        .map(str::trim)
        // Empty items are what a trailing comma leaves; dpkg allows it.
        .filter(|item| !item.is_empty())
        .map(|item| item.split('|').map(parse_one).collect())
        .collect()
}

fn parse_one(text: &str) -> Result<Relation, String> {
    let unreadable = || {
        let begin: String = text.trim().chars().take(80).collect();
        format!("`{}` is no relation between packages", begin.escape_debug())
    };
    let (target, version) = match text.split_once('(') {
        Some((target, rest)) => {
            let (version, rest) = rest.split_once(')').ok_or_else(unreadable)?;
            if !rest.trim().is_empty() {
                return Err(unreadable());
            }
            (target.trim(), Some(version.trim()))
        }
        None => (text.trim(), None),
    };
    let (name, qualifier) = match target.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (target, None),
    };
    let well_formed = is_name(name)
        && qualifier.is_none_or(|qualifier| {
            !qualifier.is_empty()
                && qualifier
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
    if !well_formed {
        return Err(unreadable());
    }
    Ok(Relation {
        name: name.to_owned(),
        qualifier: qualifier.map(str::to_owned),
        version: version
            .map(|version| comparison(version).ok_or_else(unreadable))
            .transpose()?,
    })
}

fn comparison(text: &str) -> Option<(Comparison, Version)> {
    // A lone `<` or `>` is the obsolete spelling of `<=` and `>=` (policy 7.1).
    let (comparison, version) = [
        ("<<", Comparison::Earlier),
        ("<=", Comparison::EarlierOrEqual),
        (">>", Comparison::Later),
        (">=", Comparison::LaterOrEqual),
        ("=", Comparison::Equal),
        ("<", Comparison::EarlierOrEqual),
        (">", Comparison::LaterOrEqual),
    ]
    .into_iter()
    .find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)))?;
    Some((comparison, parse_version(version.trim())?))
}

/// Reads a version, as section 5.6.12 of the Debian policy defines it.
pub(super) fn parse_version(text: &str) -> Option<Version> {
    // Digits beyond any real version would only make comparing slow.
    (text.len() <= 512).then(|| text.parse().ok()).flatten()
}

/// Whether a package may be called this.
pub(super) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 256
        && bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read() {
        let parsed = parse("libc6 (>= 2.36), awk | mawk:any (<<1.3-4~) ,").unwrap();
        let shown: Vec<Vec<String>> = parsed
            .iter()
            .map(|either| either.iter().map(Relation::to_string).collect())
            .collect();
        assert_eq!(
            shown,
            [vec!["libc6 (>= 2.36)"], vec!["awk", "mawk:any (<< 1.3-4~)"]]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "a (1)",
            "a (>= )",
            "a (>= 1",
            "a b",
            "|",
            "a [amd64]",
            "-a",
            "a:",
            "a (= 1) x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let long = format!("a (= {})", "1".repeat(100_000));
        for hostile in [&*long, "a\u{1b}[2J"] {
            let said = parse(hostile).unwrap_err();
            assert!(said.len() < 200 && !said.contains(char::is_control));
        }
    }

    #[test]
    fn versions_compare_as_policy_says() {
        let admits = |relation: &str, version: &str| {
            parse(relation).unwrap()[0][0].admits(&version.parse().unwrap())
        };
        assert!(admits("a (>= 1.0~rc1)", "1.0"));
        assert!(!admits("a (>= 1.0)", "1.0~rc1"));
        assert!(admits("a (<< 1:0)", "99"));
        assert!(admits("a (= 1.0)", "1.0-0"));
        assert!(admits("a (>> 1.0-9)", "1.0-10"));
    }
}
