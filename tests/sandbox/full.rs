//! The disk of a real engine that fills up.

use lunikernel_builder::sandbox::docker::EngineTrouble;
use lunikernel_builder::sandbox::{Docker, Sandbox as _, SandboxError};

use crate::bench::{Ask, Bench, ask, luni};
use crate::engines::made_by;
use crate::own_engine::OwnEngine;

/// More than is left on the disk when it is short.
const LARGE: usize = 24 << 20;
const LITTLE: u64 = 4 << 20;
/// Enough for everything.
const PLENTY: u64 = 1 << 30;
/// What an engine may note of what it did, besides what it keeps.
const NOTES: u64 = 4 << 20;

#[test]
fn a_disk_that_fills_up_is_a_clear_error_and_holds_nothing_of_it() {
    let Some(engine) = OwnEngine::with_disk() else {
        return;
    };
    let bench = Bench::new();
    let large = bench.file(&"nobody compresses this\n".repeat(LARGE / 23));
    let docker = Docker::connect_to(&engine.address()).unwrap();
    let sandbox = docker.sandbox(bench.cache.clone(), luni());
    let run = |ask: &Ask| sandbox.run(&bench.store(ask), &ask.surroundings);
    let left = || made_by(&engine.address(), std::process::id());

    assert_eq!(run(&ask("say fine")).unwrap().failure, None);
    for (what, ask) in [
        (
            "import the root ",
            ask("say x").root("usr/large", large.clone()),
        ),
        (
            "put files into /build",
            ask("say x").input("large", large.clone()),
        ),
    ] {
        // Roots that served stay as images until the connection ends.
        let (usual, used) = (left(), engine.used());
        engine.leave(LITTLE);
        let error = run(&ask).unwrap_err();
        let SandboxError::Engine { source, hint, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(matches!(source, EngineTrouble::Full { .. }), "{error:?}");
        assert!(
            error.to_string().starts_with(&format!("could not {what}")),
            "{error}"
        );
        assert!(
            hint.as_ref().unwrap().contains("free some space"),
            "{hint:?}"
        );
        assert_eq!(left(), usual, "{what}");
        assert!(
            engine.used() < used + NOTES,
            "{what}: {} of {used}",
            engine.used()
        );
        // With space, it goes on.
        engine.leave(PLENTY);
        assert_eq!(run(&ask).unwrap().failure, None, "{what}");
    }
    docker.clean_up().unwrap();
    assert_eq!(left(), Vec::<String>::new());
}
