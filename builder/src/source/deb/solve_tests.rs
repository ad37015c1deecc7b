use super::super::packages;
use super::super::test_archive::package;
use super::*;

fn catalogue(paragraphs: &[String]) -> Catalogue {
    let mut read = Vec::new();
    packages::read(paragraphs.concat().as_bytes(), "amd64", 0, &mut read).unwrap();
    Catalogue::new(read).unwrap()
}

struct Case {
    catalogue: Catalogue,
    without: Vec<String>,
    keep: Vec<(String, String)>,
}

impl Case {
    fn new(paragraphs: &[String]) -> Self {
        Self {
            catalogue: catalogue(paragraphs),
            without: Vec::new(),
            keep: Vec::new(),
        }
    }

    fn without(mut self, names: &[&str]) -> Self {
        self.without = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    fn keep(mut self, name: &str, version: &str) -> Self {
        self.keep.push((name.to_owned(), version.to_owned()));
        self
    }

    fn solve(&self, packages: &[&str]) -> Result<Vec<String>, DebError> {
        let packages: Vec<String> = packages.iter().map(|name| (*name).to_owned()).collect();
        let request = Request {
            suite: "testing",
            arch: "amd64",
            packages: &packages,
            without: &self.without,
            keep: &self.keep,
        };
        let chosen = solve(&self.catalogue, request)?;
        let shown = chosen.into_iter().map(|number| {
            let package = self.catalogue.get(number).unwrap();
            format!("{} {}", package.name, package.version)
        });
        Ok(shown.collect())
    }

    fn closure(&self, packages: &[&str]) -> Vec<String> {
        self.solve(packages).unwrap()
    }
}

#[test]
fn depends_and_pre_depends_are_followed_and_nothing_else() {
    let case = Case::new(&[
        package(
            "app",
            "1",
            "Depends: lib (>= 2); Pre-Depends: base; Recommends: doc; Suggests: doc",
        ),
        package("lib", "1", ""),
        package("lib", "2", "Depends: base"),
        package("base", "1", "Architecture: all"),
        package("doc", "1", ""),
        package("essential", "1", "Essential: yes"),
    ]);
    assert_eq!(case.closure(&["app"]), ["app 1", "base 1", "lib 2"]);
}

#[test]
fn the_newest_version_by_policy_is_preferred() {
    let case = Case::new(&[
        package("a", "1.9", ""),
        package("a", "1.10~rc1", ""),
        package("a", "1.10", ""),
        package("a", "1:0.1", ""),
    ]);
    assert_eq!(case.closure(&["a"]), ["a 1:0.1"]);
    assert_eq!(case.closure(&["a=1.10~rc1"]), ["a 1.10~rc1"]);
}

#[test]
fn every_comparison_is_obeyed() {
    let versions = ["1", "2", "3"].map(|version| package("lib", version, ""));
    for (relation, expected) in [
        ("<< 2", "lib 1"),
        ("<= 2", "lib 2"),
        ("= 2", "lib 2"),
        (">= 2", "lib 3"),
        (">> 2", "lib 3"),
    ] {
        let app = package("app", "1", &format!("Depends: lib ({relation})"));
        let case = Case::new(&[&versions[..], &[app]].concat());
        assert_eq!(case.closure(&["app"]), ["app 1", expected], "{relation}");
    }
}

#[test]
fn the_first_alternative_that_can_be_had_is_taken() {
    let case = Case::new(&[
        package("app", "1", "Depends: gone | broken | good | better"),
        package("broken", "1", "Depends: nowhere"),
        package("good", "1", ""),
        package("better", "1", ""),
    ]);
    assert_eq!(case.closure(&["app"]), ["app 1", "good 1"]);
}

#[test]
fn an_alternative_that_is_wanted_anyway_is_enough() {
    let case = Case::new(&[
        package("app", "1", "Depends: first | second"),
        package("first", "1", "Conflicts: second"),
        package("second", "1", ""),
    ]);
    assert_eq!(case.closure(&["app", "second"]), ["app 1", "second 1"]);
}

#[test]
fn a_real_package_is_preferred_to_one_that_provides_its_name() {
    let case = Case::new(&[
        package("app", "1", "Depends: mailer"),
        package("aaa", "1", "Provides: mailer; Priority: required"),
        package("mailer", "1", "Priority: optional"),
    ]);
    assert_eq!(case.closure(&["app"]), ["app 1", "mailer 1"]);
}

#[test]
fn the_more_important_provider_is_preferred() {
    let case = Case::new(&[
        package("app", "1", "Depends: awk"),
        package("gawk", "1", "Provides: awk; Priority: optional"),
        package("mawk", "1", "Provides: awk; Priority: required"),
    ]);
    assert_eq!(case.closure(&["app"]), ["app 1", "mawk 1"]);
    // What was locked before stays, though.
    assert_eq!(
        case.keep("gawk", "1").closure(&["app"]),
        ["app 1", "gawk 1"]
    );
}

#[test]
fn only_a_versioned_provision_satisfies_a_versioned_relation() {
    let case = Case::new(&[
        package("app", "1", "Depends: abi (>= 5)"),
        package("a", "9", "Provides: abi"),
        package("b", "9", "Provides: abi (= 4)"),
        package("c", "9", "Provides: abi (= 5), other"),
    ]);
    assert_eq!(case.closure(&["app"]), ["app 1", "c 9"]);
}

#[test]
fn conflicts_and_breaks_make_another_choice() {
    for field in ["Conflicts", "Breaks"] {
        let case = Case::new(&[
            package("app", "1", "Depends: lib, tool"),
            package("lib", "2", &format!("{field}: tool (<< 5)")),
            package("lib", "1", ""),
            package("tool", "4", ""),
        ]);
        assert_eq!(
            case.closure(&["app"]),
            ["app 1", "lib 1", "tool 4"],
            "{field}"
        );
    }
}

#[test]
fn a_package_does_not_conflict_with_what_it_provides_itself() {
    let case = Case::new(&[
        package("exim", "1", "Provides: mta; Conflicts: mta"),
        package("postfix", "1", "Provides: mta; Conflicts: mta"),
    ]);
    assert_eq!(case.closure(&["exim"]), ["exim 1"]);
    assert!(case.solve(&["exim", "postfix"]).is_err());
}

#[test]
fn circles_of_dependencies_end() {
    let case = Case::new(&[
        package("libc6", "2.36-9", "Depends: libgcc-s1"),
        package("libgcc-s1", "12", "Depends: gcc-base, libc6 (>= 2.35)"),
        package("gcc-base", "12", ""),
    ]);
    assert_eq!(
        case.closure(&["libgcc-s1"]),
        ["gcc-base 12", "libc6 2.36-9", "libgcc-s1 12"]
    );
}

#[test]
fn what_is_taken_as_present_is_neither_listed_nor_followed() {
    let case = Case::new(&[
        package(
            "image",
            "1",
            "Depends: kmod (>= 99), initramfs | generator, helper",
        ),
        package("kmod", "30", "Depends: libkmod"),
        package("libkmod", "30", ""),
        package("helper", "1", ""),
        package("generator", "1", ""),
        package("mkinit", "1", "Provides: initramfs"),
    ])
    .without(&["kmod", "mkinit"]);
    assert_eq!(case.closure(&["image"]), ["helper 1", "image 1"]);
    assert!(matches!(
        case.solve(&["kmod"]),
        Err(DebError::Contradiction { .. })
    ));
}

#[test]
fn architecture_qualifiers_are_obeyed() {
    let case = Case::new(&[
        package("app", "1", "Depends: python:any, lib:amd64, tool:native"),
        package("python", "3", "Multi-Arch: allowed"),
        package("lib", "1", "Multi-Arch: same"),
        package("tool", "1", ""),
        package("bad", "1", "Depends: tool:any"),
        package("foreign", "1", "Depends: lib:arm64"),
        package("lib", "9", "Architecture: arm64"),
    ]);
    assert_eq!(
        case.closure(&["app"]),
        ["app 1", "lib 1", "python 3", "tool 1"]
    );
    assert!(case.solve(&["bad"]).is_err());
    assert!(case.solve(&["foreign"]).is_err());
}

#[test]
fn a_kept_version_stays_while_it_can() {
    let lib = ["1", "2", "3"].map(|version| package("lib", version, ""));
    let app = package("app", "1", "Depends: lib");
    let case = Case::new(&[&lib[..], &[app]].concat()).keep("lib", "2");
    assert_eq!(case.closure(&["app"]), ["app 1", "lib 2"]);
    let app = package("app", "1", "Depends: lib (>= 3)");
    let case = Case::new(&[&lib[..], &[app]].concat()).keep("lib", "2");
    assert_eq!(case.closure(&["app"]), ["app 1", "lib 3"]);
}

#[test]
fn an_older_version_is_taken_where_the_newest_cannot_be_had() {
    let case = Case::new(&[
        package("app", "2", "Depends: lib (>= 2)"),
        package("app", "1", "Depends: lib"),
        package("lib", "1", ""),
        package("tool", "1", ""),
    ]);
    assert_eq!(case.closure(&["app"]), ["app 1", "lib 1"]);
}

#[test]
fn the_order_of_the_list_and_of_the_request_does_not_matter() {
    let mut paragraphs = vec![
        package("app", "1", "Depends: x | y, v, z"),
        package("x", "1", "Conflicts: z"),
        package("y", "1", ""),
        package("z", "1", "Depends: v"),
        package("p", "1", "Provides: v"),
        package("q", "1", "Provides: v"),
        package("r", "1", "Depends: q | p"),
    ];
    let first = Case::new(&paragraphs).closure(&["app", "r"]);
    for _ in 0..paragraphs.len() {
        paragraphs.rotate_left(1);
        assert_eq!(Case::new(&paragraphs).closure(&["r", "app"]), first);
    }
    // Hash tables inside the solver are seeded anew for each: the answer must not be.
    for _ in 0..50 {
        assert_eq!(Case::new(&paragraphs).closure(&["app", "r"]), first);
    }
}

#[test]
fn errors_name_what_was_meant_and_what_there_is() {
    let case = Case::new(&[
        package("busybox-static", "1", ""),
        package("busybox", "1", ""),
        package("exim", "1", "Provides: mta"),
        package("postfix", "1", "Provides: mta"),
        package("bad", "1", "Depends: lib (>= 3) | lab, exim"),
        package("lib", "1", ""),
        package("lib", "2", ""),
        package("odd", "1", "Depends: a b c"),
    ]);
    let told = |packages: &[&str]| {
        let error = case.solve(packages).unwrap_err();
        let hint = error.hint().unwrap_or_else(|| "none".to_owned());
        format!("{error}\nhint: {hint}")
    };
    insta::assert_snapshot!(
        [
            told(&["busybox-statc"]),
            told(&["mta"]),
            told(&["lib=7"]),
            told(&["lib>=1"]),
            told(&["bad"]),
            told(&["lib=1", "lib=2"]),
            told(&["odd"]),
        ]
        .join("\n---\n"),
        @r"
    there is no package `busybox-statc` in the release `testing`
    hint: did you mean busybox-static?
    ---
    `mta` is a virtual package, provided by exim, postfix
    hint: name the one that is wanted: `exim`, for example
    ---
    there is no version 7 of the package `lib`; there is 2, 1
    hint: write `lib` for the newest version
    ---
    `lib>=1` is no package: expected `name` or `name=version`
    hint: none
    ---
    the packages cannot be installed together:
    bad * cannot be installed because there are no viable options:
    └─ bad 1 would require
       └─ lib (>= 3) | lab (there is lib 2, lib 1), for which no candidates were found.
    hint: name another package or version, or take what is not needed as present with `without`
    ---
    the packages cannot be installed together:
    The following packages are incompatible
    ├─ lib (= 2) can be installed with any of the following options:
    │  └─ lib 2
    └─ lib (= 1) cannot be installed because there are no viable options:
       └─ lib 1, which conflicts with the versions reported above.
    hint: name another package or version, or take what is not needed as present with `without`
    ---
    the packages cannot be installed together:
    The following packages are incompatible
    └─ odd * cannot be installed because there are no viable options:
       └─ odd 1 is excluded because `a b c` is no relation between packages
    hint: name another package or version, or take what is not needed as present with `without`
    "
    );
}

#[test]
fn a_field_of_fifty_thousand_relations_is_solved() {
    let needs = vec!["lib"; 50_000].join(", ");
    let conflicts = vec!["virtual (<< 1)"; 50_000].join(", ");
    let fields = format!("Depends: {needs}; Conflicts: {conflicts}");
    let case = Case::new(&[
        package("app", "1", &fields),
        package("lib", "1", "Provides: virtual (= 2)"),
    ]);
    assert_eq!(case.closure(&["app"]), ["app 1", "lib 1"]);
}
