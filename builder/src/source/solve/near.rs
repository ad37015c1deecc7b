//! Near misses among the names of packages.

use super::{Catalogue, Package};

impl<P: Package> Catalogue<P> {
    /// The names of packages that `name` may be a misspelling of, the likeliest first.
    pub(in crate::source) fn near(&self, name: &str) -> Vec<String> {
        let allowed = 1 + name.len() / 5;
        let mut near: Vec<(usize, &str)> = Vec::new();
        for other in self.names() {
            if near.last().is_some_and(|(_, last)| *last == other) {
                continue;
            }
            // A name that is longer by a whole part is likely what was meant, too.
            let longer = other.starts_with(name) || other.ends_with(name);
            let distance = distance(name, other, allowed);
            if let Some(distance) = distance.or_else(|| longer.then_some(allowed + 1)) {
                near.push((distance, other));
            }
        }
        near.sort_by_key(|(distance, other)| (*distance, other.len(), *other));
        near.dedup();
        near.into_iter()
            .take(4)
            .map(|(_, name)| name.to_owned())
            .collect()
    }
}

/// How many letters must be changed, added, removed or swapped with their neighbour to
/// make `a` of `b`, where that is at most `most`.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut best = at(&last, column) + usize::from(letter != other);
            best = best
                .min(at(&last, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && a.get(row - 1) == Some(other)
                && b.get(column - 1) == Some(letter);
            if swapped {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            current.push(best);
        }
        if current.iter().all(|distance| *distance > most) {
            return None;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().filter(|distance| *distance <= most)
}
