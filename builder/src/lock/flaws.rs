//! What is wrong with a lock that `luni lock` did not write.

use lunikernel_cache::Digest;
use lunikernel_cache::tree::is_name;

use super::file::{LockedApks, LockedDebs, LockedSource};
use crate::fetch::LARGEST;
use crate::source::apk::VouchedIndex;
use crate::source::tcz::{LockedTczs, is_extension};

/// The largest package, in bytes: the size field of an `ar` member has ten digits.
const MAX_PACKAGE: u64 = 9_999_999_999;

impl LockedSource {
    /// What is wrong with it, where `luni lock` would not have written it.
    pub(super) fn flaw(&self) -> Option<String> {
        let of_kind = match self {
            Self::Deb(debs) => of_debs(debs),
            Self::Apk(apks) => of_apks(apks),
            Self::Oci(oci) => oci.flaw(),
            Self::Tcz(tczs) => of_extensions(tczs),
            // Addresses are looked at where they are used.
            Self::Url(_) | Self::Git(_) | Self::Crate(_) | Self::File(_) => None,
        };
        of_kind.or_else(|| self.digests().iter().find_map(size))
    }
}

/// What is wrong with the size of what may be fetched: it says how much may come.
pub(super) fn size(digest: &Digest) -> Option<String> {
    let size = digest.size;
    (size > LARGEST).then(|| format!("{size} bytes is more than is fetched ({LARGEST})"))
}

fn size_of_package(size: u64) -> Option<String> {
    (size > MAX_PACKAGE)
        .then(|| format!("{size} bytes is more than a package can have ({MAX_PACKAGE})"))
}

fn of_debs(debs: &LockedDebs) -> Option<String> {
    debs.packages.iter().find_map(|package| {
        let path = &package.path;
        let why = match path.split('/').all(is_name) {
            true => size_of_package(package.size),
            false => Some(format!("`{path}` is no path below an archive")),
        };
        Some(format!("package `{}`: {}", package.name, why?))
    })
}

fn of_apks(apks: &LockedApks) -> Option<String> {
    let mut before = "";
    for package in &apks.packages {
        let name = package.name.as_str();
        let is_indexed = |index: &VouchedIndex| index.repository == package.repository;
        let flaw = package.flaw().or_else(|| {
            if let Some(why) = size_of_package(package.size) {
                return Some(format!("`{name}`: {why}"));
            }
            if !apks.indexes.iter().any(is_indexed) {
                let repository = &package.repository;
                return Some(format!("`{name}`: no index is of `{repository}`"));
            }
            (name <= before)
                .then(|| format!("`{name}` is not behind `{before}`, or is there twice"))
        });
        if flaw.is_some() {
            return flaw;
        }
        before = name;
    }
    None
}

fn of_extensions(tczs: &LockedTczs) -> Option<String> {
    tczs.extensions.iter().find_map(|extension| {
        let mut names = extension.depends.iter().chain([&extension.name]);
        if let Some(name) = names.find(|name| !is_extension(name)) {
            return Some(format!("`{name}` is no extension"));
        }
        let md5 = &extension.md5;
        let is_md5 = md5.len() == 32 && md5.bytes().all(|byte| byte.is_ascii_hexdigit());
        (!is_md5 || extension.size > MAX_PACKAGE).then(|| {
            let name = &extension.name;
            format!("extension `{name}`: its MD5 or its size makes no sense")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::LockFile;

    #[test]
    fn packages_of_alpine_are_such_as_locking_writes() {
        let zeros = format!("sha256:{}", "0".repeat(64));
        let package = |name: &str, repository: &str, size: u64| {
            format!(
                "      - {{name: {name}, version: 1-r0, repository: '{repository}', \
                 checksum: Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=, sha256: '{zeros}', size: {size}}}\n"
            )
        };
        let lock = |packages: &[String]| {
            LockFile::parse(&format!(
                "lockfile: lunikernel-lock/1\nsources:\n  a:\n    apk:\n      \
                 request: {{repositories: ['file:///r'], packages: [a]}}\n      indexes:\n      \
                 - {{repository: 'file:///r', index: {{sha256: '{zeros}', size: 1}}, \
                 key: k.rsa.pub, fingerprint: '{zeros}'}}\n      packages:\n{}",
                packages.concat()
            ))
        };
        let good = [package("a", "file:///r", 1), package("b", "file:///r", 1)];
        lock(&good).unwrap();
        for (bad, expected) in [
            ([good[1].clone(), good[0].clone()], "not behind `b`"),
            ([good[0].clone(), good[0].clone()], "there twice"),
            ([good[0].clone(), package("b", "file:///s", 1)], "no index"),
            (
                [good[0].clone(), package("b", "file:///r", MAX_PACKAGE + 1)],
                "more than a package can have",
            ),
        ] {
            let error = lock(&bad).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn no_lock_says_that_anything_is_larger_than_what_is_fetched() {
        let zeros = format!("sha256:{}", "0".repeat(64));
        let url = format!("url: {{url: 'http://h/f', sha256: '{zeros}', size: SIZE}}");
        let krate = format!("crate: {{name: c, version: 1.0.0, sha256: '{zeros}', size: SIZE}}");
        let git = format!(
            "git: {{url: 'http://h/r', rev: main, commit: {}, tree: {{sha256: '{zeros}', size: SIZE}}}}",
            "0".repeat(40)
        );
        let file =
            format!("file: {{path: f, kind: file, digest: {{sha256: '{zeros}', size: SIZE}}}}");
        let step = format!("{{asked: '{zeros}', outputs: {{sha256: '{zeros}', size: SIZE}}}}");
        let source = |text: &String| format!("sources:\n  s:\n    {text}\n");
        let step = format!("sources: {{}}\nsteps:\n  s: {step}\n");
        for text in [&url, &krate, &git, &file]
            .map(source)
            .into_iter()
            .chain([step])
        {
            let lock = |size: u64| {
                let text = text.replace("SIZE", &size.to_string());
                LockFile::parse(&format!("lockfile: lunikernel-lock/1\n{text}"))
            };
            lock(LARGEST).unwrap();
            for size in [LARGEST + 1, 99_999_999_999_999] {
                let error = lock(size).unwrap_err().to_string();
                assert!(error.contains("`s`: "), "{error}");
                assert!(error.contains("is more than is fetched"), "{error}");
            }
        }
    }
}
