//! Machines that boot from the network: a folder for a server of TFTP or HTTP, with what
//! iPXE runs, and what PXELINUX reads.

use lunikernel_cache::artefact::{INITRAMFS, KERNEL, Protocol};

use crate::boot::{BootError, MAX_CMDLINE_BEHIND, TOO_LONG_BEHIND};

use super::{BundleError, Files, Guest, Kind};

const SCRIPT: &str = "boot.ipxe";
const PXELINUX: &str = "pxelinux.cfg/default";

pub(super) fn files(guest: &Guest<'_>) -> Result<Files, BundleError> {
    let system = guest.system;
    let protocol = system.about().boot.protocol;
    let linux = match protocol {
        Protocol::Linux => true,
        Protocol::Multiboot | Protocol::Solo5Virtio => false,
        protocol => {
            let kind = Kind::Pxe;
            return Err(BundleError::Protocol { kind, protocol });
        }
    };
    let mut files = Files::default();
    let mut script = "#!ipxe\n".to_owned();
    let cmdline = kept(system.cmdline())?;
    if linux && cmdline.len() > MAX_CMDLINE_BEHIND {
        return Err(BootError::Cmdline(TOO_LONG_BEHIND).into());
    }
    let initramfs = guest.initramfs()?.filter(|_| linux);
    if linux {
        files.put(KERNEL, system.entry(KERNEL)?);
        // Under UEFI the kernel asks for the initramfs by this name.
        let initrd = match &initramfs {
            Some(_) => format!(" initrd={INITRAMFS}"),
            None => String::new(),
        };
        script += &line(&format!("kernel {KERNEL}{initrd}"), cmdline);
        files.text(PXELINUX, pxelinux(cmdline, initramfs.is_some()));
    } else {
        files.put(KERNEL, system.complete_kernel()?);
        script += &line(&format!("kernel {KERNEL}"), cmdline);
        for module in system.modules() {
            files.put(&module.entry, system.entry(&module.entry)?);
            let load = format!("module {}", module.entry);
            script += &line(&load, kept(&module.cmdline)?);
        }
    }
    if let Some(initramfs) = initramfs {
        files.put(INITRAMFS, initramfs);
        script += &format!("initrd {INITRAMFS}\n");
    }
    script += "boot\n";
    files.text(SCRIPT, script);
    files.text("README.txt", readme(guest, linux));
    Ok(files)
}

fn line(command: &str, text: &str) -> String {
    match text.is_empty() {
        true => format!("{command}\n"),
        false => format!("{command} {text}\n"),
    }
}

/// What is on no line of iPXE's but as it is: it puts settings in place of `${`, and its
/// lines end, or go on with another command, at some words.
fn kept(text: &str) -> Result<&str, BundleError> {
    let ends = |word: &&str| {
        word.contains("${") || word.starts_with('#') || ["||", "&&", ";"].contains(word)
    };
    match text.split(' ').find(ends) {
        Some(word) => Err(BundleError::Word(word.to_owned())),
        None => Ok(text),
    }
}

fn pxelinux(cmdline: &str, initramfs: bool) -> String {
    let mut text = format!("DEFAULT luni\nLABEL luni\n  KERNEL {KERNEL}\n");
    if initramfs {
        text += &format!("  INITRD {INITRAMFS}\n");
    }
    if !cmdline.is_empty() {
        text += &format!("  APPEND {cmdline}\n");
    }
    text
}

fn readme(guest: &Guest<'_>, linux: bool) -> String {
    let memory = guest.system.memory_mib();
    let mut text = format!(
        "{}, for machines that boot from the network.

Serve this folder by TFTP or HTTP. iPXE boots it with

    chain http://SERVER/FOLDER/{SCRIPT}

or where DHCP names that as the file to boot, which dnsmasq does with

    dhcp-match=set:ipxe,175
    dhcp-boot=tag:ipxe,http://SERVER/FOLDER/{SCRIPT}

To try it without a server, in this folder:

    qemu-system-x86_64 -accel kvm -accel tcg -m {memory} -nographic \\
        -nic user,model=virtio-net-pci,tftp=.,bootfile={SCRIPT}
",
        guest.label()
    );
    text += match linux {
        true => {
            "
PXELINUX boots it by pxelinux.cfg/default, where pxelinux.0 and ldlinux.c32 are put beside
that folder.
"
        }
        false => {
            "
It starts by Multiboot: with iPXE under a BIOS, and not under UEFI.
"
        }
    };
    text
}
