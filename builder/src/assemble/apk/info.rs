//! `.PKGINFO`: what a package says about itself.

use lunikernel_cache::Sha256;
use serde::{Deserialize, Serialize};

/// What a package says about itself. Lists are in the order in which it has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, `noarch` for those that run everywhere.
    pub arch: String,
    /// What it is, in one line.
    pub description: String,
    /// Where its project is on the web.
    pub url: String,
    /// Its licence, as an SPDX expression where its maker wrote one.
    pub licence: String,
    /// What was built together with it.
    pub origin: String,
    /// Who takes care of it.
    pub maintainer: String,
    /// When it was built, in seconds since 1970.
    pub build_date: String,
    /// The commit of the recipe that it was built from.
    pub commit: String,
    /// How large its files are together, in bytes.
    pub size: String,
    /// What it needs, and what must not be there.
    pub depends: Vec<String>,
    /// What it provides beside its name.
    pub provides: Vec<String>,
    /// Packages whose files it may replace.
    pub replaces: Vec<String>,
    /// What must all be there for it to come along without being asked for.
    pub install_if: Vec<String>,
    /// Folders; where something changes in one of them its trigger is run.
    pub triggers: Vec<String>,
    /// How much it should be preferred to others that provide the same.
    pub provider_priority: String,
    /// How much its files should be preferred to those of others.
    pub replaces_priority: u64,
    /// SHA-256 of its data member.
    pub data: Option<Sha256>,
}

/// The largest that is read, in bytes.
pub(super) const MAX_SIZE: u64 = 4 << 20;

impl Info {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it, in words that go on from "its .PKGINFO".
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut info = Self::default();
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                return Err(format!(
                    "has the line {:?}: expected `key = value`",
                    line.chars().take(80).collect::<String>()
                ));
            };
            info.take(key.trim(), value.trim())?;
        }
        for (key, value) in [
            ("pkgname", &info.name),
            ("pkgver", &info.version),
            ("arch", &info.arch),
        ] {
            if value.is_empty() {
                return Err(format!("has no `{key}`"));
            }
        }
        Ok(info)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        let one = match key {
            "pkgname" => &mut self.name,
            "pkgver" => &mut self.version,
            "arch" => &mut self.arch,
            "pkgdesc" => &mut self.description,
            "url" => &mut self.url,
            "license" => &mut self.licence,
            "origin" => &mut self.origin,
            "maintainer" => &mut self.maintainer,
            "builddate" => &mut self.build_date,
            "commit" => &mut self.commit,
            "size" => &mut self.size,
            "provider_priority" => &mut self.provider_priority,
            "depend" => return push(&mut self.depends, key, value),
            "provides" => return push(&mut self.provides, key, value),
            "replaces" => return push(&mut self.replaces, key, value),
            "install_if" => return push(&mut self.install_if, key, value),
            "triggers" => {
                let mut globs = value.split_ascii_whitespace();
                return globs.try_for_each(|glob| push(&mut self.triggers, key, glob));
            }
            "replaces_priority" => {
                let wrong = |_| format!("has the replaces_priority {value:?}, which is no number");
                self.replaces_priority = value.parse().map_err(wrong)?;
                return Ok(());
            }
            "datahash" => {
                let digest = value
                    .parse()
                    .map_err(|_| format!("has the datahash {value:?}, which is no SHA-256"))?;
                return match self.data.replace(digest) {
                    None => Ok(()),
                    Some(_) => Err("has two of `datahash`".to_owned()),
                };
            }
            // Keys that say how it was built, and those that are yet to come.
            _ => return Ok(()),
        };
        if !one.is_empty() {
            return Err(format!("has two of `{key}`"));
        }
        value.clone_into(one);
        Ok(())
    }

    /// `name version`, for messages.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// Adds to a list. Each of what a package replaces and watches is compared with each path of
/// others, so there may be few of them; real packages have a dozen.
fn push(list: &mut Vec<String>, key: &str, value: &str) -> Result<(), String> {
    let most = match key {
        "replaces" => 1000,
        "triggers" => 256,
        _ => 100_000,
    };
    if list.len() >= most {
        return Err(format!("has more than {most} of `{key}`"));
    }
    list.push(value.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# by a tool\npkgname = a\npkgver = 1-r0\narch = x86_64\ndepend = b\n\
                        depend = c>1\ntriggers = /bin /usr/lib/*\nprovides = cmd:a=1-r0\n";

    #[test]
    fn fields_are_read() {
        let data = format!("{GOOD}datahash = {}\nnew = thing\n", "0".repeat(64));
        let info = Info::parse(&data).unwrap();
        assert_eq!(info.label(), "a 1-r0");
        assert_eq!(info.depends, ["b", "c>1"]);
        assert_eq!(info.triggers, ["/bin", "/usr/lib/*"]);
        assert_eq!(info.provides, ["cmd:a=1-r0"]);
        assert_eq!(info.data.unwrap().hex(), "0".repeat(64));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "",
            "pkgname = a",
            "pkgname a",
            &format!("{GOOD}pkgver = 2"),
            &format!("{GOOD}datahash = 12"),
            &format!("{GOOD}replaces_priority = x"),
            &format!("{GOOD}{}", "replaces = b\n".repeat(1001)),
            &format!("{GOOD}triggers = {}", "/x ".repeat(257)),
            &format!("{GOOD}{}", "depend = b\n".repeat(100_001)),
        ] {
            assert!(Info::parse(bad).is_err(), "{bad}");
        }
    }
}
