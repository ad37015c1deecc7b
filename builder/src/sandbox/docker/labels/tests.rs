use std::collections::BTreeMap;

use super::*;

/// The mark of process `pid` of this start of the machine.
fn of(own: &Mark, pid: &str, start: &str) -> String {
    format!("{}.{}.{pid}.{start}", boot(), own.space)
}

#[test]
fn a_process_that_runs_keeps_its_own() {
    for remote in [false, true] {
        let own = Mark::own(remote);
        assert_eq!(own.fate(&own.process), Fate::Lives);
        let pid = std::process::id().to_string();
        assert_eq!(own.fate(&of(&own, &pid, "1")), Fate::Gone);
        // The kernel gives no process this number.
        assert_eq!(own.fate(&of(&own, "2147483647", "5")), Fate::Gone);
        assert_ne!(own.name(), own.name());
    }
}

#[test]
fn another_start_of_a_machine_may_be_another_machine() {
    let before = format!("another-boot.{}.1.5", Mark::own(true).space);
    assert_eq!(Mark::own(false).fate(&before), Fate::Gone);
    assert_eq!(Mark::own(true).fate(&before), Fate::Unknown);
}

#[test]
fn what_cannot_be_told_is_unknown() {
    let own = Mark::own(false);
    let pid = std::process::id().to_string();
    // Processes that /proc did not show, then or now.
    assert_eq!(own.fate(&of(&own, &pid, "")), Fate::Lives);
    assert_eq!(own.fate(&of(&own, "2147483647", "")), Fate::Gone);
    assert_eq!(own.fate(&format!(".{}.{pid}.5", own.space)), Fate::Unknown);
    let elsewhere = format!("{}.1{}.2147483647.5", boot(), own.space);
    assert_eq!(own.fate(&elsewhere), Fate::Unknown);
    for nonsense in ["nonsense", "..", "...", "boot.1.x.5", "boot.1.-1.5"] {
        assert_eq!(own.fate(nonsense), Fate::Unknown, "{nonsense}");
    }
    for never in ["0", "4294967295"] {
        assert_eq!(own.fate(&of(&own, never, "5")), Fate::Lives, "{never}");
    }
}

#[test]
fn a_process_that_proc_hides_is_not_gone() {
    // It belongs to somebody else, or is this one's parent: it is there either way.
    assert!(!is_gone(1));
    assert!(!is_gone(std::process::id()));
    assert!(is_gone(2_147_483_647));
}

#[test]
fn of_an_unknown_process_goes_what_is_old_and_at_rest() {
    let own = Mark::own(true);
    let old = now() - LONGEST_BUILD.as_secs() - 1;
    let process = "another-boot.1.5.5";
    let running = BTreeSet::from([process.to_owned()]);
    let nothing = BTreeSet::new();
    for (host, made, running, meant) in [
        (own.host.as_str(), Some(old), &nothing, true),
        (&own.host, Some(old), &running, false),
        (&own.host, Some(old + 60), &nothing, false),
        (&own.host, Some(u64::MAX), &nothing, false),
        (&own.host, None, &nothing, false),
        ("other", Some(old), &nothing, false),
    ] {
        let maker = Maker {
            host,
            process,
            made,
        };
        let found = own.means(Whose::Gone, &maker, running);
        assert_eq!(found, meant, "{host} {made:?} {running:?}");
        assert!(!own.means(Whose::Own, &maker, running));
    }
    // Whoever lives keeps its own for as long as that is.
    let maker = Maker {
        host: &own.host,
        process: &own.process,
        made: Some(old),
    };
    assert!(!own.means(Whose::Gone, &maker, &nothing));
    assert!(own.means(Whose::Own, &maker, &nothing));
}

#[test]
fn only_what_this_program_made_is_meant() {
    let own = Mark::own(false);
    type Set = BTreeMap<String, String>;
    let is_own = |maker: Option<Maker<'_>>| {
        maker.is_some_and(|maker| own.means(Whose::Own, &maker, &BTreeSet::new()))
    };
    let step = |labels: &Set| is_own(Mark::maker_of_step(&|name| labels.get(name)));
    let image = |labels: &Set| is_own(Mark::maker_of_root(&|name| labels.get(name)));
    let labels: Set = own.labels(STEP).into_iter().collect();
    assert!(step(&labels) && !image(&labels));
    // A container that somebody made from an image of this program's, and an image of a
    // container of it.
    let (name, value) = own.label_of_root();
    let root = BTreeMap::from([(name.to_owned(), value.clone())]);
    assert!(image(&root) && !step(&root));
    let mut both = labels.clone();
    both.insert(name.to_owned(), value);
    assert!(step(&both) && !image(&both));
    for name in [HOST, PROCESS, KIND] {
        let mut other = labels.clone();
        other.insert(name.to_owned(), "other".to_owned());
        assert!(!step(&other), "{name}");
        other.remove(name);
        assert!(!step(&other), "{name}");
    }
    let tags = |tags: &[&str]| {
        has_other_name(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>())
    };
    assert!(!tags(&[]));
    assert!(!tags(&["<none>:<none>", "localhost/lunikernel-root:1234"]));
    assert!(tags(&["localhost/lunikernel-root:1234", "mine:latest"]));
    assert!(tags(&["localhost/lunikernel-rooted:1234"]));
}
