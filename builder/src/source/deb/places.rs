//! Where the bytes of a locked package may be had, now and in ten years.
//!
//! Mirrors drop a package soon after it is superseded; archives of snapshots keep every
//! state of a distribution by the time at which it was published. Their addresses come
//! from configuration, or from the convention that a distribution which serves packages
//! at `deb.HOST` keeps its snapshots at `snapshot.HOST/archive/`.

use url::{Host, Url};

use super::apt_config::{AptConfig, archive_name};
use super::date::Date;
use super::packages::is_safe_path;
use super::{LockedDeb, Vouched};

/// How long after a release's date its packages are certainly in the archive of
/// snapshots, in seconds. Snapshots are taken some hours after a release is dated, and
/// superseded packages stay in an archive for longer than that.
const SETTLED: u64 = 24 * 3600;

/// The addresses where a locked package may be had, best first: the machine's own
/// package sources (those of the same archive before others), then archives of
/// snapshots.
///
/// `template` is the address of an archive of snapshots that someone named explicitly,
/// `of_release` the one that the release file names where that is known. In both
/// `@ARCHIVE@` stands for the archive's name, `@SNAPSHOTID@` for the time.
#[must_use]
pub fn places(
    deb: &LockedDeb,
    release: &Vouched,
    apt: &AptConfig,
    template: Option<&str>,
    of_release: Option<&str>,
) -> Vec<Url> {
    let mut places = Vec::new();
    if !is_safe_path(&deb.path) {
        return places;
    }
    let mut add = |base: &Url| {
        if let Ok(url) = base.join(&deb.path)
            && !places.contains(&url)
        {
            places.push(url);
        }
    };
    let (same, other): (Vec<&Url>, Vec<&Url>) = apt
        .entries
        .iter()
        .map(|entry| &entry.uri)
        .partition(|uri| archive_name(uri) == deb.archive);
    for uri in same.into_iter().chain(other) {
        add(uri);
    }
    for id in snapshot_ids(&release.snapshot) {
        for base in snapshot_bases(release, apt, template, of_release, &id) {
            add(&base);
        }
    }
    places
}

/// The moments whose snapshots have a release's packages: its own, in case that it is
/// known to the archive, and one at which all of them have arrived.
fn snapshot_ids(snapshot: &str) -> Vec<String> {
    let Some(date) = Date::parse_snapshot(snapshot) else {
        return Vec::new();
    };
    let settled = Date::from_seconds(date.seconds() + SETTLED);
    vec![date.snapshot(), settled.snapshot()]
}

/// The roots of `release`'s archive at a moment, best first.
fn snapshot_bases(
    release: &Vouched,
    apt: &AptConfig,
    template: Option<&str>,
    of_release: Option<&str>,
    id: &str,
) -> Vec<Url> {
    let filled = |template: &str| {
        let text = template
            .replace("@ARCHIVE@", &release.archive)
            .replace("@SNAPSHOTID@", id);
        let text = if text.ends_with('/') {
            text
        } else {
            format!("{text}/")
        };
        Url::parse(&text).ok()
    };
    let configured = apt
        .snapshots
        .iter()
        .filter(|(what, _)| is_for(what, release))
        .map(|(_, template)| template.as_str());
    let mut bases: Vec<Url> = template
        .into_iter()
        .chain(configured)
        .chain(of_release)
        .filter_map(filled)
        .collect();
    for entry in &apt.entries {
        let base = by_convention(&entry.uri)
            .and_then(|base| base.join(&format!("{}/{id}/", release.archive)).ok());
        bases.extend(base.filter(|base| !bases.contains(base)));
    }
    bases
}

/// Whether a setting of apt, `label::NAME`, `origin::NAME` or `host::NAME`, is about
/// this release.
fn is_for(what: &str, release: &Vouched) -> bool {
    let names = |name: &Option<String>, wanted: &str| {
        name.as_deref()
            .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    };
    match what.split_once("::") {
        Some(("label", wanted)) => names(&release.label, wanted),
        Some(("origin", wanted)) => names(&release.origin, wanted),
        // Which host a release came from is not recorded; the hash decides in the end.
        Some(("host", _)) => true,
        _ => false,
    }
}

/// `http://snapshot.HOST/archive/` for a source at `deb.HOST`, `security.HOST`,
/// `ftp.HOST` or `ftp.COUNTRY.HOST`.
fn by_convention(uri: &Url) -> Option<Url> {
    let Some(Host::Domain(host)) = uri.host() else {
        return None;
    };
    let (first, mut rest) = host.split_once('.')?;
    if !matches!(first, "deb" | "security" | "ftp") {
        return None;
    }
    if let Some((country, host)) = rest.split_once('.')
        && country.len() == 2
        && host.contains('.')
    {
        rest = host;
    }
    let scheme = uri.scheme();
    rest.contains('.')
        .then(|| Url::parse(&format!("{scheme}://snapshot.{rest}/archive/")).ok())
        .flatten()
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
