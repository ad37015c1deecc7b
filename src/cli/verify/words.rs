//! What the words of `--vary` stand for.

use lunikernel_builder::recipe::nearest;
use lunikernel_builder::verify::Variation;

use crate::exit::Exit;
use crate::failure::Failure;

/// The variations in the order of reports: all but those that are left out, or those
/// that are named.
pub(super) fn variations(words: &[String]) -> Result<Vec<Variation>, Failure> {
    let without: Option<Vec<&str>> = words
        .iter()
        .filter(|word| *word != "all")
        .map(|word| word.strip_prefix('-'))
        .collect();
    if let Some(without) = without {
        let without = without
            .into_iter()
            .map(find)
            .collect::<Result<Vec<_>, _>>()?;
        return Ok(Variation::all()
            .filter(|one| !without.contains(one))
            .collect());
    }
    if words == ["none"] {
        return Ok(Vec::new());
    }
    let named = words
        .iter()
        .map(|word| find(word))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Variation::all().filter(|one| named.contains(one)).collect())
}

fn find(word: &str) -> Result<Variation, Failure> {
    let found = Variation::all().find(|variation| variation.name() == word);
    found.ok_or_else(|| {
        let names: Vec<_> = Variation::all().map(Variation::name).collect();
        let names = names.join(", ");
        let known = Variation::all().map(Variation::name).chain(["all", "none"]);
        let meant =
            nearest(word, known).map_or(String::new(), |it| format!("did you mean `{it}`? "));
        Failure::new(Exit::Usage, format!("there is no variation `{word}`")).with_hint(format!(
            "{meant}use `all`, `none`, some of {names}, or leave some out of all: `-locale`"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let varied = variations(&words).unwrap();
        varied.into_iter().map(Variation::name).collect()
    }

    #[test]
    fn words_stand_for_what_they_say() {
        let all: Vec<&str> = Variation::all().map(Variation::name).collect();
        assert_eq!(names(&["all"]), all);
        assert_eq!(names(&["none"]), Vec::<&str>::new());
        assert_eq!(names(&["umask", "host-name"]), ["host-name", "umask"]);
        let without = names(&["-umask", "-clock"]);
        assert_eq!(without.len(), all.len() - 2);
        assert!(!without.contains(&"umask") && !without.contains(&"clock"));
        assert_eq!(names(&["all", "-umask", "-clock"]), without);
    }

    #[test]
    fn others_are_refused() {
        for words in [
            &["moon"][..],
            &["-moon"],
            &["umask", "-locale"],
            &["umask", "none"],
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert!(variations(&words).is_err(), "{words:?}");
        }
    }
}
