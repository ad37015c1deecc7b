//! Sources: where things come from.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path as FilePath;

use url::Url;

use super::{Findings, text};
use crate::recipe::path::Path;
use crate::recipe::{ApkSource, CrateSource, DebSource, OciSource, Recipe, Source, TczSource};
use crate::source::krate;
use crate::source::oci::Reference;
use crate::source::tcz::is_extension;

pub(super) fn check(recipe: &Recipe, folder: Option<&FilePath>, findings: &mut Findings) {
    let root = Path::new().key("sources");
    for (name, source) in &recipe.sources {
        let path = root.key(name);
        if !text::is_item_name(name) {
            findings.error(
                path.of_key(),
                format!("`{name}` is no name for a source"),
                "1 to 64 lower-case letters, digits and `._-`, beginning with a letter or digit",
            );
        }
        match source {
            Source::Deb(deb) => check_deb(deb, &path.key("deb"), findings),
            Source::Apk(apk) => {
                check_apk(apk, recipe, &path.key("apk"), folder, findings);
            }
            Source::Url(source) => check_url(&source.url, &path.key("url").key("url"), findings),
            Source::Git(git) => {
                let path = path.key("git");
                check_url(&git.url, &path.key("url"), findings);
                if !is_revision(&git.rev) {
                    findings.error(
                        path.key("rev"),
                        format!("`{}` names no commit", git.rev),
                        "a branch, a tag or a commit, such as `v1.2.0`",
                    );
                }
            }
            Source::Crate(source) => check_crate(source, &path.key("crate"), findings),
            Source::Oci(oci) => check_oci(oci, &path.key("oci"), findings),
            Source::Tcz(tcz) => check_tcz(tcz, &path.key("tcz"), findings),
            Source::File(file) => check_file(file, folder, &path.key("file"), findings),
        }
    }
}

/// Sources that nothing refers to; to be asked when everything else was looked at.
/// Where something is wrong a reference may be among it, so nothing is said then.
pub(super) fn unused(recipe: &Recipe, findings: &mut Findings) {
    if !findings.list.is_empty() {
        return;
    }
    for name in recipe.sources.keys() {
        if !findings.used.contains(name) {
            findings.warning(
                Path::new().key("sources").key(name).of_key(),
                format!("source `{name}` is not used"),
                "take it out, or name it in a step, in `rootfs` or in `kernel`",
            );
        }
    }
}

fn check_deb(deb: &DebSource, path: &Path, findings: &mut Findings) {
    if !text::is_deb_word(&deb.suite) {
        findings.error(
            path.key("suite"),
            format!("`{}` is no code name of a release", deb.suite),
            "a name such as `bookworm`",
        );
    }
    for (index, component) in deb.components.iter().enumerate() {
        if !text::is_deb_word(component) {
            findings.error(
                path.key("components").index(index),
                format!("`{component}` is no component of an archive"),
                "a name such as `main`",
            );
        }
    }
    for (key, list) in [("packages", &deb.packages), ("without", &deb.without)] {
        let path = path.key(key);
        for (index, package) in list.iter().enumerate() {
            let (name, version) = match package.split_once('=') {
                Some((name, version)) => (name, Some(version)),
                None => (package.as_str(), None),
            };
            let right = text::is_deb_package(name)
                && version.is_none_or(|version| key == "packages" && text::is_deb_version(version));
            if !right {
                findings.error(
                    path.index(index),
                    format!("`{package}` names no package"),
                    match key {
                        "packages" => {
                            "`name` or `name=version`, the name in lower-case letters, digits and `+-.`"
                        }
                        _ => "a name in lower-case letters, digits and `+-.`",
                    },
                );
            }
        }
        findings.no_duplicates(list, &path);
    }
    let wanted: BTreeSet<&String> = deb.packages.iter().collect();
    for (index, name) in deb.without.iter().enumerate() {
        if wanted.contains(name) {
            findings.error(
                path.key("without").index(index),
                format!("`{name}` is wanted and left out"),
                "a package that is not in `packages`",
            );
        }
    }
}

