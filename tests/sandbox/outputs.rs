//! Outputs are taken as they are, and hostile ones are refused.

use lunikernel_builder::sandbox::{EntryOrder, Failure, SandboxError, Surroundings};
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, Tree, reapi};
use prost::Message as _;

use crate::bench::{Bench, ask, ask_for};

in_every_sandbox! {
    a_result_is_the_same_for_everyone,
    outputs_are_relative_to_the_working_folder_and_their_folders_exist,
    an_output_that_is_not_there_is_named,
    hostile_outputs_are_refused,
    a_link_to_the_outside_stays_a_link,
    inputs_that_lead_outside_do_not,
    actions_that_cannot_be_run_are_refused_with_a_reason,
}

fn made(ran: crate::bench::Ran) -> reapi::ActionResult {
    assert_eq!(ran.outcome.failure, None, "{}", ran.log);
    ran.outcome.result
}

/// Of the outputs of `a_result_is_the_same_for_everyone`: committed, so that root, an
/// ordinary user and every other machine agree on it.
const SAME_FOR_EVERYONE: &str =
    "sha256:d2b337476bce515f7acfde102d9ddd74ba8a7c656244dd249aa2495f19e6c115";

fn a_result_is_the_same_for_everyone(bench: &Bench) {
    let script = "mkdir out/d , write out/d/file one , write out/program two , \
        chmod 755 out/program , symlink d/file out/link , mkdir out/empty , \
        write single three , symlink out/d way , mkdir out/d/x , write out/d/x/y four";
    let variations: [&dyn Fn(&mut Surroundings); 4] = [
        &|_| {},
        &|s| s.umask = 0o077,
        &|s| s.entry_order = EntryOrder::Forward,
        &|s| s.entry_order = EntryOrder::Reverse,
    ];
    for vary in variations {
        let ask = ask(script)
            .input("out/given", bench.file("given"))
            .output("way")
            .output("out")
            .output("single")
            .surroundings(vary);
        let mut result = made(bench.run(&ask));
        result.stdout_digest = None;
        assert_eq!(result.output_files.len(), 1);
        assert_eq!(result.output_symlinks[0].target, "out/d");
        let digest = Digest::of(&result.encode_to_vec());
        assert_eq!(digest.sha256.to_string(), SAME_FOR_EVERYONE);

        let root = result.output_directories[0].root_directory_digest.as_ref();
        let root = Digest::from_reapi(root.unwrap()).unwrap();
        let tree = Tree::load(bench.cache.blobs(), &root).unwrap();
        assert!(matches!(
            tree.get("program"),
            Some(Entry::File {
                executable: true,
                ..
            })
        ));
        assert_eq!(tree.get("empty"), Some(&Entry::Folder(Tree::new())));
        assert_eq!(tree.get("given"), Some(&bench.file("given")));
        let message = result.output_directories[0].tree_digest.as_ref();
        let message = Digest::from_reapi(message.unwrap()).unwrap();
        let bytes = bench.cache.blobs().read(&message).unwrap();
        let message_tree = reapi::Tree::decode(bytes.as_slice()).unwrap();
        assert_eq!(Tree::from_reapi(&message_tree, &message).unwrap(), tree);
    }
}

fn outputs_are_relative_to_the_working_folder_and_their_folders_exist(bench: &Bench) {
    let ask = ask("write a/b/c x , ls /build")
        .workdir("build/sub")
        .output("a/b/c");
    let ran = bench.run(&ask);
    assert_eq!(ran.log, "sub\n");
    assert_eq!(made(ran).output_files[0].path, "a/b/c");
}

fn an_output_that_is_not_there_is_named(bench: &Bench) {
    let ran = bench.run(&ask("write one x").output("one").output("two"));
    assert_eq!(
        ran.outcome.failure,
        Some(Failure::MissingOutput("two".to_owned()))
    );
}

fn hostile_outputs_are_refused(bench: &Bench) {
    for (script, path, why) in [
        ("mkfifo out/pipe", "out/pipe", "pipe"),
        ("socket out/socket", "out/socket", "socket"),
        ("badname", "out/bad\u{fffd}", "UTF-8"),
        ("rm out , symlink /etc out", "out", ""),
    ] {
        let ran = bench.run(
            &ask(&format!("mkdir out , {script}"))
                .input("out", Entry::Folder(Tree::new()))
                .output(if why.is_empty() { "out/passwd" } else { "out" }),
        );
        match ran.outcome.failure {
            Some(Failure::BadOutput {
                path: found,
                why: said,
            }) => {
                assert_eq!(found, path);
                assert!(said.contains(why), "{said}");
            }
            other => panic!("{script}: {other:?}"),
        }
        assert!(ran.outcome.result.output_files.is_empty());
    }
}

fn a_link_to_the_outside_stays_a_link(bench: &Bench) {
    let ran = bench.run(&ask("symlink /etc/passwd out").output("out"));
    let result = made(ran);
    assert_eq!(result.output_symlinks[0].target, "/etc/passwd");
    assert!(result.output_files.is_empty());
}

fn inputs_that_lead_outside_do_not(bench: &Bench) {
    let ask = ask("write out/file x").output("out/file").input(
        "out",
        Entry::Symlink {
            target: "/tmp".to_owned(),
        },
    );
    assert!(matches!(
        bench.run(&ask).outcome.failure,
        Some(Failure::BadOutput { .. })
    ));
}

fn actions_that_cannot_be_run_are_refused_with_a_reason(bench: &Bench) {
    for (ask, reason) in [
        (ask_for(vec![]), "no program"),
        (ask("say").workdir("etc"), "working directory"),
        (ask("say").workdir("build/../etc"), "working directory"),
        (ask("say").output("../etc/passwd"), "no path below"),
        (ask("say").output("/etc/passwd"), "no path below"),
        (ask("say").env("A=B", "x"), "environment variable"),
        (ask("say").memory_mib(0), "luni-memory-mib"),
        (ask("say").timeout(std::time::Duration::ZERO), "timeout"),
    ] {
        let action = bench.store(&ask);
        match bench.sandbox().run(&action, &ask.surroundings) {
            Err(SandboxError::BadAction { why, .. }) => {
                assert!(why.contains(reason), "{why}");
            }
            other => panic!("{reason}: {other:?}"),
        }
    }
    let missing = Digest::of(b"no such action");
    let error = bench.sandbox().run(&missing, &Surroundings::default());
    assert!(matches!(error, Err(SandboxError::Cache(_))));
}
