//! Owners that commands give to files, which only they find.

use lunikernel_builder::plan::property;
use lunikernel_builder::sandbox::{SandboxError, Surroundings};

use crate::bench::{Bench, ask};

in_every_sandbox! {
    owners_that_were_given_are_found_by_every_call,
    nobody_is_given_anything_unless_that_is_asked_for,
}

fn owners_that_were_given_are_found_by_every_call(bench: &Bench) {
    let ask = ask("give").property(property::OWNERS, property::OWNERS_KEPT);
    let expected = "at first 0:0 644
chown: done
chown 100:101 755
chmod 100:101 6755
group alone 100:7 755
lchown 5:6 777
through it 100:7 755
chown through it 3:4 755
fchown 8:9 755
fchownat 10:11 755
statx 12:13 755
a child 14:15 755
renamed 14:15 755
linked 14:15 755
folder 16:17 755
back: done
back 0:0 755
others' numbers 0
nothing there: No such file or directory
nowhere: Bad address
read-only: Read-only file system
the root: done
into nowhere -1
the rest 0:0 755
";
    assert_eq!(bench.run(&ask).well(), expected);
}

fn nobody_is_given_anything_unless_that_is_asked_for(bench: &Bench) {
    let log = bench.run(&ask("give")).well();
    assert!(!log.contains("chown: done"), "{log}");
    let wrong = ask("give").property(property::OWNERS, "sometimes");
    let wrong = bench.store(&wrong);
    match bench.sandbox().run(&wrong, &Surroundings::default()) {
        Err(SandboxError::BadAction { why, .. }) => {
            assert!(why.contains("expected `kept`"), "{why}");
        }
        _ => panic!("an action that keeps owners sometimes was run"),
    }
}