fn check_crate(source: &CrateSource, path: &Path, findings: &mut Findings) {
    if !krate::is_crate_name(&source.name) {
        findings.error(
            path.key("name"),
            format!("`{}` is no name of a crate", source.name),
            "1 to 64 letters, digits, `-` and `_`, beginning with a letter",
        );
    }
    if !krate::is_crate_version(&source.version) {
        findings.error(
            path.key("version"),
            format!("`{}` is no version of a crate", source.version),
            "all three numbers, such as `1.0.0`",
        );
    }
}

fn check_oci(oci: &OciSource, path: &Path, findings: &mut Findings) {
    const EXPECTED: &str = "`HOST/NAME:TAG` or `HOST/NAME@sha256:…`";
    match (&oci.image, &oci.layout) {
        (None, None) => findings.error(path.clone(), "no image is named", "`image` or `layout`"),
        (Some(image), None) => {
            if let Err(why) = Reference::parse(image) {
                let message = format!("`{image}` names no image: {why}");
                findings.error(path.key("image"), message, EXPECTED);
            }
        }
        (Some(image), Some(_)) if image.is_empty() => findings.error(
            path.key("image"),
            "the name of the image is empty",
            "its name in the layout, or none where that has only one",
        ),
        _ => {}
    }
    if let Some(layout) = &oci.layout {
        let path = path.key("layout");
        if layout.starts_with("file:") {
            check_url(layout, &path, findings);
        } else if let Err(why) = text::relative_path(layout) {
            // It need not be there: once it is locked, every part is known by its hash.
            findings.error(
                path,
                format!("`{layout}` is not beside the recipe: {why}"),
                "a path below the recipe's folder, or `file:///…`",
            );
        }
    }
}

fn check_apk(
    apk: &ApkSource,
    recipe: &Recipe,
    path: &Path,
    folder: Option<&FilePath>,
    findings: &mut Findings,
) {
    for (index, repository) in apk.repositories.iter().enumerate() {
        check_url(repository, &path.key("repositories").index(index), findings);
    }
    findings.no_duplicates(&apk.repositories, &path.key("repositories"));
    for (index, key) in apk.keys.iter().enumerate() {
        check_key(key, folder, &path.key("keys").index(index), findings);
    }
    findings.no_duplicates(&apk.keys, &path.key("keys"));
    if let Some(base) = &apk.base {
        let path = path.key("base");
        findings.part(base, 0, path.clone());
        let packed = |source: &Source| matches!(source, Source::Url(_) | Source::File(_));
        let is_source = base.contains('/') || recipe.sources.contains_key(base);
        if is_source && !recipe.sources.get(base).is_some_and(packed) {
            findings.error(
                path,
                format!("`{base}` is no packed root file system"),
                "a `url` or `file` source that is an archive, such as Alpine's minirootfs",
            );
        } else if let Some(Source::Url(url)) = recipe.sources.get(base)
            && url.sha256.is_none()
            && apk.keys.is_empty()
        {
            findings.warning(
                path,
                format!("whatever `{base}` is when it is first locked says which keys are trusted"),
                "give the source the `sha256` that its maker publishes, or name the keys in `keys`",
            );
        }
    }
    for (key, list) in [("packages", &apk.packages), ("without", &apk.without)] {
        let path = path.key(key);
        for (index, package) in list.iter().enumerate() {
            let versioned = key == "without" && package.contains(['=', '<', '>', '~']);
            let flaw = crate::source::apk::flaw_of_request(package);
            if let Some(why) =
                flaw.or_else(|| versioned.then(|| format!("`{package}` has a version")))
            {
                findings.error(
                    path.index(index),
                    why,
                    match key {
                        "packages" => "`name`, or `name=1.2-r0`, `name>1`, `name<2`, `name~1.2`",
                        _ => "a package's name",
                    },
                );
            }
        }
        findings.no_duplicates(list, &path);
    }
}

