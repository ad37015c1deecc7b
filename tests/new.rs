//! `luni new` through the binary.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use support::{luni, project, transcript};

#[test]
fn a_new_recipe_is_right_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let new = luni(folder.path())
        .args(["new", "my-site"])
        .output()
        .unwrap();
    assert!(new.status.success(), "{}", transcript(&new));
    let text = String::from_utf8(new.stdout).unwrap();
    assert!(
        text.contains("luni lock") && text.contains("my-site.luni.zip"),
        "{text}"
    );

    let made = folder.path().join("my-site");
    let check = luni(&made).args(["check", "--strict"]).output().unwrap();
    assert!(check.status.success(), "{}", transcript(&check));
    let recipe = fs_err::read_to_string(made.join("recipe.yaml")).unwrap();
    assert!(
        !recipe.contains('@') && recipe.contains("name: my-site\n"),
        "{recipe}"
    );
    let schema = recipe
        .lines()
        .next()
        .unwrap()
        .split_once("$schema=")
        .unwrap()
        .1;
    assert_eq!(
        fs_err::read(made.join(schema)).unwrap(),
        fs_err::read(project("docs/recipe.schema.json")).unwrap()
    );

    fs_err::write(made.join("recipe.yaml"), "mine").unwrap();
    let again = luni(folder.path())
        .args(["new", "my-site"])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1), "{}", transcript(&again));
    assert_eq!(fs_err::read(made.join("recipe.yaml")).unwrap(), b"mine");
    let left: Vec<_> = fs_err::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn folders_may_be_named_and_names_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| luni(folder.path()).arg("new").args(args).output().unwrap();
    let nested = run(&["web", "--dir", "a/b", "--json"]);
    assert!(nested.status.success(), "{}", transcript(&nested));
    let written: serde_json::Value = serde_json::from_slice(&nested.stdout).unwrap();
    assert_eq!(written["files"][0], "a/b/recipe.yaml");
    assert!(folder.path().join("a/b/files/main.c").is_file());

    for bad in ["", "Web", "1web", "a/b", "true", &"x".repeat(65)] {
        let refused = run(&[bad]);
        assert_eq!(refused.status.code(), Some(2), "{}", transcript(&refused));
    }
    let flavour = run(&["web", "--flavour", "none"]);
    assert_eq!(flavour.status.code(), Some(2));
}

/// Whether it builds is tested where that flavour is.
#[test]
fn every_flavour_has_a_template_that_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let schema = fs_err::read(project("docs/recipe.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&schema).unwrap();
    let flavours = schema["$defs"]["FlavourName"]["oneOf"].as_array().unwrap();
    assert!(flavours.len() > 5, "{flavours:?}");
    for flavour in flavours {
        let flavour = flavour["const"].as_str().unwrap();
        let name = format!("my-{flavour}");
        let new = luni(folder.path())
            .args(["new", &name, "--flavour", flavour])
            .output()
            .unwrap();
        assert!(new.status.success(), "{}", transcript(&new));
        let said = String::from_utf8(new.stdout).unwrap();
        let built = format!("luni run {name}.luni.zip");
        for part in ["luni lock  ", "luni build  ", &built] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        let made = folder.path().join(&name);
        let check = luni(&made).args(["check", "--strict"]).output().unwrap();
        assert!(check.status.success(), "{}", transcript(&check));
        let recipe = fs_err::read_to_string(made.join("recipe.yaml")).unwrap();
        assert!(
            recipe.contains(&format!("\nflavour: {flavour}\n")),
            "{recipe}"
        );
        assert!(recipe.contains(&format!("\nname: {name}\n")), "{recipe}");
        assert!(recipe.contains("\nversion: 0.1.0\n"), "{recipe}");
        assert!(!recipe.contains('@') && !recipe.contains("../"), "{recipe}");
        let comments = recipe.lines().filter(|line| line.trim().starts_with('#'));
        assert!(comments.count() > 8, "{recipe}");
        for line in said.lines().filter_map(|line| line.strip_prefix("wrote ")) {
            assert!(folder.path().join(line).is_file(), "{line}");
        }
    }
}

/// The sandbox compiles it when it is built; here any compiler will do.
#[test]
fn the_program_of_the_template_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let new = luni(folder.path()).args(["new", "web"]).output().unwrap();
    assert!(new.status.success());
    let compiled = Command::new("cc")
        .args([
            "-Wall",
            "-Wextra",
            "-Werror",
            "-O2",
            "-o",
            "program",
            "web/files/main.c",
        ])
        .current_dir(folder.path())
        .status();
    match compiled {
        Ok(status) => assert!(status.success()),
        Err(error) => lunikernel_testing::left_out(
            &lunikernel_testing::this_test(),
            &format!("there is no cc here ({error})"),
        ),
    }
}

/// Neither is it open to everybody, nor closed to those who may read anything else.
#[test]
fn what_is_written_does_not_depend_on_the_users_mask() {
    for mask in ["000", "077"] {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("/bin/sh")
            .args(["-c", "umask \"$1\"; exec \"$0\" new it"])
            .arg(luni(folder.path()).get_program())
            .arg(mask)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", transcript(&made));
        let mode = |path: &str| {
            let metadata = fs_err::metadata(folder.path().join(path)).unwrap();
            metadata.permissions().mode() & 0o7777
        };
        assert_eq!(
            (mode("it"), mode("it/recipe.yaml")),
            (0o755, 0o644),
            "{mask}"
        );
    }
}
