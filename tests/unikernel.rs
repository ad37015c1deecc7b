//! Unikernels through the binary: built, looked at, built again, booted.

#[path = "unikernel/console.rs"]
mod console;
#[path = "unikernel/multiboot2.rs"]
mod multiboot2;
mod support;

use std::path::PathBuf;
use std::process::Output;

use fs_err as fs;
use support::{hello, project, transcript, varied};

/// Little Kernel: multiboot 1, an ELF file that its header gives addresses for.
const LITTLE_KERNEL: &str = "9ef6cc9118c560129937cdc971ec229bd545f51b8269eea43986ce66c78ff942";
const HELLO_HVT: &str = "c8d2ed8626cff98de3f346df3d135d253b6c5385111978f09691764cd801ace8";
const HELLO_SPT: &str = "168f79f83ef3663e5e47c98d27ce09dbfa290d2c7338171d1948188003afc6d5";
const HELLO_VIRTIO: &str = "41b7eaa36bb53766662d050fd9851985e33a04a3d2adf7706e4c106b89dbefe5";
const HELLO_XEN: &str = "1d8da8577d4baca614436ca2508569b9c34b643c716093219da9ecdb2c42ff3e";
const HELLO_MUEN: &str = "43db80bc8df2382b8cef05e391316f50eada95949fe452e8bc76488daaac0db3";
const MIRAGE_HELLO: &str = "5be510ef721cb4adf5123f5ad2202f00d7aa825b6eea0c63fb8940088d903505";

/// A recipe of a unikernel that is beside it, in a folder of its own.
struct Bench {
    folder: tempfile::TempDir,
    name: String,
}

impl Bench {
    /// Of `kernel`, with `more` in its recipe.
    fn new(name: &str, flavour: &str, kernel: &[u8], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kernel"), kernel).unwrap();
        fs::write(folder.path().join("text"), "a module\n").unwrap();
        let recipe = format!(
            "apiVersion: lunikernel/v1\nname: {name}\nversion: 1.0.0\nflavour: {flavour}\n\
             sources:\n  image: {{file: kernel}}\n  text: {{file: text}}\n\
             kernel: {{from: image}}\n{more}"
        );
        fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
        let bench = Self {
            folder,
            name: name.to_owned(),
        };
        let lock = bench.luni(&["lock"]);
        assert!(lock.status.success(), "{}", transcript(&lock));
        bench
    }

    fn luni(&self, args: &[&str]) -> Output {
        hello::luni(&self.path("cache"))
            .current_dir(self.folder.path())
            .args(["--offline", "--quiet"])
            .args(args)
            .output()
            .unwrap()
    }

    /// The same where no program of this machine is found.
    fn luni_without_programs(&self, args: &[&str]) -> Output {
        hello::luni(&self.path("cache"))
            .current_dir(self.folder.path())
            .env("PATH", self.folder.path())
            .args(args)
            .output()
            .unwrap()
    }

