//! `luni build` on real input.

#[path = "build/killed.rs"]
mod killed;
mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fs_err as fs;
use lunikernel_builder::lock::LockedRecipe;
use lunikernel_builder::plan::unpack_action;
use lunikernel_builder::recipe::Recipe;
use lunikernel_cache::Cache;
use support::hello::{built_digest, golden, luni, luni_at, mirror, recipe};
use support::small::Small;
use support::transcript;

#[test]
fn hello_has_the_golden_digest_and_is_built_once() {
    let Some(mirror) = mirror("build::hello_has_the_golden_digest_and_is_built_once") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let build = || {
        luni(&folder.path().join("cache"))
            .args(["--offline", "--mirror", &mirror, "build"])
            .arg(recipe())
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let first = build();
    assert_eq!(
        built_digest(&first),
        golden(),
        "the digest of recipes/debian/hello has moved; if that is meant, write the new one into \
         tests/golden/debian-hello.sha256 and say in the commit message why the bits had to move"
    );
    let zip = fs::read(folder.path().join("hello.luni.zip")).unwrap();
    assert_eq!(
        lunikernel_cache::Sha256::of(&zip).hex(),
        golden(),
        "what was written is not what was announced"
    );
    let second = build();
    assert_eq!(built_digest(&second), golden());
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(text.contains("nothing to do"), "{}", transcript(&second));
}

#[test]
fn hello_is_the_same_elsewhere_as_an_ordinary_user_on_one_processor() {
    let name = "build::hello_is_the_same_elsewhere_as_an_ordinary_user_on_one_processor";
    if !rustix::process::geteuid().is_root() {
        lunikernel_testing::left_out(name, "only root can become another user");
        return;
    }
    let Some(mirror) = mirror(name) else { return };
    // Another checkout: other path, and a program that the other user may read.
    let elsewhere = tempfile::Builder::new()
        .prefix("quite another place ")
        .tempdir()
        .unwrap();
    let program = elsewhere.path().join("luni");
    fs::copy(env!("CARGO_BIN_EXE_luni"), &program).unwrap();
    let copied = elsewhere.path().join("hello");
    copy_folder(&recipe(), &copied);
    let mirrored = elsewhere.path().join("mirror");
    copy_folder(Path::new(mirror.trim_start_matches("file://")), &mirrored);
    let nobody = 65534;
    let own = Command::new("chown")
        .args(["-R", &format!("{nobody}:{nobody}")])
        .arg(elsewhere.path())
        .status()
        .unwrap();
    assert!(own.success());
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(&program);
    let luni = luni_at(&program, &elsewhere.path().join("cache"));
    for (key, value) in luni.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    let output = command
        .args(["--offline", "build", "."])
        .arg("--mirror")
        .arg(format!(
            "file://{}",
            mirrored.display().to_string().replace(' ', "%20")
        ))
        .current_dir(&copied)
        .env("HOME", "/nonexistent")
        .gid(nobody)
        .uid(nobody)
        .output()
        .unwrap();
    assert_eq!(built_digest(&output), golden(), "{}", transcript(&output));
}

#[test]
fn two_builds_at_once_do_the_work_once() {
    let Some(mirror) = mirror("build::two_builds_at_once_do_the_work_once") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let start = |output: &str| {
        luni(&folder.path().join("cache"))
            .args(["--offline", "--mirror", &mirror, "--json", "build"])
            .arg(recipe())
            .args(["-o", output])
            .current_dir(folder.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children = [start("one.luni.zip"), start("two.luni.zip")];
    let answers = children.map(|child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", transcript(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    });
    let cached = answers.iter().filter(|a| a["cached"] == true).count();
    assert_eq!(cached, 1, "{answers:?}");
    for name in ["one.luni.zip", "two.luni.zip"] {
        let zip = fs::read(folder.path().join(name)).unwrap();
        assert_eq!(lunikernel_cache::Sha256::of(&zip).hex(), golden());
    }
}

#[test]
fn two_recipes_at_once_unpack_their_common_packages_once() {
    let name = "build::two_recipes_at_once_unpack_their_common_packages_once";
    let steps =
        "  - name: only\n    root: [base, shell]\n    run: echo made > out\n    outputs: [out]\n";
    let Some(small) = Small::new(name, steps) else {
        return;
    };
    let text = fs::read_to_string(small.path("recipe/recipe.yaml")).unwrap();
    fs::create_dir(small.path("another")).unwrap();
    fs::copy(
        small.path("recipe/recipe.lock"),
        small.path("another/recipe.lock"),
    )
    .unwrap();
    let text = text.replace("name: small\n", "name: another\n");
    fs::write(small.path("another/recipe.yaml"), text).unwrap();

    // Both are kept from their first package until both are there.
    let cache = Cache::open(&small.path("cache")).unwrap();
    let read = Recipe::read(&small.path("recipe/recipe.yaml")).unwrap();
    let locked = LockedRecipe::open(read, &cache).unwrap();
    let first = locked.inputs().min().unwrap();
    let turn = cache
        .lock(&unpack_action(&first).encode().digest.sha256)
        .unwrap();
    let mut children = ["recipe", "another"].map(|recipe| {
        let said = small.path(&format!("{recipe}.log"));
        let mut command = small.luni("build");
        command
            .arg(recipe)
            .stderr(fs::File::create(&said).unwrap().into_file());
        command.stdout(std::process::Stdio::null());
        (said, command.spawn().unwrap())
    });
    let said = |path: &Path| fs::read_to_string(path).unwrap();
    let start = Instant::now();
    while !children
        .iter()
        .all(|(path, _)| said(path).contains("waiting for another luni"))
    {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(turn);
    let mut recalled = 0;
    for (path, child) in &mut children {
        assert!(child.wait().unwrap().success(), "{}", said(path));
        let text = said(path);
        let mut lines = text.lines();
        let unpacking = lines.find(|line| line.contains("unpacking 3 packages"));
        recalled += usize::from(unpacking.unwrap().ends_with("(cached)"));
    }
    assert_eq!(recalled, 1);
}

#[test]
fn a_full_disk_is_said_and_damages_nothing() {
    let name = "build::a_full_disk_is_said_and_damages_nothing";
    if !rustix::process::geteuid().is_root() {
        lunikernel_testing::left_out(name, "only root can mount a small file system");
        return;
    }
    let Some(mirror) = mirror(name) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=100m,mode=755", "tmpfs"])
        .arg(&cache)
        .status()
        .unwrap();
    assert!(mount.success());
    let build = luni(&cache)
        .args(["--offline", "--mirror", &mirror, "build"])
        .arg(recipe())
        .current_dir(folder.path())
        .output();
    let verify = luni(&cache).args(["cache", "verify"]).output();
    let unmount = Command::new("umount").arg(&cache).status().unwrap();
    assert!(unmount.success());
    let (build, verify) = (build.unwrap(), verify.unwrap());
    let text = String::from_utf8_lossy(&build.stderr);
    assert!(!build.status.success(), "{}", transcript(&build));
    assert!(
        text.contains("No space left on device"),
        "{}",
        transcript(&build)
    );
    assert!(text.contains("hint: "), "{}", transcript(&build));
    assert!(verify.status.success(), "{}", transcript(&verify));
    assert!(!folder.path().join("hello.luni.zip").exists());
}

#[test]
fn a_damaged_cache_is_noticed_and_mended() {
    let Some(mirror) = mirror("build::a_damaged_cache_is_noticed_and_mended") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let build = || {
        luni(&cache)
            .args(["--offline", "--mirror", &mirror, "build"])
            .arg(recipe())
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    assert_eq!(built_digest(&build()), golden());
    let blob = cache.join("cas-v1").join(&golden()[..2]).join(golden());
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    let again = build();
    assert_eq!(built_digest(&again), golden());
    let text = String::from_utf8_lossy(&again.stderr);
    assert!(
        text.contains("the cache is damaged"),
        "{}",
        transcript(&again)
    );
    let zip = fs::read(folder.path().join("hello.luni.zip")).unwrap();
    assert_eq!(lunikernel_cache::Sha256::of(&zip).hex(), golden());
}

#[test]
fn what_is_no_file_is_neither_overwritten_nor_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let run = |args: &[&str]| {
        luni(&folder.path().join("cache"))
            .args(args)
            .arg(&pipe)
            .output()
            .unwrap()
    };
    for verb in ["check", "build", "lock", "inspect", "run"] {
        let refused = run(&[verb]);
        assert_eq!(
            refused.status.code(),
            Some(3),
            "{verb}: {}",
            transcript(&refused)
        );
    }
    if let Some(mirror) = mirror("build::what_is_no_file_is_neither_overwritten_nor_waited_for") {
        let recipe = recipe();
        let recipe = recipe.to_str().unwrap();
        let refused = run(&["--offline", "--mirror", &mirror, "build", recipe, "-o"]);
        assert_eq!(refused.status.code(), Some(3), "{}", transcript(&refused));
        assert!(!fs::symlink_metadata(&pipe).unwrap().is_file());
    }
}

#[test]
fn offline_names_the_inputs_that_are_missing_and_counts_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let output = luni(&folder.path().join("cache"))
        .args(["--offline", "build"])
        .arg(recipe())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", transcript(&output));
    let text = String::from_utf8_lossy(&output.stderr);
    for said in ["lacks 32 inputs", "busybox-static", "gcc-12", "and 22 more"] {
        assert!(text.contains(said), "{said}: {}", transcript(&output));
    }
}

#[test]
fn a_lock_that_does_not_fit_says_what_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("hello");
    copy_folder(&recipe(), &copied);
    let build = || {
        luni(&folder.path().join("cache"))
            .args(["--offline", "build"])
            .arg(&copied)
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    fs::write(
        copied.join("files/hello.c"),
        "int main(void) { return 0; }\n",
    )
    .unwrap();
    let changed = build();
    assert_eq!(changed.status.code(), Some(4), "{}", transcript(&changed));
    let text = String::from_utf8_lossy(&changed.stderr);
    assert!(text.contains("files/hello.c"), "{}", transcript(&changed));
    assert!(text.contains("luni lock"), "{}", transcript(&changed));
    fs::remove_file(copied.join("recipe.lock")).unwrap();
    let absent = build();
    assert_eq!(absent.status.code(), Some(4), "{}", transcript(&absent));
    assert!(String::from_utf8_lossy(&absent.stderr).contains("luni lock"));
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

#[test]
fn a_umask_that_keeps_others_out_changes_no_bits() {
    let name = "build::a_umask_that_keeps_others_out_changes_no_bits";
    let steps = "  - name: modes\n    root: [base, shell]\n    run: |\n      mkdir out\n      \
                 : > out/file\n      stat -c '%a %n' / /build /tmp out out/file > out/modes\n    \
                 outputs: [out]\n";
    let Some(small) = Small::new(name, steps) else {
        return;
    };
    let mut digests = Vec::new();
    for (umask, mode) in [("077", 0o600), ("022", 0o644)] {
        let file = small.path(&format!("{umask}.luni.zip"));
        let own = small.luni("build");
        let mut command = Command::new("sh");
        command.args(["-c", "umask $0; exec \"$@\"", umask]);
        command.arg(own.get_program()).args(own.get_args());
        command.arg("recipe").arg("-o").arg(&file);
        command.env("LUNI_CACHE", small.path(&format!("cache-{umask}")));
        let built = command.current_dir(small.path(".")).output().unwrap();
        digests.push(built_digest(&built));
        let written = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(written & 0o777, mode);
    }
    assert_eq!(digests[0], digests[1]);
}
