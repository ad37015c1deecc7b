//! What builds must not depend on is as asked for, and nothing else changes with it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;

use lunikernel_builder::sandbox::{EntryOrder, Facet, PathOrder, Surroundings, Unable, UserId};

use crate::bench::{Bench, Ran, ask};

in_every_sandbox! {
    names_of_the_machine,
    umask_and_time_zone,
    user_name_and_noise_and_order_of_path,
    an_empty_home_that_only_its_owner_enters,
    a_home_that_cannot_be_is_the_usual_one,
    processors,
    process_numbers,
    addresses,
    a_locale_that_the_root_has_not,
}

/// Runs `script` among the usual surroundings and among others.
#[track_caller]
fn both(bench: &Bench, script: &str, change: impl FnOnce(&mut Surroundings)) -> (String, String) {
    let usual = bench.run(&ask(script));
    able(&usual);
    let varied = bench.run(&ask(script).surroundings(change));
    able(&varied);
    (usual.well(), varied.well())
}

#[track_caller]
fn able(ran: &Ran) {
    assert_eq!(ran.outcome.unable, [], "{}", ran.log);
}

/// The numbers after the names at the starts of the lines.
pub(crate) fn values(log: &str) -> BTreeMap<String, String> {
    log.lines()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn names_of_the_machine(bench: &Bench) {
    let (usual, varied) = both(bench, "show", |s| s.hostname = "elsewhere".to_owned());
    assert!(
        usual.contains("host lunikernel\ndomain (none)\n"),
        "{usual}"
    );
    assert_eq!(varied, usual.replace("lunikernel", "elsewhere"));

    let ran = bench.run(&ask("show").surroundings(|s| s.domainname = "example".to_owned()));
    let facets: Vec<Facet> = ran.outcome.unable.iter().map(|it| it.facet).collect();
    if bench.kind == "Podman" {
        assert_eq!(facets, [Facet::DomainName]);
        assert_eq!(ran.well(), usual);
    } else {
        assert_eq!(facets, []);
        assert_eq!(ran.well(), usual.replace("(none)", "example"));
    }
}

fn umask_and_time_zone(bench: &Bench) {
    let (usual, varied) = both(bench, "show , env , write made x , stat made", |s| {
        s.umask = 0o077;
        s.timezone = "<+14>-14".to_owned();
    });
    for (usually, now) in [
        ("umask 022", "umask 077"),
        ("TZ=UTC", "TZ=<+14>-14"),
        ("made 100644 0:0 ", "made 100600 0:0 "),
    ] {
        assert!(usual.contains(usually), "{usual}");
        assert!(varied.contains(now), "{varied}");
    }
}

#[test]
fn the_user_outside() {
    let bench = Bench::new();
    let script = "cat /proc/self/uid_map , cat /proc/self/gid_map , show , stat /etc/motd , \
        write made x , stat made";
    let other = ask(script).surroundings(|s| s.user_id = UserId::Other);
    // There and back, as each has files of its own.
    let ran = [ask(script), other, ask(script)].map(|ask| bench.run(&ask));
    let logs = ran.each_ref().map(|ran| ran.log.clone());
    let users: Vec<u32> = logs
        .iter()
        .map(|log| log.split_whitespace().nth(1).unwrap().parse().unwrap())
        .collect();
    for (log, user) in logs.iter().zip(&users) {
        assert!(log.contains("/etc/motd 100644 0:0 "), "{log}");
        assert!(log.contains("made 100644 0:0 "), "{log}");
        let groups = log.lines().nth(1).unwrap();
        let group: u32 = groups.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert_eq!(group, *user, "{log}");
    }
    assert_eq!(users[0], users[2]);
    let own = rustix::process::geteuid().as_raw();
    if is_root() {
        assert_ne!(users[0], users[1]);
        assert!(!users.contains(&own));
        assert_eq!(ran[1].outcome.unable, []);
        let root = bench.cache.root().join("roots-v1");
        let root = fs_err::read_dir(root)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        for (part, user) in [("tree", users[0]), ("other", users[1])] {
            let file = fs_err::metadata(root.join(part).join("etc/motd")).unwrap();
            assert_eq!(file.uid(), user, "{part}");
        }
    } else {
        assert_eq!(users, [own; 3]);
        let why = "only root can run commands as another user".to_owned();
        let facet = Facet::UserId;
        assert_eq!(ran[1].outcome.unable, [Unable { facet, why }]);
    }
}

fn user_name_and_noise_and_order_of_path(bench: &Bench) {
    let (usual, varied) = both(bench, "env", |s| {
        s.user_name = Some("someone".to_owned());
        s.noise = 2;
        s.path_order = PathOrder::Reversed;
    });
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";
    let reversed = "PATH=/bin:/sbin:/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin\n";
    assert!(
        usual.contains(path) && varied.contains(reversed),
        "{varied}"
    );
    let added: Vec<&str> = varied
        .lines()
        .filter(|line| !usual.contains(line) && !line.starts_with("PATH="))
        .collect();
    assert_eq!(
        added,
        [
            "LOGNAME=someone",
            "LUNI_NOISE_0=unrelated",
            "LUNI_NOISE_1=unrelated unrelated",
            "USER=someone"
        ]
    );
}

fn an_empty_home_that_only_its_owner_enters(bench: &Bench) {
    let script = "env , stat /root , stat /home , stat /home/someone , ls /home/someone , ls / , \
        stat /";
    let (usual, varied) = both(bench, script, |s| s.home = "/home/someone".to_owned());
    assert!(usual.contains("HOME=/root\n"), "{usual}");
    assert!(
        usual.contains("/root 40700 0:0 315532800\n/home: ENOENT\n"),
        "{usual}"
    );
    assert!(varied.contains("HOME=/home/someone\n"), "{varied}");
    let home = "/root: ENOENT\n/home 40755 0:0 315532800\n/home/someone 40700 0:0 315532800\n";
    assert!(varied.contains(home), "{varied}");
    assert!(!varied.lines().any(|line| line == "root"), "{varied}");
    // In a container, the engine makes the root.
    if bench.kind == "native" {
        assert!(varied.ends_with("/ 40755 0:0 315532800\n"), "{varied}");
    }
}

fn a_home_that_cannot_be_is_the_usual_one(bench: &Bench) {
    // A file of the root, a link of it, and what is mounted over.
    for home in ["/probe/home", "/etc/link", "/proc/home"] {
        let asked = ask("env , stat /root").surroundings(|s| s.home = home.to_owned());
        let ran = bench.run(&asked);
        let [unable] = ran.outcome.unable.as_slice() else {
            panic!("{home}: {:?}", ran.outcome.unable);
        };
        assert_eq!(unable.facet, Facet::Home);
        assert!(unable.why.contains(home), "{}", unable.why);
        let log = ran.well();
        assert!(
            log.contains("HOME=/root\n") && log.contains("/root 40700"),
            "{log}"
        );
    }
}

fn processors(bench: &Bench) {
    let all = std::thread::available_parallelism().unwrap().get();
    let ran = bench.run(&ask("show").surroundings(|s| s.cpus = Some(1)));
    let unable: Vec<Facet> = ran
        .outcome
        .unable
        .iter()
        .map(|unable| unable.facet)
        .collect();
    // With one processor there is nothing to vary.
    assert_eq!(unable, if all > 1 { vec![] } else { vec![Facet::Cpus] });
    assert!(ran.well().contains("\ncpus 1\n"));
}

#[test]
fn inode_and_device_numbers() {
    let bench = Bench::new();
    let numbers_at = |path: &str, order, used| {
        let asked = ask(&format!("numbers {path}"))
            .input("in/f", bench.file("x"))
            .surroundings(|s| {
                s.entry_order = order;
                s.inodes_used = used;
            });
        let ran = bench.run(&asked);
        able(&ran);
        let values = values(&ran.well());
        let number = |name: &str| values[name].parse::<u64>().unwrap();
        (number("inode"), number("device"))
    };
    let numbers = |order, used| numbers_at("in/f", order, used);
    let (inode, device) = numbers(EntryOrder::Forward, 0);
    let (other_inode, other_device) = numbers(EntryOrder::Forward, 97);
    assert_eq!(other_inode, inode + 97);
    // Other tests take device numbers meanwhile, and could even out the difference.
    let differ = device != other_device
        || (0..3).any(|_| numbers(EntryOrder::Forward, 0).1 != numbers(EntryOrder::Forward, 97).1);
    assert!(differ);
    // On disk, where other programs take inodes as well.
    let differ =
        (0..3).any(|_| numbers(EntryOrder::AsCreated, 0).0 != numbers(EntryOrder::AsCreated, 97).0);
    assert!(differ);
}

fn process_numbers(bench: &Bench) {
    let (usual, varied) = both(bench, "show", |s| s.process_ids_used = 41);
    assert!(usual.contains("\npid 32\n"), "{usual}");
    assert!(varied.contains("\npid 73\n"), "{varied}");
}

fn addresses(bench: &Bench) {
    let addresses = |random| {
        let ran = bench.run(&ask("addresses").surroundings(|s| s.random_addresses = random));
        able(&ran);
        values(&ran.well())
    };
    assert_eq!(addresses(false), addresses(false));
    let (one, other) = (addresses(true), addresses(true));
    for name in ["code", "stack", "heap", "mapped"] {
        assert_ne!(one[name], other[name], "{name}");
    }
}

#[test]
fn a_terminal() {
    let (usual, varied) = both(&Bench::new(), "terminal? , error wrong", |s| {
        s.terminal = true
    });
    assert_eq!(
        usual,
        "0 none\n1 none\n2 none\nown ENXIO\nTERM dumb\nwrong\n"
    );
    // Not a byte is changed on the way, and input is none all the same.
    assert_eq!(
        varied,
        "0 none\n1 terminal\n2 terminal\nown yes\nchanges output 0\nforeground 1\nTERM dumb\n\
         wrong\n"
    );
}

#[test]
fn a_terminal_passes_on_all_that_was_written() {
    let bench = Bench::new();
    let on_terminal = |script: &str| {
        let ran = bench.run(&ask(script).surroundings(|s| s.terminal = true));
        able(&ran);
        ran
    };
    let usual = bench.run(&ask("flood 300000"));
    assert!(usual.log.len() >= 300_000);
    for _ in 0..5 {
        assert_eq!(on_terminal("flood 300000").well(), usual.log);
    }
    for code in [0, 9] {
        let ran = on_terminal(&format!("say last , exit {code}"));
        assert_eq!(
            (ran.log.as_str(), ran.outcome.result.exit_code),
            ("last\n", code)
        );
    }
    // What still runs and writes when the command has ended holds nothing up.
    assert_eq!(on_terminal("background , say fine").well(), "fine\n");
}

#[test]
fn a_command_on_a_terminal_is_limited_as_ever() {
    let bench = Bench::new();
    let yelling = ask("yell")
        .timeout(std::time::Duration::from_secs(1))
        .surroundings(|s| s.terminal = true);
    let outcome = bench
        .sandbox()
        .run(&bench.store(&yelling), &yelling.surroundings);
    let failure = outcome.unwrap().failure.unwrap().to_string();
    assert!(failure.contains("its time limit"), "{failure}");
}

fn a_locale_that_the_root_has_not(bench: &Bench) {
    let asked = ask("env").surroundings(|s| s.locale = "et_EE.UTF-8".to_owned());
    let ran = bench.run(&asked);
    let [unable] = ran.outcome.unable.as_slice() else {
        panic!("{:?}", ran.outcome.unable);
    };
    assert_eq!(unable.facet, Facet::Locale);
    assert!(
        unable.why.contains("the packages `locales` and `libc-bin`"),
        "{}",
        unable.why
    );
    let log = ran.well();
    assert!(log.contains("LANG=C\nLC_ALL=C\n"), "{log}");
    // A step that says which locale it wants gets that, and lacks nothing.
    let own = ask("env")
        .env("LC_ALL", "POSIX")
        .surroundings(|s| s.locale = "et_EE.UTF-8".to_owned());
    let ran = bench.run(&own);
    able(&ran);
    assert!(ran.well().contains("LC_ALL=POSIX\n"));
}
