//! Licences of Debian packages in SPDX's words.

use std::collections::BTreeSet;

/// The SPDX expression (SPDX 2.3, annex D) for a set of short names as Debian's
/// machine-readable copyright files have them, all of which apply. `None` where there
/// is none, or one of them has no counterpart: half a truth about licences is none.
pub(super) fn expression(short_names: &BTreeSet<String>) -> Option<String> {
    let ids: BTreeSet<&str> = short_names
        .iter()
        .map(|name| spdx(name))
        .collect::<Option<_>>()?;
    let ids: Vec<&str> = ids.into_iter().collect();
    (!ids.is_empty()).then(|| ids.join(" AND "))
}

/// Debian's short names whose meaning the copyright format defines (section 7.2).
fn spdx(short_name: &str) -> Option<&'static str> {
    Some(match short_name {
        "Apache-2.0" => "Apache-2.0",
        "Artistic" | "Artistic-1.0" => "Artistic-1.0",
        "Artistic-2.0" => "Artistic-2.0",
        "BSD-2-clause" => "BSD-2-Clause",
        "BSD-3-clause" => "BSD-3-Clause",
        "BSD-4-clause" => "BSD-4-Clause",
        "CC0-1.0" | "CC0" => "CC0-1.0",
        "Expat" => "MIT",
        "GFDL-1.3" => "GFDL-1.3-only",
        "GFDL-1.3+" => "GFDL-1.3-or-later",
        "GPL-1" => "GPL-1.0-only",
        "GPL-1+" => "GPL-1.0-or-later",
        "GPL-2" => "GPL-2.0-only",
        "GPL-2+" => "GPL-2.0-or-later",
        "GPL-3" => "GPL-3.0-only",
        "GPL-3+" => "GPL-3.0-or-later",
        "ISC" => "ISC",
        "LGPL-2" => "LGPL-2.0-only",
        "LGPL-2+" => "LGPL-2.0-or-later",
        "LGPL-2.1" => "LGPL-2.1-only",
        "LGPL-2.1+" => "LGPL-2.1-or-later",
        "LGPL-3" => "LGPL-3.0-only",
        "LGPL-3+" => "LGPL-3.0-or-later",
        "MPL-1.1" => "MPL-1.1",
        "MPL-2.0" => "MPL-2.0",
        "Zlib" => "Zlib",
        _ => return None,
    })
}

/// An SPDX expression that the maker of an Alpine package wrote, where it is one of
/// licences that are known here: older packages have words of their own.
pub(super) fn written(text: &str) -> Option<&str> {
    let words = text.split(|c: char| c == '(' || c == ')' || c.is_ascii_whitespace());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let known = |(at, word): (usize, &&str)| match at % 2 {
        0 => SPDX.contains(word) || spdx(word) == Some(*word),
        _ => matches!(*word, "AND" | "OR"),
    };
    // Words are licences and operators in turn, with a licence at either end.
    let right = words.len() % 2 == 1 && words.iter().enumerate().all(known);
    let balanced = text.matches('(').count() == text.matches(')').count();
    (right && balanced).then_some(text)
}

/// Licences of Alpine packages, by their SPDX identifiers, that Debian has no short name
/// for or another one.
const SPDX: [&str; 24] = [
    "0BSD",
    "Apache-1.1",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-4-Clause",
    "BSL-1.0",
    "GPL-1.0-only",
    "GPL-1.0-or-later",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "LGPL-2.0-only",
    "LGPL-2.0-or-later",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "MIT",
    "OFL-1.1",
    "PostgreSQL",
    "Python-2.0",
    "Unlicense",
    "X11",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alpine_writes_counts_where_it_is_spdx() {
        for right in [
            "MIT",
            "GPL-2.0-only",
            "MIT AND BSD-2-Clause",
            "(MIT OR Zlib) AND ISC",
        ] {
            assert_eq!(written(right), Some(right));
        }
        for wrong in [
            "",
            "GPL3+",
            "custom",
            "MIT BSD-2-Clause",
            "MIT AND",
            "AND MIT",
            "MIT AND GPL",
        ] {
            assert_eq!(written(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_unknown_name_spoils_the_set() {
        let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        assert_eq!(
            expression(&set(&["GPL-2+", "Expat"])).as_deref(),
            Some("GPL-2.0-or-later AND MIT")
        );
        assert_eq!(expression(&set(&["GPL-2+", "custom"])), None);
        assert_eq!(expression(&set(&[])), None);
    }
}
