//! The variables of the environment that `luni` reads. `docs/environment.md` says more of
//! each; a test keeps both complete.

use std::env::VarError;

use url::Url;

use crate::exit::Exit;
use crate::failure::Failure;

/// Each variable, and what it is for.
pub(crate) const VARIABLES: [(&str, &str); 10] = [
    ("LUNI_CACHE", "the cache's folder, as --cache"),
    (
        "LUNI_MIRRORS",
        "mirrors to try first, separated by spaces, as --mirror",
    ),
    (
        "LUNI_MIRROR_AUTH",
        "what is shown to mirrors that want to know who asks",
    ),
    (
        "LUNI_IDLE_TIMEOUT",
        "after how many seconds without a byte a server is given up",
    ),
    ("LUNI_SANDBOX", "what steps run in, as --sandbox"),
    (
        "LUNI_ENGINE_NETWORK",
        "the network of containers whose steps may use one",
    ),
    (
        "LUNI_APT_ROOT",
        "the folder below which etc/apt says where packages come from",
    ),
    (
        "LUNI_SNAPSHOT_URL",
        "the archive of snapshots of Debian that old packages are fetched from",
    ),
    (
        "NO_COLOR",
        "where it is set and not empty, nothing is coloured",
    ),
    (
        "XDG_CACHE_HOME",
        "where the cache is without LUNI_CACHE: its folder lunikernel",
    ),
];

/// What the variable `name` is set to; nothing is the same as not set.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            let message = format!("what {name} is set to is not UTF-8");
            Err(Failure::new(Exit::Usage, message)
                .with_hint("set it to something else; `docs/environment.md` says what it is for"))
        }
    }
}

/// The address of an archive of snapshots, where `LUNI_SNAPSHOT_URL` names one.
pub(crate) fn snapshots() -> Result<Option<String>, Failure> {
    let Some(named) = variable("LUNI_SNAPSHOT_URL")? else {
        return Ok(None);
    };
    let fits = |url: Url| matches!(url.scheme(), "file" | "http" | "https");
    if Url::parse(&named).is_ok_and(fits) && named.contains("@SNAPSHOTID@") {
        return Ok(Some(named));
    }
    let message = format!("`{named}` in LUNI_SNAPSHOT_URL is no archive of snapshots");
    Err(Failure::new(Exit::Usage, message)
        .with_hint("write `https://HOST/archive/@ARCHIVE@/@SNAPSHOTID@/`"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use fs_err as fs;

    use super::VARIABLES;

    /// Every source file below `folder` that is no test.
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.ends_with("tests") || path.ends_with("tests.rs");
            if path.is_dir() && !is_test {
                sources(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") && !is_test {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_variable_of_the_code_is_documented() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        for folder in ["src", "cache/src", "builder/src", "exporters/src"] {
            sources(&top.join(folder), &mut files);
        }
        let mut names: BTreeSet<String> = VARIABLES.map(|(name, _)| name.to_owned()).into();
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            for (_, after) in text
                .match_indices("\"LUNI_")
                .map(|(at, _)| text.split_at(at + 1))
            {
                let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
                let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
                names.insert(after[..end].to_owned());
            }
        }
        // What only tests read.
        names.remove("LUNI_");
        names.retain(|name| !name.starts_with("LUNI_TEST_"));
        assert!(names.len() > VARIABLES.len(), "{names:?}");
        let page = fs::read_to_string(top.join("docs/environment.md")).unwrap();
        for name in names {
            assert!(
                page.contains(&format!("| `{name}")),
                "docs/environment.md lacks {name}"
            );
        }
    }
}
