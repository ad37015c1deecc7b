use std::collections::BTreeMap;
use std::process::Command;

use lunikernel_cache::Rootfs;

use super::*;

const RECIPE: &str = include_str!("../../../../../recipes/debian/hello/recipe.yaml");

fn hello() -> Recipe {
    Recipe::from_bytes(RECIPE.as_bytes(), "recipe.yaml", None)
        .unwrap()
        .0
}

fn content(files: &[GuestFile], path: &str) -> String {
    let file = files.iter().find(|file| file.path == path).unwrap();
    String::from_utf8(file.content.clone()).unwrap()
}

#[test]
fn all_files_fit_into_one_root() {
    let files = guest_files(&hello()).unwrap();
    let mut root = Rootfs::new();
    for file in &files {
        root.insert(&file.path, file.node.clone()).unwrap();
        match &file.node.kind {
            NodeKind::File { content, .. } => assert_eq!(*content, Digest::of(&file.content)),
            _ => assert!(file.content.is_empty(), "{}", file.path),
        }
    }
    assert_eq!(root.get("tmp").unwrap().mode, 0o1777);
    assert_eq!(root.get("init").unwrap().mode, 0o755);
}

#[test]
fn hello_is_written_down() {
    let files = guest_files(&hello()).unwrap();
    assert_eq!(content(&files, "etc/hostname"), "hello\n");
    assert_eq!(content(&files, "etc/luni/name"), "hello 1.0.0\n");
    assert_eq!(
        content(&files, "etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\n\
         hello:x:1000:1000:hello:/nonexistent:/bin/false\n\
         nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
    );
    assert_eq!(
        content(&files, "etc/luni/services/hello"),
        "#!/bin/busybox sh\n# The service `hello`.\n\
         export HOME='/nonexistent' USER=hello\n\
         exec busybox start-stop-daemon -S -p /run/luni/none -c hello -x '/usr/bin/hello' --\n"
    );
    assert!(files.iter().any(|file| file.path == "etc/luni/network"));
    assert!(!files.iter().any(|file| file.path == "etc/modules"));
}

#[test]
fn a_guest_without_network_asks_for_none_and_names_its_modules() {
    let mut recipe = hello();
    recipe.boot.net = false;
    recipe.kernel.modules = Some(vec!["cloud".into(), "overlay".into(), "vsock".into()]);
    let files = guest_files(&recipe).unwrap();
    assert!(!files.iter().any(|file| file.path == "etc/luni/network"));
    assert_eq!(content(&files, "etc/modules"), "overlay\nvsock\n");
}

#[test]
fn a_shell_reads_arguments_back_as_they_were() {
    let arguments = ["it's", "$(exit 1)", "`x`", "a\nb", "", "\\", "*", "-- é"];
    let mut command = vec!["/usr/bin/printf".to_owned(), "[%s]".to_owned()];
    command.extend(arguments.map(str::to_owned));
    let service = Service {
        command,
        user: "root".to_owned(),
        env: BTreeMap::from([("LC_ALL".to_owned(), "it's $HOME".to_owned())]),
    };
    let script = service_script("odd", &service, &[]).unwrap();
    let script = script.replace("exec ", "printf '<%s>' \"$LC_ALL\"; exec ");
    let run = Command::new("sh").arg("-c").arg(script).output().unwrap();
    let expected: String = arguments.iter().map(|it| format!("[{it}]")).collect();
    assert_eq!(
        String::from_utf8(run.stdout).unwrap(),
        format!("<it's $HOME>{expected}")
    );
}

#[test]
fn what_cannot_be_is_refused() {
    type Change = fn(&mut Recipe);
    let service = |recipe: &mut Recipe| {
        let service = recipe.rootfs.services.remove("hello").unwrap();
        (service, recipe.rootfs.users.clone())
    };
    let changes: &[(Change, &str)] = &[
        (|r| r.name = "a b".into(), "host name"),
        (|r| r.name = "-a".into(), "no `-`"),
        (|r| r.name = "a".repeat(64), "at most 63"),
        (|r| r.name.clear(), "at least one"),
        (|r| r.version = "1\nluni: x is up".into(), "one line"),
        (|r| r.rootfs.users[0].name = "root".into(), "already"),
        (
            |r| r.rootfs.users[0].name = "a:b".into(),
            "its name has to be",
        ),
        (|r| r.rootfs.users[0].uid = 0, "reserved"),
        (|r| r.rootfs.users[0].uid = 65534, "reserved"),
        (|r| r.rootfs.users[0].home = "/a:0".into(), "absolute path"),
        (|r| r.rootfs.users[0].home = "a".into(), "absolute path"),
        (|r| r.rootfs.users[0].home = "/a\nb".into(), "absolute path"),
        (|r| r.rootfs.users.clear(), "no user `hello`"),
    ];
    for (change, expected) in changes {
        let mut recipe = hello();
        change(&mut recipe);
        let error = guest_files(&recipe).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    type Mangle = fn(&mut Service);
    let mangles: &[(&str, Mangle, &str)] = &[
        ("../x", |_| (), "its name has to be"),
        ("x", |s| s.command.clear(), "empty"),
        ("x", |s| s.command[0] = "hello".into(), "absolute path"),
        ("x", |s| s.command.push("a\0b".into()), "NUL"),
        ("x", |s| drop(s.env.insert("A=B".into(), "c".into())), "A=B"),
        ("x", |s| drop(s.env.insert("A;b".into(), "c".into())), "A;b"),
        (
            "x",
            |s| drop(s.env.insert(String::new(), "c".into())),
            "\"\"",
        ),
        ("x", |s| s.user = "hello; x".into(), "no user"),
    ];
    for (name, mangle, expected) in mangles {
        let (mut changed, users) = service(&mut hello());
        mangle(&mut changed);
        let error = service_script(name, &changed, &users)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn scripts_are_sound_shell() {
    for (name, text) in [
        ("init", INIT),
        ("supervise", SUPERVISE),
        ("network", NETWORK),
        ("dhcp", DHCP),
    ] {
        let check = Command::new("sh").arg("-nc").arg(text).output().unwrap();
        assert!(check.status.success(), "{name}: {check:?}");
        assert!(text.starts_with("#!/bin/busybox sh\n"), "{name}");
    }
}
