//! The solver, on repositories in memory.

use super::test_repository::{chosen, chosen_with};

const SHELL: &str = "
    bash 5.2-r0; D:/bin/sh so:libc.so.1 so:libreadline.so.8; p:cmd:bash=5.2-r0
    readline 8.2-r0; D:so:libc.so.1; p:so:libreadline.so.8=8.2
    readline 8.1-r0; D:so:libc.so.1; p:so:libreadline.so.8=8.1
    * musl 1.2.5-r0; p:so:libc.so.1=1
    * busybox-binsh 1.36-r0; p:/bin/sh cmd:sh=1.36-r0; k:100
    dash 0.5-r0; p:/bin/sh cmd:dash=0.5-r0
";

#[test]
fn what_is_provided_satisfies_and_the_base_counts() {
    let expected = ["bash 5.2-r0", "readline 8.2-r0"];
    assert_eq!(chosen(SHELL, "bash").unwrap(), expected);
    assert_eq!(chosen(SHELL, "cmd:bash").unwrap(), expected);
    assert_eq!(chosen(SHELL, "musl").unwrap(), Vec::<String>::new());
    assert_eq!(chosen(SHELL, "readline<8.2").unwrap(), ["readline 8.1-r0"]);
    assert_eq!(chosen(SHELL, "readline~8.1").unwrap(), ["readline 8.1-r0"]);
    let keep = [("readline".to_owned(), "8.1-r0".to_owned())];
    assert_eq!(
        chosen_with(SHELL, "bash", "", &keep).unwrap(),
        ["bash 5.2-r0", "readline 8.1-r0"]
    );
    assert_eq!(
        chosen_with(SHELL, "bash", "readline", &[]).unwrap(),
        ["bash 5.2-r0"]
    );
}

#[test]
fn of_those_who_have_a_name_the_version_decides_and_then_the_priority() {
    let lines = "
        a 1; D:editor
        nano 1; p:editor; k:10
        vim 9; p:editor; k:20
        app 1; D:so:libssl.so
        old 1; p:so:libssl.so=1; k:9
        new 1; p:so:libssl.so=3; k:1
        same 1; p:so:libssl.so=3; k:2
        self 2
        other 1; p:self=3
        tagged 1; p:self; k:9
    ";
    assert_eq!(chosen(lines, "a").unwrap(), ["a 1", "vim 9"]);
    assert_eq!(chosen(lines, "a nano").unwrap(), ["a 1", "nano 1"]);
    assert_eq!(chosen(lines, "app").unwrap(), ["app 1", "same 1"]);
    assert_eq!(chosen(lines, "app old").unwrap(), ["app 1", "old 1"]);
    assert_eq!(chosen(lines, "self").unwrap(), ["other 1"]);
    assert_eq!(chosen(lines, "self<3").unwrap(), ["self 2"]);
}

#[test]
fn who_is_there_anyway_is_who_was_meant() {
    // As lua is in Alpine 3.16: each of its versions is a `lua`, and one of them is to be
    // taken where none is there.
    let lines = "
        lua5.1 1; p:lua cmd:lua=5.1; k:100; D:so:one
        lua5.2 1; p:lua
        one 1; p:so:one=1
        penlight 1; D:lua
        core 1; D:haserl
        haserl 1; D:lua5.2
        lib 1
        lib5.1 1; i:lua5.1 lib; D:lua5.1
        lib5.2 1; i:lua5.2 lib
    ";
    let names = |wanted: &str| chosen(lines, wanted).unwrap().join(", ");
    assert_eq!(names("penlight"), "lua5.1 1, one 1, penlight 1");
    let expected = "core 1, haserl 1, lua5.2 1, penlight 1";
    assert_eq!(names("penlight core"), expected);
    assert_eq!(names("core penlight"), expected);
    // And what comes along with who is not taken does not.
    let expected = "core 1, haserl 1, lib 1, lib5.2 1, lua5.2 1, penlight 1";
    assert_eq!(names("lib penlight core"), expected);
    let expected = "lib 1, lib5.1 1, lua5.1 1, one 1, penlight 1";
    assert_eq!(names("lib penlight"), expected);
    // What a tag is meant by may be there for the sake of one with a priority.
    let lines = "
        app 1; D:lua helped
        lua5.1 1; p:lua; k:100; D:one
        one 1; p:helped
        two 1; p:helped
    ";
    let expected = ["app 1", "lua5.1 1", "one 1"];
    assert_eq!(chosen(lines, "app").unwrap(), expected);
}

#[test]
fn what_is_a_mere_tag_is_for_the_recipe_to_choose() {
    let lines = "
        ed 1; p:editor
        nano 1; p:editor
        vi 1; p:editor=1 pager
        app 1; D:mail
        exim 1; p:mail
        postfix 1; p:mail
        suite 1; D:app postfix
        deep 1; D:suite
        only 1; p:lonely
        * less 1; p:pager
    ";
    assert_eq!(chosen(lines, "editor").unwrap(), ["vi 1"]);
    assert_eq!(chosen(lines, "editor ed").unwrap(), ["ed 1"]);
    assert_eq!(chosen(lines, "pager").unwrap(), Vec::<String>::new());
    assert_eq!(chosen(lines, "app exim").unwrap(), ["app 1", "exim 1"]);
    let expected = ["app 1", "postfix 1", "suite 1"];
    assert_eq!(chosen(lines, "suite").unwrap(), expected);
    assert_eq!(chosen(lines, "app deep").unwrap().len(), 4);
    let say = |wanted: &str| chosen(lines, wanted).unwrap_err().to_string();
    assert_eq!(
        say("app"),
        "app 1 needs `mail`, which is for you to choose: it is provided by exim, postfix"
    );
    assert_eq!(
        say("lonely"),
        "the recipe needs `lonely`, which is for you to choose: it is provided by only"
    );
}

