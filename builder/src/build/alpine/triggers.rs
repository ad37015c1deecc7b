//! Which folders triggers are told of (`triggers` in apk-package(5)): those that match one
//! of a package's globs.

use std::collections::BTreeSet;

use lunikernel_cache::NodeKind;

use crate::assemble::apk::Layers;

/// The folders of a root, as absolute paths.
pub(super) struct Folders {
    all: BTreeSet<String>,
    /// Those that packages bring something into.
    changed: BTreeSet<String>,
}

impl Folders {
    /// Those of the root that packages make with their base.
    pub(super) fn of(layers: &Layers<'_>) -> Self {
        let folders = layers.root.nodes();
        let folders = folders.filter(|(_, node)| matches!(node.kind, NodeKind::Folder));
        let packages = layers.packages.iter();
        let paths = packages.flat_map(|package| package.root.nodes());
        let changed = paths.map(|(path, _)| {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("/{folder}")
        });
        let changed: BTreeSet<String> = changed.collect();
        let all = folders.map(|(path, _)| format!("/{path}"));
        Self {
            all: all.chain(["/".to_owned()]).chain(changed.clone()).collect(),
            changed,
        }
    }

    /// What the trigger of a package is told that was installed before: the folders with
    /// something new.
    pub(super) fn of_installed(&self, globs: &[String]) -> Vec<String> {
        let globs: Vec<&str> = globs
            .iter()
            .map(|glob| glob.strip_prefix('+').unwrap_or(glob))
            .collect();
        matching(&self.changed, &globs).into_iter().collect()
    }

    /// What the trigger of a package is told that is being installed: all folders, but for
    /// globs that begin with a `+` those with something new.
    pub(super) fn of_new(&self, globs: &[String]) -> Vec<String> {
        let of = |changed: bool| -> Vec<&str> {
            let globs = globs
                .iter()
                .filter_map(|glob| match glob.strip_prefix('+') {
                    Some(glob) => changed.then_some(glob),
                    None => (!changed).then_some(glob.as_str()),
                });
            globs.collect()
        };
        let mut found = matching(&self.all, &of(false));
        found.append(&mut matching(&self.changed, &of(true)));
        found.into_iter().collect()
    }
}

fn matching(folders: &BTreeSet<String>, globs: &[&str]) -> BTreeSet<String> {
    let fits = |folder: &&String| {
        globs.iter().any(|glob| {
            let bare = glob.trim_end_matches('/');
            matches(if bare.is_empty() { glob } else { bare }, folder)
        })
    };
    folders.iter().filter(fits).cloned().collect()
}

/// Whether a path fits a pattern as fnmatch() compares them with `FNM_PATHNAME` (POSIX XSH
/// and XCU 2.13): `?`, `*` and `[…]` stand for no slash, and so each part for itself.
fn matches(glob: &str, path: &str) -> bool {
    let (mut globs, mut names) = (glob.split('/'), path.split('/'));
    loop {
        match (globs.next(), names.next()) {
            (None, None) => return true,
            (Some(glob), Some(name)) if part_matches(glob, name) => {}
            _ => return false,
        }
    }
}

/// The same within a part. Of several `*` only the last one is tried anew, so that the
/// work is at most the product of the lengths.
fn part_matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    let mut last: Option<(usize, usize)> = None;
    while let Some(letter) = name.get(read) {
        if glob.get(at) == Some(&'*') {
            at += 1;
            last = Some((at, read));
        } else if let Some(next) = glob.get(at..).and_then(|rest| one(rest, *letter)) {
            at += next;
            read += 1;
        } else if let Some((behind, from)) = last {
            (at, read) = (behind, from + 1);
            last = Some((at, read));
        } else {
            return false;
        }
    }
    glob.get(at..).unwrap_or_default().iter().all(|c| *c == '*')
}

/// How long what a pattern begins with is, where that stands for the letter.
fn one(glob: &[char], letter: char) -> Option<usize> {
    match glob {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == letter).then_some(2),
        ['[', rest @ ..] => match bracket(rest, letter) {
            Some((fits, length)) => fits.then_some(length + 1),
            // One that is not closed stands for itself.
            None => (letter == '[').then_some(1),
        },
        [plain, ..] => (*plain == letter).then_some(1),
        [] => None,
    }
}

/// Whether a letter is among those of a bracket that was opened, and how long that is with
/// its end; `None` where it has none.
fn bracket(rest: &[char], letter: char) -> Option<(bool, usize)> {
    let negated = matches!(rest, ['!' | '^', ..]);
    let begin = usize::from(negated);
    let mut at = begin;
    let mut found = false;
    loop {
        match rest.get(at..)? {
            [']', ..] if at > begin => return Some((found != negated, at + 1)),
            [from, '-', to, ..] if *to != ']' => {
                found |= (*from..=*to).contains(&letter);
                at += 3;
            }
            [one, ..] => {
                found |= *one == letter;
                at += 1;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> Folders {
        let set = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        Folders {
            all: set(&[
                "/",
                "/bin",
                "/lib/modules/6.6",
                "/lib/modules/6.6/kernel",
                "/usr/share/man",
                "/usr/share/mime",
            ]),
            changed: set(&["/bin", "/lib/modules/6.6"]),
        }
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_new_package_is_told_of_all_folders_and_an_old_one_of_the_changed_ones() {
        for (globs, new, old) in [
            ("/bin /sbin", "/bin", "/bin"),
            ("/lib/modules/*", "/lib/modules/6.6", "/lib/modules/6.6"),
            ("/usr/share/m*", "/usr/share/man /usr/share/mime", ""),
            ("+/usr/share/man /bin", "/bin", "/bin"),
            ("+/bin", "/bin", "/bin"),
            ("/usr/*/man/ +/li", "/usr/share/man", ""),
            ("/usr/share", "", ""),
            ("/", "/", ""),
        ] {
            assert_eq!(folders().of_new(&words(globs)), words(new), "{globs}");
            assert_eq!(folders().of_installed(&words(globs)), words(old), "{globs}");
        }
    }

    #[test]
    fn patterns_mean_what_posix_says() {
        for (glob, fits, fits_not) in [
            ("a*c", "abc ac abcc", "ab bac"),
            ("a*b*c", "aXbYc abbc", "aXc"),
            ("*", "x .x", "x/y"),
            ("?", "x", "xx"),
            ("[a-c]x", "ax bx", "dx x"),
            ("[!a-c]x", "dx", "ax"),
            ("[]x]", "] x", "["),
            ("[ab", "[ab", "a"),
            ("\\*x", "*x", "ax"),
            ("/lib/*/6*6", "/lib/modules/6.6", "/lib/6.6 /lib/a/b/6.6"),
        ] {
            for path in fits.split(' ') {
                assert!(matches(glob, path), "{glob} {path}");
            }
            for path in fits_not.split(' ') {
                assert!(!matches(glob, path), "{glob} {path}");
            }
        }
        // What takes other ways of matching longer than anyone waits.
        let (glob, name) = ("*a".repeat(2000), "a".repeat(4000) + "b");
        assert!(!matches(&glob, &name));
    }
}
