//! The order in which apk installs packages. Scripts and triggers run in it, and who comes
//! later has the files that several packages of one origin have.

use std::collections::{BTreeMap, BTreeSet};

use super::{Installed, Package};

/// A package in the making of the order: one that is installed, or one that is to be.
struct Unit<'a> {
    name: &'a str,
    depends: Vec<&'a str>,
    provides: Vec<&'a str>,
    install_if: Vec<&'a str>,
    /// Which of the packages that are to be installed it is.
    new: Option<usize>,
}

/// What is still to be done.
enum Step<'a> {
    /// See to whoever has a name.
    Name(&'a str),
    /// All that a package needs is there: it is its turn.
    Turn(usize),
    /// See whether a package comes along by now.
    Along(usize),
}

/// The numbers of packages in the order in which apk installs them beside `installed`: what is wanted
/// (`world`) by name, each behind what it needs, in the order in which it says so. Who comes
/// along (`install_if`) does so once the last that it asks for is seen to. Packages that
/// nothing leads to are the last, by name.
pub(super) fn in_order(
    installed: &Installed,
    world: &BTreeSet<String>,
    packages: &[(&Package, u64)],
) -> Vec<usize> {
    let mut units: Vec<Unit<'_>> = installed.heads().map(Unit::installed).collect();
    let new = packages.iter().enumerate();
    let mut new: Vec<Unit<'_>> = new.map(|(at, (one, _))| Unit::new(at, one)).collect();
    new.sort_by_key(|unit| displayed(unit.name));
    units.append(&mut new);
    let mut wanted: Vec<&str> = world.iter().map(|word| bare(word)).collect();
    wanted.sort_by_key(|name| displayed(name));
    let all: Vec<&str> = units.iter().map(|unit| unit.name).collect();
    let mut search = Search::new(&units);
    for name in wanted.into_iter().chain(all) {
        search.see_to(name);
    }
    search.order
}

/// How apk sorts the names of packages: without regard to case, and else by letter.
pub(crate) fn displayed(name: &str) -> (String, &str) {
    (name.to_ascii_lowercase(), name)
}

impl<'a> Unit<'a> {
    fn installed((name, head): (&'a str, &'a str)) -> Self {
        let list = |letter: &str| -> Vec<&'a str> {
            let values = head.lines().filter_map(|line| line.strip_prefix(letter));
            values.flat_map(str::split_ascii_whitespace).collect()
        };
        Self {
            name,
            depends: list("D:"),
            provides: list("p:"),
            install_if: list("i:"),
            new: None,
        }
    }

    fn new(number: usize, package: &'a Package) -> Self {
        let info = &package.info;
        let list = |words: &'a [String]| words.iter().map(String::as_str).collect();
        Self {
            name: &info.name,
            depends: list(&info.depends),
            provides: list(&info.provides),
            install_if: list(&info.install_if),
            new: Some(number),
        }
    }

    /// Its name, and those that it provides.
    fn names(&self) -> impl Iterator<Item = &'a str> {
        let provided = self.provides.iter().map(|word| bare(word));
        std::iter::once(self.name).chain(provided)
    }
}

/// Going through the packages.
struct Search<'u, 'a> {
    units: &'u [Unit<'a>],
    /// Who has a name: the package of that name, or else the first that provides it.
    by_name: BTreeMap<&'a str, usize>,
    /// Whom a name brings along.
    along: BTreeMap<&'a str, Vec<usize>>,
    /// How many of the names that a package comes along with are yet to be seen to; `None`
    /// for one that comes along with nothing, or not with what is there.
    missing: Vec<Option<usize>>,
    seen: BTreeSet<&'a str>,
    begun: BTreeSet<usize>,
    order: Vec<usize>,
}

