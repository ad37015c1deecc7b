//! Bundles for what loads a kernel without a disk: what is in them, that others read their
//! configuration, and that their kernels boot.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use lunikernel_cache::artefact::Artefact;
use serde::Deserialize;
use tempfile::TempDir;

use super::BUNDLES as ALL;
use super::boots::{UP, console, machine};
use super::support::exported::{Site, UNIKERNEL, need, printed};
use super::support::{matches, project, transcript};
use super::unikernels::SOLO5;

/// What a shell, JSON and `xl` each write in a way of their own.
const WORDS: &str = r#"luni.test="a b" y=\z it's"#;

/// Exports to `formats` and takes the bundles out; `None` where that cannot be here.
fn bundles(site: &Site, folder: &Path, formats: &str, more: &str) -> Option<()> {
    let tar = need(&lunikernel_testing::this_test(), "tar")?;
    // Without drivers for each, they are made nevertheless.
    site.made(folder, formats, &["--force", "--append", more]);
    for format in formats.split(',') {
        let mut command = Command::new(&tar);
        command.args(["-xf", &format!("hello.{format}.tar")]);
        let output = command.current_dir(folder).output().unwrap();
        assert_eq!(
            printed(&output) + &String::from_utf8_lossy(&output.stderr),
            ""
        );
    }
    Some(())
}

/// The same of `hello`, in a folder of its own.
fn hello(formats: &str, more: &str) -> Option<TempDir> {
    let site = Site::of_hello(&lunikernel_testing::this_test())?;
    let folder = tempfile::tempdir().unwrap();
    bundles(&site, folder.path(), formats, more)?;
    Some(folder)
}

fn entry(zip: &Path, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let artefact = Artefact::open(zip).unwrap();
    std::io::copy(&mut artefact.entry(name).unwrap(), &mut bytes).unwrap();
    bytes
}

