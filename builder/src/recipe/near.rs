//! Near misses: what somebody who wrote one name may have meant.

/// The candidate that is closest to `written`, if one is close enough to be meant.
#[must_use]
pub fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = match written.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(written, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < candidate.chars().count()
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out, changed or swapped with their
/// neighbour, whatever their case.
fn distance(one: &str, other: &str) -> usize {
    // Names are short; beyond this nothing is a near miss.
    const LONGEST: usize = 64;
    let letters = |text: &str| -> Vec<char> {
        text.chars()
            .take(LONGEST)
            .map(|c| c.to_ascii_lowercase())
            .collect()
    };
    let (one, other) = (letters(one), letters(other));
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, a) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in other.iter().enumerate() {
            let mut best = (last[column] + usize::from(a != b))
                .min(last[column + 1] + 1)
                .min(current[column] + 1);
            if row > 0 && column > 0 && one[row - 1] == *b && *a == other[column - 1] {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_others_are_not() {
        let keys = ["packages", "suite", "components", "without"];
        assert_eq!(nearest("packges", keys), Some("packages"));
        assert_eq!(nearest("Suite", keys), Some("suite"));
        assert_eq!(nearest("siute", keys), Some("suite"));
        assert_eq!(nearest("kernel", keys), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(distance("abcd", "acbd"), 1);
    }
}
