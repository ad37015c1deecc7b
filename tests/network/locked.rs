//! What of steps with the network is taken as locked, made again, and told.

use fs_err as fs;

use super::support::hello::built_digest;
use super::support::{ends, transcript};
use super::{Site, well};

#[test]
fn what_others_packed_gets_no_network_unasked() {
    let name = "network::locked::what_others_packed_gets_no_network_unasked";
    let Some(site) = Site::new(name) else {
        return;
    };
    well(&site.run("lock", &[]));
    let digest = built_digest(&site.run("build", &["-o", "one.zip"]));
    assert_eq!(site.asked(), 1);
    for verb in ["build", "fetch", "verify"] {
        let refused = site.of("other", verb, "one.zip", &[]);
        let said = ["what step `get` made", "luni fetch --run-network-steps"];
        ends(&refused, 5, &said);
    }
    let url = site.server.as_ref().unwrap().url();
    let get = format!("busybox wget -q -O - {url}/one");
    let look = ["get", "--", "sh", "-c", &get];
    assert!(!site.of("other", "shell", "one.zip", &look).status.success());
    assert_eq!(site.asked(), 1);

    let arguments = ["--run-network-steps", "-o", "two.zip"];
    let built = site.of("other", "build", "one.zip", &arguments);
    assert_eq!(built_digest(&built), digest);
    assert_eq!(site.asked(), 2);
    // It is at hand now.
    well(&site.of("other", "fetch", "one.zip", &[]));
    well(&site.of("third", "fetch", "one.zip", &["--run-network-steps"]));
    assert_eq!(site.asked(), 3);
}

#[test]
fn what_is_locked_is_made_again_when_one_asks_for_it() {
    let name = "network::locked::what_is_locked_is_made_again_when_one_asks_for_it";
    let Some(site) = Site::new(name) else {
        return;
    };
    well(&site.run("lock", &[]));
    let locked = site.lock_text();
    let check = ["--check", "--run"];
    let same = "step `get` makes the same again";
    ends(&site.run("lock", &check), 0, &["is current", same]);
    assert_eq!(site.asked(), 2);
    ends(
        &site.small.run("lock", &check),
        5,
        &["could not fetch what step `get` makes: the network may not be used"],
    );

    site.answers("a second answer\n");
    let other = site.run("lock", &check);
    let said = [
        "step `get`, which uses the network, made something else than is locked",
        "\n  out/one: other content\n",
        "luni lock --update get recipe",
    ];
    ends(&other, 5, &said);
    assert!(!transcript(&other).contains(same), "{}", transcript(&other));
    assert_eq!((site.lock_text(), site.asked()), (locked, 3));
    ends(&site.run("lock", &["--run"]), 2, &["--check"]);
}

#[test]
fn a_report_names_what_was_taken_as_locked() {
    let name = "network::locked::a_report_names_what_was_taken_as_locked";
    let Some(site) = Site::new(name) else {
        return;
    };
    well(&site.run("lock", &[]));
    let vary = ["--vary", "umask,arrival", "--no-bisect", "--strict"];
    let with_page = [&vary[..], &["--report", "page.html"]].concat();
    let verified = site.run("verify", &with_page);
    let text = well(&verified);
    assert!(text.contains("taken as locked, not run: get\n"), "{text}");
    let page = fs::read_to_string(site.small.path("page.html")).unwrap();
    let named = "Steps taken as locked, not run: <code>get</code>.";
    assert!(page.contains(named), "{page}");

    // Without the other step none is left that could notice anything.
    let path = site.small.path("recipe/recipe.yaml");
    let mut recipe = fs::read_to_string(&path).unwrap();
    let use_it = recipe.find("  - name: use\n").unwrap();
    let end = recipe.find("rootfs:\n").unwrap();
    recipe.replace_range(use_it..end, "");
    fs::write(&path, recipe.replace("use/out", "get/out/one")).unwrap();
    let verified = site.run("verify", &vary);
    ends(
        &verified,
        14,
        &["umask: no step ran that could notice", "not run: get\n"],
    );
    let varied = "\nvaried      arrival\n";
    assert!(transcript(&verified).contains(varied), "{verified:?}");
    assert_eq!(site.asked(), 1);
}

#[test]
fn what_the_root_is_made_of_counts_unless_it_is_packages() {
    let name = "network::locked::what_the_root_is_made_of_counts_unless_it_is_packages";
    let Some(site) = Site::new(name) else {
        return;
    };
    site.edit("sources:\n", "sources:\n  names:\n    file: names\n");
    fs::create_dir(site.small.path("recipe/names")).unwrap();
    let file = site.small.path("recipe/names/list");
    fs::write(&file, "one\n").unwrap();
    // The file is in the root of a step that is in the root of the step.
    site.edit(
        "steps:\n",
        "steps:\n  - name: tools\n    root: [base, shell, names]\n\
         \x20   run: mkdir tools; echo 1 > tools/version\n    outputs: [tools]\n",
    );
    site.edit(
        "  - name: get\n    root: [base, shell]",
        "  - name: get\n    root: [base, shell, tools/tools]",
    );
    well(&site.run("lock", &[]));
    ends(&site.run("lock", &["--check"]), 0, &[]);
    assert_eq!(site.asked(), 1);

    let stale = "step `get`, which uses the network, or an input of it has changed since";
    site.edit("echo 1 > tools", "echo 2 > tools");
    ends(&site.run("lock", &["--check"]), 4, &[stale]);
    well(&site.run("lock", &[]));
    assert_eq!(site.asked(), 2);

    fs::write(&file, "two\n").unwrap();
    well(&site.run("lock", &[]));
    assert_eq!(site.asked(), 3);
}

#[test]
fn a_preview_says_which_steps_would_be_run() {
    let name = "network::locked::a_preview_says_which_steps_would_be_run";
    let Some(site) = Site::new(name) else {
        return;
    };
    let preview = ["--dry-run"];
    let new = "+ get: outputs (would be run)\n";
    ends(&site.run("lock", &preview), 0, &[new, "1 change"]);
    assert_eq!(site.asked(), 0);
    well(&site.run("lock", &[]));
    let locked = site.lock_text();
    ends(&site.run("lock", &preview), 0, &["nothing would change"]);
    let again = " -> (would be run)\n";
    let update = ["--dry-run", "--update", "get"];
    ends(
        &site.run("lock", &update),
        0,
        &["~ get: ", again, "1 change"],
    );
    site.edit("for f in one two", "for f in one  two");
    ends(
        &site.run("lock", &preview),
        0,
        &["~ get: ", again, "1 change"],
    );
    site.edit("    network: true\n", "");
    ends(
        &site.run("lock", &preview),
        0,
        &["- get: outputs ", "1 change"],
    );
    assert_eq!((site.lock_text(), site.asked()), (locked, 1));
}