fn names(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// The digests are promises: a change of one changes everybody's images.
#[test]
fn digests_are_the_committed_ones() {
    let name = "export::bundles::digests_are_the_committed_ones";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let made = site.made(folder.path(), ALL, &["--force"]);
    let committed = project("tests/golden/debian-hello-bundles.sha256");
    assert!(matches(&made.replace("./", ""), &committed));
    // Alone it is the same; and nothing is fetched for it.
    let alone = tempfile::tempdir().unwrap();
    let made = site.made(alone.path(), "xen", &["--force"]);
    let committed = fs::read_to_string(committed).unwrap();
    let (line, _) = made.split_once('\n').unwrap();
    assert!(committed.contains(&line.replace("./", "")), "{made}");

    let Some(site) = Site::of(name, &UNIKERNEL) else {
        return;
    };
    let made = site.made(folder.path(), "pxe", &[]);
    let committed = project("tests/golden/unikernel-hello-bundles.sha256");
    assert!(matches(&made.replace("./", ""), &committed));
}

#[test]
fn each_has_the_parts_in_the_form_that_is_wanted_there() {
    let name = "export::bundles::each_has_the_parts_in_the_form_that_is_wanted_there";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    if bundles(&site, folder.path(), ALL, "").is_none() {
        return;
    }
    let mut kernels = BTreeSet::new();
    for (format, own) in [
        ("cloud-hypervisor", "run.sh vmlinux"),
        ("firecracker", "config.json run.sh vmlinux"),
        ("xen", "run.sh vmlinux xl.cfg"),
        ("pxe", "boot.ipxe kernel pxelinux.cfg"),
    ] {
        let bundle = folder.path().join(format!("hello.{format}"));
        let expected = own.split(' ').chain(["README.txt", "initramfs.gz"]);
        let expected: BTreeSet<String> = expected.map(str::to_owned).collect();
        assert_eq!(names(&bundle), expected, "{format}");
        let read = |file: &str| fs::read(bundle.join(file)).unwrap();
        assert!(read("initramfs.gz") == entry(&site.zip(), "initramfs.gz"));
        match format {
            "pxe" => assert!(read("kernel") == entry(&site.zip(), "kernel")),
            _ => {
                kernels.insert(read("vmlinux"));
                let mode = fs::metadata(bundle.join("run.sh")).unwrap().permissions();
                assert_eq!(mode.mode() & 0o777, 0o755);
            }
        }
        // Lines of a text are no longer than a terminal's.
        let readme = String::from_utf8(read("README.txt")).unwrap();
        assert!(readme.lines().all(|line| line.len() <= 100), "{readme}");
    }
    assert_eq!(kernels.len(), 1);
}

/// What Firecracker's `--config-file` takes, by the names, types and demands of its API
/// (`BootSource`, `MachineConfiguration`, `NetworkInterface`); it refuses all others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    boot_source: BootSource,
    drives: Vec<()>,
    machine_config: MachineConfig,
    network_interfaces: Vec<NetworkInterface>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BootSource {
    kernel_image_path: PathBuf,
    initrd_path: PathBuf,
    boot_args: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MachineConfig {
    vcpu_count: u8,
    mem_size_mib: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkInterface {
    iface_id: String,
    host_dev_name: String,
}

/// QEMU enters such a kernel by PVH, as the others do, and knows no other way for it.
#[test]
fn what_firecracker_is_told_boots() {
    let name = "export::bundles::what_firecracker_is_told_boots";
    let Some(folder) = hello("firecracker", WORDS) else {
        return;
    };
    let bundle = folder.path().join("hello.firecracker");
    let config = fs::read(bundle.join("config.json")).unwrap();
    let config: Config = serde_json::from_slice(&config).unwrap();
    assert!(config.drives.is_empty());
    let [net] = config.network_interfaces.as_slice() else {
        panic!("{config:?}");
    };
    assert_eq!([&net.iface_id, &net.host_dev_name], ["net0", "tap0"]);
    let said = said_by(&bundle, "FIRECRACKER", &["--enable-pci"]);
    assert_eq!(
        said,
        ["--no-api", "--config-file", "config.json", "--enable-pci"]
    );

    let Some(qemu) = need(name, "qemu-system-x86_64") else {
        return;
    };
    let mut command = machine(&qemu);
    let of = config.machine_config;
    command.args(["-m", &of.mem_size_mib.to_string()]);
    command.args(["-smp", &of.vcpu_count.to_string()]);
    command
        .arg("-kernel")
        .arg(config.boot_source.kernel_image_path);
    command.arg("-initrd").arg(config.boot_source.initrd_path);
    command.args(["-append", &config.boot_source.boot_args]);
    let console = console(command.current_dir(bundle), UP);
    let told = format!("Command line: console=ttyS0 panic=5 {WORDS}");
    assert!(
        console.iter().any(|line| line.ends_with(&told)),
        "{console:?}"
    );
}

/// What a bundle's script gives a program, which `variable` names in its place.
fn said_by(bundle: &Path, variable: &str, arguments: &[&str]) -> Vec<String> {
    let program = bundle.with_extension("program");
    fs::write(
        &program,
        "#!/bin/sh\n[ -e README.txt ] && printf '%s\\n' \"$@\"\n",
    )
    .unwrap();
    fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut script = Command::new(bundle.join("run.sh"));
    script
        .args(arguments)
        .env(variable, &program)
        .current_dir("/");
    let said = printed(&script.output().unwrap());
    said.lines().map(str::to_owned).collect()
}

#[test]
fn cloud_hypervisor_is_told_all_by_options() {
    let Some(folder) = hello("cloud-hypervisor", WORDS) else {
        return;
    };
    let bundle = folder.path().join("hello.cloud-hypervisor");
    let said = said_by(&bundle, "CLOUD_HYPERVISOR", &["--log-file", "a log"]);
    let cmdline = format!("console=ttyS0 panic=5 {WORDS}");
    let expected = [
        ["--kernel", "vmlinux"],
        ["--initramfs", "initramfs.gz"],
        ["--cmdline", &cmdline],
        ["--cpus", "boot=1"],
        ["--memory", "size=256M"],
        ["--serial", "tty"],
        ["--console", "off"],
        ["--net", "tap=tap0"],
        ["--log-file", "a log"],
    ];
    assert_eq!(said, expected.as_flattened());
}

/// By the library with which `xl` reads such files.
#[test]
fn xl_reads_its_settings() {
    let name = "export::bundles::xl_reads_its_settings";
    let Some(folder) = hello("xen", WORDS) else {
        return;
    };
    let bundle = folder.path().join("hello.xen");
    assert_eq!(
        said_by(&bundle, "XL", &["-e"]),
        ["create", "-c", "xl.cfg", "-e"]
    );
    let Some(python) = need(name, "python3") else {
        return;
    };
    let script = r#"
import ctypes, ctypes.util, sys
try:
    xl = ctypes.CDLL(ctypes.util.find_library("xlutil") or "libxlutil.so.4.17")
except OSError as error:
    sys.exit(f"left out: {error}")
xl.xlu_cfg_init.restype = ctypes.c_void_p
errors = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
settings = ctypes.c_void_p(xl.xlu_cfg_init(errors, b"xl.cfg"))
text = open("xl.cfg", "rb").read()
assert xl.xlu_cfg_readdata(settings, text, len(text)) == 0
for name in sys.argv[1:]:
    value = ctypes.c_char_p()
    assert xl.xlu_cfg_get_string(settings, name.encode(), ctypes.byref(value), 1) == 0, name
    print(value.value.decode())
values, count = ctypes.c_void_p(), ctypes.c_int()
assert xl.xlu_cfg_get_list(settings, b"vif", ctypes.byref(values), ctypes.byref(count), 0) == 0
print(count.value)
"#;
    let mut command = Command::new(python);
    command.args(["-c", script]);
    command.args([
        "name", "type", "kernel", "ramdisk", "cmdline", "memory", "vcpus",
    ]);
    let output = command.current_dir(&bundle).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.starts_with("left out: ") {
        return lunikernel_testing::left_out(name, &errors);
    }
    let cmdline = format!("console=ttyS0 panic=5 {WORDS}");
    let expected = [
        "hello",
        "pvh",
        "vmlinux",
        "initramfs.gz",
        &cmdline,
        "256",
        "1",
        "1",
    ];
    assert_eq!(printed(&output).lines().collect::<Vec<_>>(), expected);
}

/// By the iPXE that QEMU has in its network cards, from the TFTP server in QEMU.
#[test]
fn a_machine_boots_from_the_network() {
    let name = "export::bundles::a_machine_boots_from_the_network";
    let Some(folder) = hello("pxe", WORDS) else {
        return;
    };
    let bundle = folder.path().join("hello.pxe");
    let Some(console) = from_network(name, &bundle, "boot.ipxe", UP) else {
        return;
    };
    let told = format!("Command line: initrd=initramfs.gz console=ttyS0 panic=5 {WORDS}");
    assert!(
        console.iter().any(|line| line.ends_with(&told)),
        "{console:?}"
    );
}

#[test]
fn pxelinux_boots_it_too() {
    let name = "export::bundles::pxelinux_boots_it_too";
    let parts = [
        "/usr/lib/PXELINUX/pxelinux.0",
        "/usr/lib/syslinux/modules/bios/ldlinux.c32",
    ];
    if let Some(missing) = parts.iter().find(|part| !Path::new(part).exists()) {
        return lunikernel_testing::left_out(name, &format!("there is no {missing}"));
    }
    let Some(folder) = hello("pxe", WORDS) else {
        return;
    };
    let bundle = folder.path().join("hello.pxe");
    for part in parts.map(Path::new) {
        fs::copy(part, bundle.join(part.file_name().unwrap())).unwrap();
    }
    let Some(console) = from_network(name, &bundle, "pxelinux.0", UP) else {
        return;
    };
    let told = |line: &String| line.contains("Command line: ") && line.contains(WORDS);
    assert!(console.iter().any(told), "{console:?}");
}

/// As from a disk, word for word.
#[test]
fn a_multiboot_kernel_boots_from_the_network() {
    let name = "export::bundles::a_multiboot_kernel_boots_from_the_network";
    let Some(site) = Site::of(name, &UNIKERNEL) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    if bundles(&site, folder.path(), "pxe", "and more").is_none() {
        return;
    }
    let bundle = folder.path().join("hello.pxe");
    let Some(console) = from_network(name, &bundle, "boot.ipxe", "hello: done") else {
        return;
    };
    let said = |text: &str| console.iter().any(|line| line.contains(text));
    assert!(said("kernel hello from a recipe and more`"), "{console:?}");
    assert!(said("module.txt`: a file in the memory"), "{console:?}");
}

fn from_network(test: &str, bundle: &Path, file: &str, last: &str) -> Option<Vec<String>> {
    let qemu = need(test, "qemu-system-x86_64")?;
    let roms = [
        "/usr/share/qemu",
        "/usr/lib/ipxe/qemu",
        "/usr/share/qemu-kvm",
    ];
    let rom = roms.map(|at| Path::new(at).join("pxe-virtio.rom"));
    let old = roms.map(|at| Path::new(at).join("efi-virtio.rom"));
    if !rom.iter().chain(&old).any(|rom| rom.exists()) {
        lunikernel_testing::left_out(test, "QEMU has no iPXE here");
        return None;
    }
    let mut command = Command::new(&qemu);
    command.args(["-machine", "q35,accel=tcg", "-cpu", "max", "-m", "512"]);
    command.args(["-display", "none", "-serial", "stdio", "-monitor", "none"]);
    command.args(["-no-reboot", "-boot", "n", "-nic"]);
    command.arg(format!("user,model=virtio-net-pci,tftp=.,bootfile={file}"));
    Some(console(command.current_dir(bundle), last))
}

/// Words that iPXE would take for something else; and what nothing there starts.
#[test]
fn what_cannot_be_started_is_refused_with_the_reason() {
    let name = "export::bundles::what_cannot_be_started_is_refused_with_the_reason";
    let (Some(linux), Some(multiboot)) = (Site::of_hello(name), Site::of(name, &UNIKERNEL)) else {
        return;
    };
    for (site, formats, cmdline, reason) in [
        (
            &linux,
            "pxe",
            "a ${net0/ip}",
            "could not put `${net0/ip}` on",
        ),
        (&linux, "pxe", "a || b", "could not put `||` on"),
        (&linux, "pxe", "a #b", "could not put `#b` on"),
        (
            &multiboot,
            "firecracker",
            "",
            "and Firecracker starts Linux",
        ),
        (&multiboot, "xen", "", "and Xen starts Linux"),
        (
            &multiboot,
            "cloud-hypervisor",
            "",
            "and Cloud Hypervisor starts",
        ),
    ] {
        for force in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut command = site.export(folder.path(), formats);
            command.args(["--cmdline", cmdline]);
            if force {
                command.arg("--force");
            }
            let output = command.output().unwrap();
            let text = transcript(&output);
            assert_eq!(output.status.code(), Some(3), "{text}");
            assert!(text.contains(reason) && text.contains("hint: "), "{text}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
    let Some(tender) = Site::of(name, &SOLO5) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for format in ALL.split(',') {
        let output = tender.export(folder.path(), format).output().unwrap();
        let text = transcript(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains("`--to bundle`"), "{text}");
    }
}

/// The remedies help: with the drivers that docs/export.md lists, nothing is missing
/// anywhere.
#[test]
fn with_the_drivers_that_are_asked_for_nothing_is_said() {
    let name = "export::bundles::with_the_drivers_that_are_asked_for_nothing_is_said";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("recipe");
    fs::create_dir_all(recipe.join("files")).unwrap();
    let shipped = project("recipes/debian/hello");
    for file in ["recipe.yaml", "recipe.lock", "files/hello.c"] {
        fs::copy(shipped.join(file), recipe.join(file)).unwrap();
    }
    let page = fs::read_to_string(project("docs/export.md")).unwrap();
    let begin = page.find("modules: [cloud, ").unwrap();
    let (wanted, _) = page[begin..].split_once('\n').unwrap();
    let text = fs::read_to_string(recipe.join("recipe.yaml")).unwrap();
    let text = text.replace("modules: [cloud]", wanted);
    fs::write(recipe.join("recipe.yaml"), text).unwrap();
    let zip = folder.path().join("all.luni.zip");
    let mut build = site.luni(&folder.path().join("cache"));
    printed(
        &build
            .arg("build")
            .arg(&recipe)
            .arg("-o")
            .arg(&zip)
            .output()
            .unwrap(),
    );
    let formats = format!("azure,ec2,gce,kvm,{ALL}");
    let mut export = site.export_of(&zip, folder.path(), &formats);
    let output = export.args(["--append", "console=hvc0"]).output().unwrap();
    let text = transcript(&output);
    assert!(
        output.status.success() && !text.contains("warning: "),
        "{text}"
    );
}
