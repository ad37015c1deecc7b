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

#[cfg(test)]
mod tests {
    use super::*;

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