#[test]
fn a_name_that_is_provided_with_a_version_is_provided_once() {
    let lines = "
        a 1; D:so:x; p:so:y=1
        b 1; p:so:x=1 so:y=1
        c 1; p:so:x=1 so:z=1
    ";
    assert_eq!(chosen(lines, "a").unwrap(), ["a 1", "c 1"]);
    let error = chosen(lines, "a b").unwrap_err().to_string();
    assert!(error.contains("cannot be installed"), "{error}");
    // Unless it is without a version: then it is a mere tag.
    let lines = "a 1; p:tag\n b 1; p:tag";
    assert_eq!(chosen(lines, "a b").unwrap(), ["a 1", "b 1"]);
}

#[test]
fn conflicts_keep_packages_apart() {
    let lines = "
        a 1; D:!b
        b 1
        c 1; D:!b<2
        b 2
        * base 1
        d 1; D:!base
    ";
    assert!(chosen(lines, "a b").is_err());
    assert_eq!(chosen(lines, "c b").unwrap(), ["b 2", "c 1"]);
    let error = chosen(lines, "d").unwrap_err().to_string();
    assert!(error.contains("of the base"), "{error}");
}

#[test]
fn packages_come_along_when_all_that_they_ask_for_is_there() {
    let lines = "
        docs 1
        app 1
        app-doc 1; i:docs app=1
        app-openrc 1; i:openrc app
        app-extra 1; i:app; D:nothing-has-this
        app-lang 1; i:app-doc
        app-doc 2; i:docs app=2
        app-doc 0; i:docs app
        * openrc 0.5
    ";
    assert_eq!(chosen(lines, "app").unwrap(), ["app 1", "app-openrc 1"]);
    assert_eq!(
        chosen(lines, "app docs").unwrap(),
        ["app 1", "app-doc 1", "app-lang 1", "app-openrc 1", "docs 1"]
    );
    assert_eq!(
        chosen_with(lines, "app", "app-openrc", &[]).unwrap(),
        ["app 1"]
    );
}

#[test]
fn what_cannot_be_met_is_explained() {
    let lines = "
        nginx 1.12.2-r3; D:so:libssl.so.44 so:libc.so.1
        * musl 1.2.5-r0; p:so:libc.so.1=1
        new 1; D:musl>=1.3
        wrong 1; D:a@tag
        later 2; X:new
    ";
    let say = |wanted: &str| {
        let error = chosen(lines, wanted).unwrap_err();
        format!("{error}\nhint: {}", error.hint().unwrap_or_default())
    };
    for (wanted, expected) in [
        (
            "nginx",
            "nginx 1.12.2-r3 would require\n   └─ so:libssl.so.44 (neither a repository nor the base has it)",
        ),
        ("new", "musl >=1.3 (there is musl 1.2.5-r0)"),
        ("musl<1.2", "musl <1.2 (there is musl 1.2.5-r0)"),
        ("wrong", "`a@tag` names a repository by its tag"),
        ("later", "its entry has the field `X:`"),
        ("ngnix", "has `ngnix`\nhint: did you mean `nginx`?"),
        ("!musl", "`!musl` says what must not be there"),
        ("a=", "`a=` has a version that is none\nhint: write `name`"),
    ] {
        let said = say(wanted);
        assert!(said.contains(expected), "{wanted}: {said}");
    }
}

#[test]
fn packages_that_bring_each_other_along_come_to_an_end() {
    let cycle = "app 1\n a 1; i:app b\n b 1; i:app a\n c 1; i:c";
    assert_eq!(chosen(cycle, "app").unwrap(), ["app 1"]);
    assert_eq!(chosen(cycle, "app a").unwrap(), ["a 1", "app 1", "b 1"]);
    let chain = |length: usize| {
        let links = (1..length).map(|at| format!("l{at} 1; i:l{}\n", at - 1));
        "l0 1\n".to_owned() + &links.collect::<String>()
    };
    assert_eq!(chosen(&chain(10), "l0").unwrap().len(), 10);
    let error = chosen(&chain(50), "l0").unwrap_err().to_string();
    assert!(error.contains("32 times over; the last are l32"), "{error}");
}

#[test]
fn conditions_that_take_for_ever_to_tell_are_given_up() {
    let many: String = (0..2000)
        .map(|at| format!("p{at} 1; p:x; i:app {}\n", "x ".repeat(120)))
        .collect();
    let lines = format!("app 1; D:p0\n{many}");
    let error = chosen(&lines, "app").unwrap_err().to_string();
    assert!(error.contains("more than 100000000 steps"), "{error}");
}

#[test]
fn a_dependency_upon_a_thousand_provided_names_is_solved() {
    let provides: String = (0..5000).map(|at| format!("so:x{at}=1 ")).collect();
    let needs: String = (0..5000).map(|at| format!("so:x{at} ")).collect();
    let lines = format!("app 1; D:{needs}\nlib 1; p:{provides}");
    assert_eq!(chosen(&lines, "app").unwrap(), ["app 1", "lib 1"]);
}