impl<'u, 'a> Search<'u, 'a> {
    fn new(units: &'u [Unit<'a>]) -> Self {
        let mut by_name = BTreeMap::new();
        for (number, unit) in units.iter().enumerate() {
            by_name.insert(unit.name, number);
        }
        for (number, unit) in units.iter().enumerate() {
            for name in unit.names() {
                by_name.entry(name).or_insert(number);
            }
        }
        let mut along: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut missing = Vec::new();
        for (number, unit) in units.iter().enumerate() {
            let not = unit.install_if.iter().filter_map(|w| w.strip_prefix('!'));
            let kept_away = not.map(bare).any(|name| by_name.contains_key(name));
            let names: BTreeSet<&str> = (unit.install_if.iter())
                .filter(|word| !word.starts_with('!'))
                .map(|word| bare(word))
                .collect();
            missing.push((!kept_away && !names.is_empty()).then_some(names.len()));
            for name in names {
                along.entry(name).or_default().push(number);
            }
        }
        Self {
            units,
            by_name,
            along,
            missing,
            seen: BTreeSet::new(),
            begun: BTreeSet::new(),
            order: Vec::new(),
        }
    }

    /// Puts who has `name` into the order, behind all that it needs.
    fn see_to(&mut self, name: &'a str) {
        let mut open = vec![Step::Name(name)];
        while let Some(step) = open.pop() {
            match step {
                Step::Name(name) => {
                    if self.see(name)
                        && let Some(number) = self.by_name.get(name).copied()
                    {
                        self.begin(number, &mut open);
                    }
                }
                Step::Turn(number) => {
                    let Some(unit) = self.units.get(number) else {
                        continue;
                    };
                    self.order.extend(unit.new);
                    let along = unit.names().filter_map(|name| self.along.get(name));
                    let along: Vec<usize> = along.flatten().copied().collect();
                    open.extend(along.into_iter().rev().map(Step::Along));
                }
                Step::Along(number) => {
                    if self.missing.get(number) == Some(&Some(0)) {
                        self.begin(number, &mut open);
                    }
                }
            }
        }
    }

    /// Takes note of a name, once.
    fn see(&mut self, name: &'a str) -> bool {
        let is_new = self.seen.insert(name);
        if is_new {
            for number in self.along.get(name).into_iter().flatten() {
                if let Some(Some(missing)) = self.missing.get_mut(*number) {
                    *missing = missing.saturating_sub(1);
                }
            }
        }
        is_new
    }

    fn begin(&mut self, number: usize, open: &mut Vec<Step<'a>>) {
        let Some(unit) = self.units.get(number).filter(|_| self.begun.insert(number)) else {
            return;
        };
        for name in unit.names() {
            self.see(name);
        }
        open.push(Step::Turn(number));
        let needs = unit.depends.iter().filter(|word| !word.starts_with('!'));
        open.extend(needs.rev().map(|word| Step::Name(bare(word))));
    }
}

/// The name in a word of a list of dependencies.
pub(crate) fn bare(word: &str) -> &str {
    word.split(['<', '>', '=', '~']).next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::apk::Info;
    use lunikernel_cache::Rootfs;

    /// Packages as `name; D:…; p:…; i:…` a line.
    fn packages(lines: &str) -> Vec<Package> {
        let package = |line: &str| {
            let mut parts = line.split(';').map(str::trim);
            let mut info = Info {
                name: parts.next().unwrap().to_owned(),
                ..Info::default()
            };
            for part in parts {
                let (field, words) = part.split_once(':').unwrap();
                let words = words.split(' ').map(str::to_owned).collect();
                match field {
                    "D" => info.depends = words,
                    "p" => info.provides = words,
                    _ => info.install_if = words,
                }
            }
            Package {
                info,
                checksum: crate::assemble::apk::Checksum::of(b""),
                scripts: BTreeMap::new(),
                root: Rootfs::new(),
                order: Vec::new(),
                sums: BTreeMap::new(),
                owners: BTreeMap::new(),
            }
        };
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(package).collect()
    }

    fn ordered(base: &str, world: &str, lines: &str) -> String {
        let installed = Installed::parse(base).unwrap();
        let world = world.split_whitespace().map(str::to_owned).collect();
        let packages = packages(lines);
        let packages: Vec<(&Package, u64)> = packages.iter().map(|one| (one, 1)).collect();
        let order = in_order(&installed, &world, &packages);
        let names = order.iter().map(|number| &*packages[*number].0.info.name);
        let names: Vec<&str> = names.collect();
        names.join(" ")
    }

    #[test]
    fn what_is_wanted_goes_by_name_and_what_it_needs_goes_before_it() {
        let lines = "
            a; D:z b
            b
            Q
            m; D:so:z=1 cmd:x !c
            c; D:d
            d; D:c
            x; p:cmd:x=1
            z; p:so:z=1
        ";
        assert_eq!(ordered("", "", lines), "z b a d c x m Q");
        assert_eq!(ordered("", "a~1 m", lines), "z b a x m d c Q");
        assert_eq!(ordered("", "Q m>0", lines), "z x m Q b a d c");
    }

    #[test]
    fn who_comes_along_does_so_behind_the_last_that_it_asks_for() {
        let lines = "
            app; D:lib
            app-doc; i:app docs
            docs
            lib
            lib-doc; i:lib !nothing
            never; i:lib !docs
            next; i:app-doc
        ";
        let expected = "lib lib-doc app docs app-doc next never";
        assert_eq!(ordered("", "docs app", lines), expected);
        // What is installed counts, in its own place.
        let lines = "app\n app-rc; i:rc app\n other; D:app";
        let base = "P:rc\nV:1\np:cmd:rc\n\n";
        assert_eq!(ordered(base, "other rc", lines), "app other app-rc");
        assert_eq!(ordered(base, "other cmd:rc", lines), "app app-rc other");
        assert_eq!(ordered(base, "", lines), "app app-rc other");
    }

    #[test]
    fn chains_of_any_length_come_to_an_end() {
        let lines: String = (0..20_000)
            .map(|at| format!("p{at}; D:p{}; i:p{}\n", at + 1, at + 2))
            .collect();
        assert_eq!(ordered("", "p0", &lines).split(' ').count(), 20_000);
    }
}