/// A key says what to trust while a recipe is locked. Once it is, every package is known by
/// its hash, and so a Lunikernel has the recipe it was built from without the key.
fn check_key(key: &str, folder: Option<&FilePath>, path: &Path, findings: &mut Findings) {
    let absent = |folder: &FilePath| {
        let found = fs_err::symlink_metadata(folder.join(key));
        found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    if text::relative_path(key).is_ok() && folder.is_some_and(absent) {
        return findings.warning(
            path.clone(),
            format!("there is no `{key}`"),
            "put the key beside the recipe before you lock it: `luni lock` trusts nothing else",
        );
    }
    check_file(key, folder, path, findings);
}

fn check_url(address: &str, path: &Path, findings: &mut Findings) {
    const EXPECTED: &str = "`https://…`, `http://…` or `file:///…`";
    match Url::parse(address) {
        // Parsing passes some of them over, and what is shown is what is written.
        Ok(_) if address.contains(char::is_control) => {
            findings.error(path.clone(), "the address has control characters", EXPECTED)
        }
        Err(error) => findings.error(
            path.clone(),
            format!("`{address}` is no address: {error}"),
            EXPECTED,
        ),
        Ok(url) if !["https", "http", "file"].contains(&url.scheme()) => findings.error(
            path.clone(),
            format!("`{}` is no scheme that can be fetched", url.scheme()),
            EXPECTED,
        ),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => findings
            .error_with_hint(
                path.clone(),
                "the address holds a user name or password",
                "an address that anyone may read",
                "recipes and locks are public; use a mirror with `--mirror URL`",
            ),
        Ok(_) => {}
    }
}

fn check_tcz(tcz: &TczSource, path: &Path, findings: &mut Findings) {
    check_url(&tcz.mirror, &path.key("mirror"), findings);
    for (index, name) in tcz.extensions.iter().enumerate() {
        if !is_extension(name) {
            findings.error(
                path.key("extensions").index(index),
                format!("`{name}` is no extension"),
                "a name such as `bash.tcz`",
            );
        }
    }
    findings.no_duplicates(&tcz.extensions, &path.key("extensions"));
    if let Some(kernel) = &tcz.kernel
        && !is_extension(&format!("{kernel}.tcz"))
    {
        findings.error(
            path.key("kernel"),
            format!("`{kernel}` is no release of a kernel"),
            "what `uname -r` gives, such as `6.12.11-tinycore64`",
        );
    }
}

/// Whether git can take it for a revision and not for an option or a range
/// (git-check-ref-format(1)).
fn is_revision(rev: &str) -> bool {
    !rev.is_empty()
        && rev.len() <= 200
        && !rev.starts_with(['-', '/'])
        && !rev.contains("..")
        && rev
            .chars()
            .all(|c| c.is_ascii_graphic() && !"~^:?*[\\".contains(c))
}

fn check_file(file: &str, folder: Option<&FilePath>, path: &Path, findings: &mut Findings) {
    if let Err(why) = text::relative_path(file) {
        return findings.error_with_hint(
            path.clone(),
            format!("`{file}` is not beside the recipe: {why}"),
            "a path below the recipe's folder, such as `files/hello.c`",
            "copy it into the recipe's folder; whoever builds the recipe has nothing else",
        );
    }
    let Some(folder) = folder else { return };
    let mut place = folder.to_owned();
    for part in file.split('/') {
        place.push(part);
        match fs_err::symlink_metadata(&place) {
            Err(error) => {
                return findings.error_with_hint(
                    path.clone(),
                    match error.kind() {
                        ErrorKind::NotFound => format!("there is no `{file}`"),
                        other => format!("`{file}` cannot be read: {other}"),
                    },
                    "a file or folder beside the recipe",
                    "paths are relative to the recipe's folder",
                );
            }
            Ok(meta) if meta.is_symlink() => {
                return findings.error_with_hint(
                    path.clone(),
                    format!("`{file}` leads over a symbolic link"),
                    "a file or folder beside the recipe",
                    "copy what it points to into the recipe's folder",
                );
            }
            Ok(_) => {}
        }
    }
}
