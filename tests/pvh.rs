//! A unikernel that is entered by PVH: made here, built, verified and booted.

mod support;

use std::path::Path;
use std::process::Output;

use fs_err as fs;
use lunikernel_testing::{left_out, this_test};
use serde_json::Value;
use support::{hello, transcript, varied};

/// Where it is loaded and entered: at 1 MiB.
const PLACE: u32 = 0x10_0000;

/// 32-bit code that prints, to the first serial port, the command line and what is in the
/// first module of the `hvm_start_info` at `ebx`, which Xen's `start_info.h` lays out.
const CODE: &[u8] = &[
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0x81, 0x3b, 0x78, 0xc5, 0x6e, 0x33, // cmp dword [ebx], 0x336ec578
    0x75, 0x22, // jne end: nobody entered by PVH
    0x8b, 0x73, 0x18, // mov esi, [ebx + 24]: the command line
    0xac, // each: lodsb
    0x84, 0xc0, // test al, al
    0x74, 0x03, // jz line
    0xee, // out dx, al
    0xeb, 0xf8, // jmp each
    0xb0, 0x0a, // line: mov al, '\n'
    0xee, // out dx, al
    0x8b, 0x4b, 0x0c, // mov ecx, [ebx + 12]: how many modules
    0xe3, 0x0f, // jecxz end
    0x8b, 0x7b, 0x10, // mov edi, [ebx + 16]: their list
    0x8b, 0x37, // mov esi, [edi]: where the first is
    0x8b, 0x4f, 0x08, // mov ecx, [edi + 8]: its size
    0xe3, 0x05, // next: jecxz end
    0xac, // lodsb
    0xee, // out dx, al
    0x49, // dec ecx
    0xeb, 0xf9, // jmp next
    0xf4, // end: hlt
    0xeb, 0xfd, // jmp end
];

/// An ELF file of 32 or 64 bits with the code, and a note that names its entry.
fn kernel(wide: bool) -> Vec<u8> {
    let mut note = Vec::new();
    // Lengths of owner and content, and `XEN_ELFNOTE_PHYS32_ENTRY`.
    for number in [4, 4, 18] {
        note.extend(u32::to_le_bytes(number));
    }
    note.extend(b"Xen\0");
    note.extend(PLACE.to_le_bytes());
    let mut file = Vec::new();
    file.extend(b"\x7fELF");
    file.extend([if wide { 2 } else { 1 }, 1, 1]);
    file.resize(16, 0);
    // An executable for x86-64 or i386.
    let machine: u16 = if wide { 62 } else { 3 };
    file.extend(u16::to_le_bytes(2));
    file.extend(machine.to_le_bytes());
    file.extend(u32::to_le_bytes(1));
    let word = |file: &mut Vec<u8>, number: u32| {
        file.extend(number.to_le_bytes());
        if wide {
            file.extend([0; 4]);
        }
    };
    let sizes: [u16; 6] = if wide {
        [64, 56, 2, 64, 0, 0]
    } else {
        [52, 32, 2, 40, 0, 0]
    };
    for number in [PLACE, sizes[0].into(), 0] {
        word(&mut file, number);
    }
    file.extend([0; 4]);
    for size in sizes {
        file.extend(size.to_le_bytes());
    }
    const FIRST: u32 = 0x1000;
    let parts = [(1_u32, FIRST, CODE), (4, FIRST + 0x800, &note)];
    for (kind, at, content) in parts {
        let (place, size) = (if kind == 1 { PLACE } else { 0 }, content.len() as u32);
        file.extend(kind.to_le_bytes());
        let flags = 5_u32;
        if wide {
            file.extend(flags.to_le_bytes());
        }
        for number in [at, place, place, size, size] {
            word(&mut file, number);
        }
        if !wide {
            file.extend(flags.to_le_bytes());
        }
        word(&mut file, 4);
    }
    for (_, at, content) in parts {
        file.resize(at as usize, 0);
        file.extend(content);
    }
    file
}

fn luni(folder: &Path, arguments: &[&str]) -> Output {
    hello::luni(&folder.join("cache"))
        .current_dir(folder)
        .args(["--offline", "--quiet"])
        .args(arguments)
        .output()
        .unwrap()
}

fn boots(wide: bool) {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = luni(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    fs::write(folder.path().join("kernel"), kernel(wide)).unwrap();
    fs::write(folder.path().join("text"), "what is in the module\n").unwrap();
    let recipe = "apiVersion: lunikernel/v1\nname: pvh\nversion: 1.0.0\nflavour: unikernel\n\
                  sources:\n  image: {file: kernel}\n  text: {file: text}\n\
                  kernel: {from: image}\n\
                  boot:\n  min_memory_mib: 32\n  cmdline: one two=3\n  modules: [{from: text}]\n\
                  tests:\n  - {name: module, expect: what is in the module}\n";
    fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
    run(&["lock"]);
    run(&["build"]);
    let inspected: Value =
        serde_json::from_str(&run(&["--json", "inspect", "pvh.luni.zip"])).unwrap();
    assert_eq!(inspected["manifest"]["boot"]["protocol"], "xen-pvh");
    let report = serde_json::from_str(&run(&["verify", "--json"])).unwrap();
    varied::without_steps(&format!("pvh::{}", this_test()), &report);
    if lunikernel_builder::boot::find_qemu().is_err() {
        let test = format!("pvh::{}", this_test());
        left_out(&test, "qemu-system-x86_64 is not installed");
        return;
    }
    let boot = ["run", "--accel", "tcg", "pvh.luni.zip", "--timeout", "600"];
    let console = run(&[&boot[..], &["--test"]].concat());
    assert!(
        console.contains("one two=3\nwhat is in the module\n"),
        "{console}"
    );
}

#[test]
fn a_unikernel_of_32_bits_boots_by_pvh_with_its_command_line_and_module() {
    boots(false);
}

#[test]
fn a_unikernel_of_64_bits_boots_by_pvh_with_its_command_line_and_module() {
    boots(true);
}
