//! A processor that lacks what newer ones compress and hash with makes the same bits.

mod support;

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use support::exported::{Site, need, printed};

/// The first x86-64 had as much: SSE2, and neither AVX nor instructions for CRCs and SHA-256.
const OLD: [&str; 2] = ["-cpu", "qemu64"];

/// The same command, on an old processor.
fn on_an_old_one(qemu: &Path, command: &Command) -> Command {
    let mut emulated = Command::new(qemu);
    emulated.args(OLD).arg(command.get_program());
    emulated.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        emulated.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => emulated.env(name, value),
            None => emulated.env_remove(name),
        };
    }
    emulated
}

#[test]
fn an_old_processor_makes_the_same_bits() {
    let name = "processors::an_old_processor_makes_the_same_bits";
    let (Some(qemu), Some(site)) = (need(name, "qemu-x86_64"), Site::of_hello(name)) else {
        return;
    };
    let overlay = tempfile::tempdir().unwrap();
    // What compresses by finding matches of every length, near and far.
    let program = fs::read(env!("CARGO_BIN_EXE_luni")).unwrap();
    fs::write(overlay.path().join("program"), &program[..2 << 20]).unwrap();
    let made = |old: bool| {
        let folder = tempfile::tempdir().unwrap();
        let run = |mut command: Command| {
            if old {
                command = on_an_old_one(&qemu, &command);
            }
            printed(&command.output().unwrap())
        };
        let mut lay = site.luni(&folder.path().join("cache"));
        lay.current_dir(folder.path()).arg("overlay");
        lay.arg(site.zip()).arg(overlay.path()).args(["-o", "out"]);
        let mut export = site.export(folder.path(), "gce,kvm,vmdk");
        export.arg("--compress");
        [run(lay), run(export)].map(|digests| {
            let here = folder.path().to_str().unwrap();
            digests.replace(here, "")
        })
    };
    let (new, old) = (made(false), made(true));
    assert_eq!(new, old);
    assert!(new.iter().all(|digests| digests.contains("  ")), "{new:?}");
}
