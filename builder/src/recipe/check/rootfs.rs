//! The root file system: files, users, services.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, steps, text};
use crate::flavour::{self, Flavour};
use crate::recipe::path::Path;
use crate::recipe::{FileSpec, Recipe, RootfsSpec, Source, TczInstall};

pub(super) fn check(recipe: &Recipe, findings: &mut Findings) {
    let root = Path::new().key("rootfs");
    let rootfs = &recipe.rootfs;
    for (index, source) in rootfs.from.iter().enumerate() {
        // Steps have all run when the root file system is put together.
        findings.part(source, usize::MAX, root.key("from").index(index));
    }
    findings.no_duplicates(&rootfs.from, &root.key("from"));
    check_extensions(recipe, &root.key("from"), findings);
    check_lists(recipe, &root, findings);
    for (index, path) in rootfs.remove.iter().enumerate() {
        absolute(path, root.key("remove").index(index), findings);
    }
    findings.no_duplicates(&rootfs.remove, &root.key("remove"));
    check_files(recipe, &root.key("files"), findings);
    check_users(rootfs, &root.key("users"), findings);
    check_services(recipe, &root.key("services"), findings);
}

/// What lists the packages of an image, and their licences.
fn check_lists(recipe: &Recipe, root: &Path, findings: &mut Findings) {
    let rootfs = &recipe.rootfs;
    let lists = match flavour::of(recipe.flavour) {
        Flavour::Linux(linux) => linux.lists_packages(),
        Flavour::Unikernel(_) => false,
    };
    for (key, reference) in [
        ("manifest", &rootfs.manifest),
        ("licences", &rootfs.licences),
    ] {
        let Some(reference) = reference else { continue };
        findings.part(reference, usize::MAX, root.key(key));
        if !lists {
            findings.error(
                root.key(key).of_key(),
                format!(
                    "the flavour `{}` reads no list of packages",
                    recipe.flavour.name()
                ),
                format!("no `{key}` in `rootfs`"),
            );
        }
    }
    if rootfs.licences.is_some() && rootfs.manifest.is_none() {
        findings.error(
            root.key("licences").of_key(),
            "there are licences, and no list of the packages that they are of",
            "a `manifest` in `rootfs` as well",
        );
    }
}

/// Core has one list of what it is to load or to set up: a second source would replace
/// that of the first.
fn check_extensions(recipe: &Recipe, root: &Path, findings: &mut Findings) {
    let mut first: BTreeMap<bool, &str> = BTreeMap::new();
    for (index, name) in recipe.rootfs.from.iter().enumerate() {
        let Some(Source::Tcz(tcz)) = recipe.sources.get(name) else {
            continue;
        };
        if let Some(other) = first.insert(tcz.install == TczInstall::Merge, name) {
            findings.error_with_hint(
                root.index(index),
                format!("`{name}` has extensions, and so has `{other}`"),
                "one source of extensions for each way to install them",
                format!("name the extensions of both in `{other}`"),
            );
        }
    }
}

fn absolute(text: &str, path: Path, findings: &mut Findings) {
    if let Err(why) = text::absolute_path(text) {
        findings.error(
            path,
            format!("`{text}` is no path in the root file system: {why}"),
            "an absolute path such as `/usr/bin/hello`",
        );
    }
}

fn check_files(recipe: &Recipe, root: &Path, findings: &mut Findings) {
    let files = &recipe.rootfs.files;
    for (place, file) in files {
        let path = root.key(place);
        absolute(place, path.of_key(), findings);
        if let Some(from) = &file.from {
            findings.part(from, usize::MAX, path.key("from"));
        }
        check_kind(file, &path, findings);
    }
    steps::nested(files.keys().map(String::as_str), |inner, outer| {
        if files.get(outer).is_some_and(is_leaf) {
            findings.error(
                root.key(inner).of_key(),
                format!("`{inner}` lies inside `{outer}`, which is no folder"),
                "a place in a folder",
            );
        }
    });
}

/// Whether nothing can lie inside it.
fn is_leaf(file: &FileSpec) -> bool {
    file.content.is_some() || file.symlink.is_some() || file.device.is_some()
}

fn check_kind(file: &FileSpec, path: &Path, findings: &mut Findings) {
    if file.folder == Some(false) {
        findings.error(
            path.key("folder"),
            "`folder: false` says nothing",
            "`folder: true`",
        );
    }
    if let Some(target) = &file.symlink {
        if target.is_empty() || target.contains(|c: char| c.is_control()) {
            findings.error(
                path.key("symlink"),
                "a link cannot have this target",
                "a path, absolute or relative to the link",
            );
        }
        if file.mode.is_some() {
            findings.error_with_hint(
                path.key("mode"),
                "a symbolic link has no mode of its own",
                "no `mode` here",
                "give it to what the link points to",
            );
        }
    }
}

fn check_users(rootfs: &RootfsSpec, root: &Path, findings: &mut Findings) {
    let mut names = BTreeSet::from(["root"]);
    let mut numbers: BTreeMap<u32, &str> = BTreeMap::from([(0, "root")]);
    for (index, user) in rootfs.users.iter().enumerate() {
        let path = root.index(index);
        if !text::is_user_name(&user.name) {
            findings.error(
                path.key("name"),
                format!("`{}` is no name for a user", user.name),
                "1 to 32 lower-case letters, digits, `_` and `-`, beginning with a letter or `_`",
            );
        }
        if !names.insert(&user.name) {
            findings.error(
                path.key("name"),
                format!("there is a user `{}` already", user.name),
                "a name of its own for each user",
            );
        }
        if let Some(other) = numbers.insert(user.uid, &user.name) {
            findings.error(
                path.key("uid"),
                format!("{} is the number of `{other}`", user.uid),
                "a number of its own for each user",
            );
        }
        let home = text::absolute_path(&user.home);
        if home.is_err() && user.home != "/" || user.home.contains(':') {
            findings.error(
                path.key("home"),
                format!("`{}` is no home folder", user.home),
                "an absolute path without `:`",
            );
        }
    }
}

fn check_services(recipe: &Recipe, root: &Path, findings: &mut Findings) {
    let rootfs = &recipe.rootfs;
    let may_be_of_packages = |user: &str| match flavour::of(recipe.flavour) {
        Flavour::Linux(linux) => linux.makes_users() && flavour::is_user_name(user),
        Flavour::Unikernel(_) => false,
    };
    let users: Vec<String> = std::iter::once("root".to_owned())
        .chain(rootfs.users.iter().map(|user| user.name.clone()))
        .collect();
    let known: BTreeSet<&String> = users.iter().collect();
    for (name, service) in &rootfs.services {
        let path = root.key(name);
        if !text::is_item_name(name) {
            findings.error(
                path.of_key(),
                format!("`{name}` is no name for a service"),
                "1 to 64 lower-case letters, digits and `._-`, beginning with a letter or digit",
            );
        }
        for (index, word) in service.command.iter().enumerate() {
            let here = path.key("command").index(index);
            if index == 0
                && let Err(why) = text::absolute_path(word)
            {
                findings.error_with_hint(
                    here,
                    format!("`{word}` is no program's path: {why}"),
                    "an absolute path such as `/usr/bin/hello`",
                    "the first word is the program, each further one an argument: `[/bin/sh, -c, …]`",
                );
            } else if word.contains(['\0', '\n']) {
                findings.error(here, "an argument has a line break in it", "one line");
            }
        }
        if !known.contains(&service.user) && !may_be_of_packages(&service.user) {
            findings.unknown("user", &service.user, &users, path.key("user"));
        }
        steps::check_env(&service.env, &path.key("env"), findings);
    }
}
