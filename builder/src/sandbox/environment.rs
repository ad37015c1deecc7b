//! The environment of a command.

use std::collections::BTreeMap;

use super::{Facet, PathOrder, Surroundings};
use crate::plan::fixed_environment;

/// The whole environment of a command: what is always there, with what the action sets
/// put over it. Of the surroundings comes only what the action's author left as it is.
#[must_use]
pub fn environment(
    surroundings: &Surroundings,
    action: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let fixed = fixed_environment();
    let mut all = fixed.clone();
    all.extend(action.clone());
    let mut set = |name: &str, value: String| {
        if all.get(name) == fixed.get(name) {
            all.insert(name.to_owned(), value);
        }
    };
    set("HOME", surroundings.home.clone());
    set("LANG", surroundings.locale.clone());
    set("LC_ALL", surroundings.locale.clone());
    set("TZ", surroundings.timezone.clone());
    if surroundings.path_order == PathOrder::Reversed
        && let Some(path) = fixed.get("PATH")
    {
        let folders: Vec<&str> = path.split(':').rev().collect();
        set("PATH", folders.join(":"));
    }
    if let Some(name) = &surroundings.user_name {
        set("USER", name.clone());
        set("LOGNAME", name.clone());
    }
    for number in 0..surroundings.noise {
        // Of different lengths, so that what lies behind them in memory moves.
        let value = "unrelated ".repeat(number as usize % 7 + 1);
        set(&format!("LUNI_NOISE_{number}"), value.trim_end().to_owned());
    }
    all
}

/// What of its surroundings a command does not have whose author set these variables,
/// as they decide it.
#[must_use]
pub fn fixed_by(variables: &BTreeMap<String, String>) -> Vec<Facet> {
    let deciding: [(Facet, &[&str]); 5] = [
        (Facet::UserName, &["USER", "LOGNAME"]),
        (Facet::TimeZone, &["TZ"]),
        // It goes before all others of its kind: POSIX XBD 8.2.
        (Facet::Locale, &["LC_ALL"]),
        (Facet::Home, &["HOME"]),
        (Facet::PathOrder, &["PATH"]),
    ];
    let set = |names: &[&str]| names.iter().all(|name| variables.contains_key(*name));
    let fixed = deciding.iter().filter(|(_, names)| set(names));
    fixed.map(|(facet, _)| *facet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        change: impl FnOnce(&mut Surroundings),
        set: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        let mut surroundings = Surroundings::default();
        change(&mut surroundings);
        let action = set.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        environment(&surroundings, &action.collect())
    }

    #[test]
    fn what_the_action_sets_stays() {
        let action = [
            ("HOME", "/h"),
            ("LC_ALL", "C"),
            ("PATH", "/x:/y"),
            ("TZ", "Z"),
            ("USER", "u"),
            ("LUNI_NOISE_0", "n"),
        ];
        let all = of(
            |around| {
                around.home = "/elsewhere".to_owned();
                around.locale = "POSIX".to_owned();
                around.timezone = "<+14>-14".to_owned();
                around.path_order = PathOrder::Reversed;
                around.user_name = Some("other".to_owned());
                around.noise = 3;
            },
            &action,
        );
        for (name, value) in action {
            assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(all.get("LANG").map(String::as_str), Some("POSIX"));
        assert_eq!(all.get("LOGNAME").map(String::as_str), Some("other"));
        assert!(all.contains_key("LUNI_NOISE_2") && !all.contains_key("LUNI_NOISE_3"));
    }

    #[test]
    fn what_variables_decide_is_what_varies_by_them() {
        let fixed = |names: &[&str]| {
            let set = names.iter().map(|name| ((*name).to_owned(), String::new()));
            fixed_by(&set.collect())
        };
        assert_eq!(
            fixed(&["PATH", "TZ", "X"]),
            [Facet::TimeZone, Facet::PathOrder]
        );
        assert_eq!(fixed(&["LC_ALL", "HOME"]), [Facet::Locale, Facet::Home]);
        assert_eq!(fixed(&["USER", "LOGNAME"]), [Facet::UserName]);
        // The rest of it still varies.
        assert_eq!(fixed(&["USER", "LANG", "LC_COLLATE", "LUNI_NOISE_0"]), []);
    }

    #[test]
    fn nothing_is_there_that_was_not_asked_for() {
        assert_eq!(of(|_| (), &[]), fixed_environment());
        let path = of(|around| around.path_order = PathOrder::Reversed, &[]);
        let path = path.get("PATH").unwrap();
        assert!(path.starts_with("/bin:/sbin:") && path.ends_with("/usr/local/sbin"));
    }
}
