//! The order in which Core's `tce-load` loads extensions when it boots.

use std::collections::{BTreeMap, BTreeSet};

use super::{LockedTcz, LockedTczs, TczError};

/// A line of `tce-load`'s list: an extension, or that one comes again which was looked
/// through before.
#[derive(Clone, Copy)]
enum Line {
    New(usize),
    Again(usize),
}

/// How far the dependencies of an extension have been looked through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Not,
    /// They are being looked through: whoever wants it now is in a loop.
    Partly,
    /// All of them; its lines in the list, from and to.
    All(usize, usize),
}

impl LockedTczs {
    /// The extensions in the order in which Core would load them: for each that is asked
    /// for, its dependencies from the last line of its list to the first, what these depend
    /// on before them, and each once. It decides who has a path that several have.
    ///
    /// # Errors
    /// [`TczError::Kernel`] where one of them is for a kernel that is not named.
    pub fn load_order(&self) -> Result<Vec<&LockedTcz>, TczError> {
        let all = self.extensions.iter().enumerate();
        let known: BTreeMap<&str, usize> = all.map(|(at, it)| (it.name.as_str(), at)).collect();
        let mut list = List {
            extensions: &self.extensions,
            known,
            seen: vec![Seen::Not; self.extensions.len()],
            lines: Vec::new(),
        };
        let mut order = Vec::new();
        for name in self.wanted()? {
            let from = list.lines.len();
            list.look_through(&name);
            list.read_backwards(from, &mut order);
        }
        // What nobody asks for is in no lock that was made for this recipe.
        order.extend(0..self.extensions.len());
        let mut loaded = BTreeSet::new();
        order.retain(|at| loaded.insert(*at));
        let order = order.into_iter();
        Ok(order.filter_map(|at| self.extensions.get(at)).collect())
    }
}

struct List<'l> {
    extensions: &'l [LockedTcz],
    known: BTreeMap<&'l str, usize>,
    seen: Vec<Seen>,
    lines: Vec<Line>,
}

impl<'l> List<'l> {
    /// Writes an extension down, and behind it what it depends on.
    fn look_through(&mut self, name: &str) {
        let mut path = Vec::new();
        self.enter(name, &mut path);
        while let Some((at, from, left)) = path.last_mut() {
            match left.next() {
                Some(name) => self.enter(name, &mut path),
                None => {
                    if let Some(seen) = self.seen.get_mut(*at) {
                        *seen = Seen::All(*from, self.lines.len());
                    }
                    path.pop();
                }
            }
        }
    }

    fn enter(&mut self, name: &str, path: &mut Vec<(usize, usize, std::slice::Iter<'l, String>)>) {
        let Some(at) = self.known.get(name).copied() else {
            return;
        };
        let (Some(seen), Some(extension)) = (self.seen.get_mut(at), self.extensions.get(at)) else {
            return;
        };
        match seen {
            Seen::Partly => {}
            Seen::All(..) => self.lines.push(Line::Again(at)),
            Seen::Not => {
                *seen = Seen::Partly;
                path.push((at, self.lines.len(), extension.depends.iter()));
                self.lines.push(Line::New(at));
            }
        }
    }

    /// Reads the lines from the last one back to `from`.
    fn read_backwards(&self, from: usize, order: &mut Vec<usize>) {
        let (mut told, mut again) = (BTreeSet::new(), BTreeSet::new());
        let mut open = vec![(from, self.lines.len())];
        while let Some((from, to)) = open.last_mut() {
            if *to <= *from {
                open.pop();
                continue;
            }
            *to -= 1;
            match self.lines.get(*to) {
                Some(Line::New(at)) => order.extend(told.insert(*at).then_some(*at)),
                Some(Line::Again(at)) => {
                    if let Some(Seen::All(from, to)) = self.seen.get(*at)
                        && again.insert(*at)
                    {
                        open.push((*from, *to));
                    }
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::Sha256;

    use super::*;
    use crate::recipe::{TczInstall, TczSource};

    fn order(wanted: &[&str], lists: &[(&str, &[&str])]) -> String {
        let name = |stem: &&str| format!("{stem}.tcz");
        let locked = LockedTczs {
            request: TczSource {
                mirror: "file:///none".to_owned(),
                extensions: wanted.iter().map(name).collect(),
                install: TczInstall::Merge,
                kernel: None,
            },
            extensions: lists
                .iter()
                .map(|(stem, depends)| LockedTcz {
                    name: name(stem),
                    sha256: Sha256::of(stem.as_bytes()),
                    size: 1,
                    md5: String::new(),
                    depends: depends.iter().map(name).collect(),
                })
                .collect(),
        };
        let order = locked.load_order().unwrap();
        order.iter().map(|it| it.name.replace(".tcz", "")).collect()
    }

    /// What the `tce-load` of Core 7.2 prints for these lists.
    #[test]
    fn it_is_that_of_core() {
        let lists: [(&str, &[&str]); 6] = [
            ("a", &["b", "c"]),
            ("b", &["d", "e"]),
            ("c", &["d", "f"]),
            ("d", &[]),
            ("e", &["a"]),
            ("f", &[]),
        ];
        assert_eq!(order(&["a", "b"], &lists), "fdceba");
        assert_eq!(order(&["b", "a"], &lists), "fdcaeb");
        assert_eq!(order(&["d", "c"], &lists), "dfcabe");
    }
}