    fn zip(&self) -> String {
        format!("{}.luni.zip", self.name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn build(&self) -> String {
        hello::built_digest(&self.luni(&["build"]))
    }

    fn run(&self, args: &[&str]) -> Output {
        let zip = self.zip();
        self.luni(&[&["run", "--accel", "tcg", &zip][..], args].concat())
    }
}

/// An artefact of somebody else's, by its SHA-256.
fn upstream(sha256: &str) -> Option<Vec<u8>> {
    let mirror = lunikernel_testing::artefacts(&lunikernel_testing::this_test())?;
    Some(fs::read(mirror.join("sha256").join(sha256)).unwrap())
}

fn has_qemu() -> bool {
    let found = lunikernel_builder::boot::find_qemu().is_ok();
    if !found {
        let name = lunikernel_testing::this_test();
        lunikernel_testing::left_out(&name, "qemu-system-x86_64 is not installed");
    }
    found
}

/// The committed digest of `name`.
fn golden(name: &str) -> String {
    let text = fs::read_to_string(project("tests/golden/unikernels.sha256")).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    let found = lines.into_iter().find(|(_, of)| *of == name);
    found
        .unwrap_or_else(|| panic!("no digest of {name}"))
        .0
        .to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const WELCOME: &str = "boot:
  min_memory_mib: 32
  cmdline: one two
  modules:
    - {from: text, cmdline: 'first, of two'}
    - {from: text}
tests:
  - {name: welcome, expect: welcome to lk}
";

#[test]
fn little_kernel_is_reproducible_and_boots() {
    let Some(kernel) = upstream(LITTLE_KERNEL) else {
        return;
    };
    let bench = Bench::new("little", "unikernel", &kernel, WELCOME);
    assert_eq!(bench.build(), golden("little"));
    let inspected = bench.luni(&["--json", "inspect", "little.luni.zip"]);
    let json: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(json["manifest"]["boot"]["protocol"], "multiboot");
    assert_eq!(json["manifest"]["boot"]["cmdline"], "one two");
    assert_eq!(json["manifest"]["overlay"]["kind"], "none");
    assert_eq!(json["initramfs"], serde_json::Value::Null);
    for verified in [
        bench.luni(&["verify", "--json"]),
        bench.luni(&["verify", "little.luni.zip", "--json"]),
    ] {
        assert_eq!(verified.status.code(), Some(0), "{}", transcript(&verified));
        let report = serde_json::from_slice(&verified.stdout).unwrap();
        varied::without_steps(&lunikernel_testing::this_test(), &report);
    }
    if !has_qemu() {
        return;
    }
    let ran = bench.run(&["--test"]);
    assert_eq!(ran.status.code(), Some(0), "{}", transcript(&ran));
    assert!(
        stdout(&ran).contains("\nwelcome to lk\n"),
        "{}",
        transcript(&ran)
    );
}

/// Compiled in the sandbox, from packages alone.
#[test]
fn the_kernel_of_a_hundred_lines_is_reproducible_and_finds_its_module() {
    let name = "unikernel::the_kernel_of_a_hundred_lines_is_reproducible_and_finds_its_module";
    let recipe = project("recipes/unikernel/hello");
    let Some(mirror) = hello::mirror_of(name, "unikernel-hello", &recipe) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let luni = |args: &[&str]| {
        hello::luni(&folder.path().join("cache"))
            .args(["--offline", "--quiet", "--mirror", &mirror])
            .args(args)
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let built = luni(&["build", recipe.to_str().unwrap()]);
    assert_eq!(
        hello::built_digest(&built),
        golden("recipes/unikernel/hello")
    );
    let verified = luni(&["verify", "hello.luni.zip"]);
    assert_eq!(verified.status.code(), Some(0), "{}", transcript(&verified));
    if !has_qemu() {
        return;
    }
    let ran = luni(&[
        "run",
        "--accel",
        "tcg",
        "--timeout",
        "300",
        "hello.luni.zip",
    ]);
    assert_eq!(
        stdout(&ran),
        "hello: started by multiboot with `kernel hello from a recipe`\n\
         hello: a module `modules-0 module.txt`: a file in the memory\n\
         hello: done\n",
        "{}",
        transcript(&ran)
    );
}

#[test]
fn the_virtio_target_boots_although_its_header_counts_on_more_bytes() {
    let Some(kernel) = upstream(HELLO_VIRTIO) else {
        return;
    };
    let more = "boot: {min_memory_mib: 32, cmdline: Hello_Solo5}\n";
    let bench = Bench::new("hello-virtio", "mirage", &kernel, more);
    let built = bench.luni(&["build"]);
    assert_eq!(hello::built_digest(&built), golden("hello-virtio"));
    let again = Bench::new("hello-virtio", "mirage", &kernel[..60_000], more);
    let cut = again.luni(&["build"]);
    assert_eq!(cut.status.code(), Some(3), "{}", transcript(&cut));
    assert!(
        stderr(&cut).contains("reaches beyond the end of the file"),
        "{}",
        transcript(&cut)
    );
    if !has_qemu() {
        return;
    }
    let ran = bench.run(&["--timeout", "300"]);
    assert_eq!(ran.status.code(), Some(0), "{}", transcript(&ran));
    let console = stdout(&ran);
    assert!(
        console.contains("Command line is: 'Hello_Solo5'\nSUCCESS\n"),
        "{console}"
    );
}

#[test]
fn each_target_of_solo5_is_told_by_its_notes() {
    let more = "boot: {min_memory_mib: 32}\n";
    for (name, sha256, protocol, refusal) in [
        (
            "hello-hvt",
            HELLO_HVT,
            "solo5-hvt",
            "could not find the tender solo5-hvt",
        ),
        (
            "hello-spt",
            HELLO_SPT,
            "solo5-spt",
            "could not find the tender solo5-spt",
        ),
        ("hello-xen", HELLO_XEN, "xen-pvh", "it was built for Xen"),
        (
            "hello-muen",
            HELLO_MUEN,
            "solo5-muen",
            "it is a subject of a system made with Muen",
        ),
        (
            "hello-mirage",
            MIRAGE_HELLO,
            "solo5-hvt",
            "could not find the tender solo5-hvt",
        ),
    ] {
        let Some(kernel) = upstream(sha256) else {
            return;
        };
        let bench = Bench::new(name, "mirage", &kernel, more);
        assert_eq!(bench.build(), golden(name));
        let inspected = stdout(&bench.luni(&["inspect", &bench.zip()]));
        let says = format!("boots by {protocol}, in 32 MiB");
        assert!(inspected.contains(&says), "{inspected}");
        let ran = bench.luni_without_programs(&["run", &bench.zip()]);
        assert!(stderr(&ran).contains(refusal), "{}", transcript(&ran));
        let own = bench.run(&["--own-tender"]);
        assert_eq!(own.status.code(), Some(3), "{}", transcript(&own));
    }
}

/// The longest name that a manifest of Solo5's can hold is one in ours, by our reader and
/// by the second one.
#[test]
fn a_disk_may_have_the_longest_name_that_there_is() {
    let mut kernel = fs::read(project("fuzz/seeds/solo5/good-devices")).unwrap();
    let at = kernel.windows(8).position(|part| part == b"storage\0");
    let name = "a".repeat(67);
    kernel[at.unwrap()..][..67].copy_from_slice(name.as_bytes());
    let bench = Bench::new("devices", "mirage", &kernel, "");
    let digest = bench.build();
    let inspected = stdout(&bench.luni(&["inspect", "devices.luni.zip"]));
    assert!(inspected.contains(&format!("disk `{name}`")), "{inspected}");
    let second = std::process::Command::new("python3")
        .arg(project("tests/format/second_reader.py"))
        .arg("check")
        .arg(bench.path("devices.luni.zip"))
        .output()
        .unwrap();
    assert!(stdout(&second).contains(&digest), "{}", transcript(&second));
}

#[test]
fn devices_are_shown_by_name_and_asked_for() {
    let kernel = fs::read(project("fuzz/seeds/solo5/good-devices")).unwrap();
    let bench = Bench::new("devices", "mirage", &kernel, "");
    bench.build();
    let inspected = stdout(&bench.luni(&["inspect", "devices.luni.zip"]));
    for part in [
        "network, disk",
        "disk `storage`",
        "network `service`",
        "disk `storage`",
    ] {
        assert!(inspected.contains(part), "{inspected}");
    }
    for (args, expected) in [
        (&[][..], "it wants the disk `storage`"),
        (
            &["--attach", "storage=text"],
            "it wants the network `service`",
        ),
        (
            &["--attach", "disk=text"],
            "it has no device `disk`, only `storage`, `service`",
        ),
        (&["--net", "80"], "a tender forwards no ports"),
    ] {
        let ran = bench.run(args);
        assert_eq!(ran.status.code(), Some(3), "{}", transcript(&ran));
        assert!(stderr(&ran).contains(expected), "{}", transcript(&ran));
    }
}

#[test]
fn a_tender_gets_memory_devices_and_the_command_line() {
    let kernel = fs::read(project("fuzz/seeds/solo5/good-devices")).unwrap();
    let more = "boot: {min_memory_mib: 20, cmdline: one two}\n";
    let bench = Bench::new("devices", "mirage", &kernel, more);
    bench.build();
    let tender = bench.path("tender");
    fs::write(&tender, "#!/bin/sh\nprintf '<%s>\\n' \"$@\"\n").unwrap();
    fs::set_permissions(&tender, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ran = bench.run(&[
        "--tender",
        tender.to_str().unwrap(),
        "--attach",
        "storage=text",
        "--attach",
        "service=tap7",
        "--append",
        "three",
    ]);
    let said = stdout(&ran);
    assert_eq!(ran.status.code(), Some(0), "{}", transcript(&ran));
    assert!(
        said.starts_with("<--mem=20>\n<--block:storage=text>\n<--net:service=tap7>\n<-->\n<"),
        "{said}"
    );
    assert!(
        said.ends_with("/kernel>\n<one>\n<two>\n<three>\n"),
        "{said}"
    );
    // A prompt does not end its line, and is what was waited for all the same.
    fs::write(
        &tender,
        "#!/bin/sh\nprintf 'begun\\nlogin: '\nexec sleep 600\n",
    )
    .unwrap();
    let ran = bench.run(&[
        "--tender",
        tender.to_str().unwrap(),
        "--attach",
        "storage=text",
        "--attach",
        "service=tap7",
        "--expect",
        "login:",
    ]);
    assert_eq!(stdout(&ran), "begun\nlogin: \n", "{}", transcript(&ran));
}

#[test]
fn solo5_is_compiled_from_source_and_runs_by_its_own_tender() {
    let name = "unikernel::solo5_is_compiled_from_source_and_runs_by_its_own_tender";
    let recipe = project("recipes/mirage/solo5-hello");
    let Some(mirror) = hello::mirror_of(name, "solo5-hello", &recipe) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for file in ["recipe.yaml", "recipe.lock"] {
        fs::copy(recipe.join(file), folder.path().join(file)).unwrap();
    }
    let luni = |args: &[&str]| {
        hello::luni(&folder.path().join("cache"))
            .args(["--offline", "--quiet", "--mirror", &mirror])
            .args(args)
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    assert_eq!(
        hello::built_digest(&luni(&["build"])),
        golden("solo5-hello")
    );
    let ran = luni(&["run", "solo5-hello.luni.zip", "--own-tender", "--test"]);
    assert_eq!(ran.status.code(), Some(0), "{}", transcript(&ran));
    let ran = luni(&["run", "solo5-hello.luni.zip", "--own-tender"]);
    let console = stdout(&ran);
    assert_eq!(ran.status.code(), Some(0), "{}", transcript(&ran));
    assert!(
        console.contains("Solo5: Bindings version v0.7.2"),
        "{console}"
    );
    assert!(
        console.contains("Command line is: 'Hello_Solo5'\nSUCCESS\n"),
        "{console}"
    );
    let verified = luni(&["verify", "--json"]);
    assert_eq!(verified.status.code(), Some(0), "{}", transcript(&verified));
    let report = serde_json::from_slice(&verified.stdout).unwrap();
    let name = lunikernel_testing::this_test();
    varied::all_but(&name, &report, &varied::SANDBOX_AND_LOCALE);

    // The other targets come of the same step.
    let recipe = fs::read_to_string(folder.path().join("recipe.yaml")).unwrap();
    for target in ["hvt", "virtio"] {
        let lines = recipe.lines().map(|line| match line.trim() {
            "from: compile/out/test_hello.spt" => {
                line.replace("hello.spt", &format!("hello.{target}"))
            }
            "tender: compile/out/solo5-spt" if target == "virtio" => String::new(),
            "tender: compile/out/solo5-spt" => line.replace("solo5-spt", "solo5-hvt"),
            _ => line.to_owned(),
        });
        let lines: Vec<String> = lines.collect();
        fs::write(folder.path().join("recipe.yaml"), lines.join("\n")).unwrap();
        let built = hello::built_digest(&luni(&["build"]));
        assert_eq!(built, golden(&format!("solo5-hello for {target}")));
    }
    if has_qemu() {
        let ran = luni(&[
            "run",
            "solo5-hello.luni.zip",
            "--accel",
            "tcg",
            "--timeout",
            "300",
        ]);
        assert!(stdout(&ran).contains("\nSUCCESS\n"), "{}", transcript(&ran));
    }
}

#[test]
fn an_overlay_is_the_disk_that_the_unikernel_names() {
    let kernel = fs::read(project("fuzz/seeds/solo5/good-devices")).unwrap();
    let bench = Bench::new("devices", "mirage", &kernel, "");
    bench.build();
    fs::create_dir(bench.path("files")).unwrap();
    fs::write(bench.path("files/index.html"), "a page\n").unwrap();
    let lay = |out: &str| bench.luni(&["overlay", "devices.luni.zip", "files", "-o", out]);
    let laid = lay("with.luni.zip");
    assert!(laid.status.success(), "{}", transcript(&laid));
    lay("again.luni.zip");
    let bytes = |name: &str| fs::read(bench.path(name)).unwrap();
    assert!(bytes("with.luni.zip") == bytes("again.luni.zip"));
    let inspected = stdout(&bench.luni(&["inspect", "with.luni.zip"]));
    for part in ["block.tar", "overlaid: base"] {
        assert!(inspected.contains(part), "{inspected}");
    }
    let tender = bench.path("tender");
    let script = "#!/bin/sh\ntr -d '\\0' < \"${2#--block:storage=}\"\n";
    fs::write(&tender, script).unwrap();
    fs::set_permissions(&tender, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let tender = tender.to_str().unwrap();
    let ran = bench.luni(&[
        "run",
        "with.luni.zip",
        "--tender",
        tender,
        "--attach",
        "service=tap7",
    ]);
    assert!(stdout(&ran).contains("index.html"), "{}", transcript(&ran));
    assert!(stdout(&ran).contains("a page\n"), "{}", transcript(&ran));
}

#[test]
fn what_no_flavour_boots_is_refused_in_words() {
    let seed = |name: &str| fs::read(project(&format!("fuzz/seeds/{name}"))).unwrap();
    for (flavour, kernel, expected) in [
        (
            "unikernel",
            seed("solo5/good"),
            "it has neither a multiboot header nor Xen's note",
        ),
        (
            "mirage",
            seed("multiboot/good"),
            "it does not begin as an ELF file does",
        ),
        ("mirage", seed("pvh/good"), "it has no ELF note ABI1"),
        (
            "unikernel",
            seed("multiboot/bad-checksum"),
            "header at byte 0 has a wrong checksum",
        ),
        (
            "unikernel",
            seed("multiboot/bad-wide"),
            "`objcopy -O elf32-i386`",
        ),
        (
            "mirage",
            seed("solo5/bad-cut"),
            "its ELF note MFT1 has 304 bytes for 3 entries",
        ),
    ] {
        let bench = Bench::new("wrong", flavour, &kernel, "");
        let built = bench.luni(&["build"]);
        assert_eq!(built.status.code(), Some(3), "{}", transcript(&built));
        assert!(stderr(&built).contains(expected), "{}", transcript(&built));
        assert!(!bench.path("wrong.luni.zip").exists());
    }
}
