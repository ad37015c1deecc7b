//! Unikernels that one of Solo5's tenders runs: the unikernel, its tender and disk where it
//! has them, and a script.

use lunikernel_cache::artefact::{KERNEL, Overlay, Protocol, TENDER};

use super::shell::quoted;
use super::{BundleError, Files, Guest, Kind, network};
use crate::boot::System;

/// The entry with what overlays bring: the unikernel's first disk.
const DISK: &str = "block.tar";

pub(super) fn files(guest: &Guest<'_>) -> Result<Files, BundleError> {
    let system = guest.system;
    let tender = tender(system.about().boot.protocol)?;
    let mut files = Files::default();
    files.text("README.txt", readme(system, tender));
    files.program("run.sh", script(system, tender));
    files.put(KERNEL, system.entry(KERNEL)?);
    if own_disk(system).is_some() {
        files.put(DISK, system.entry(DISK)?);
    }
    if has_tender(system) {
        files.put_program(tender, system.entry(TENDER)?);
    }
    Ok(files)
}

fn tender(protocol: Protocol) -> Result<&'static str, BundleError> {
    match protocol {
        Protocol::Solo5Hvt => Ok("solo5-hvt"),
        Protocol::Solo5Spt => Ok("solo5-spt"),
        protocol => Err(BundleError::Protocol {
            kind: Kind::Tender,
            protocol,
        }),
    }
}

fn has_tender(system: &System) -> bool {
    system.about().entries.contains_key(TENDER)
}

/// The device whose disk comes along.
fn own_disk(system: &System) -> Option<&str> {
    match &system.about().overlay {
        Overlay::Block { device } if system.about().entries.contains_key(DISK) => Some(device),
        _ => None,
    }
}

/// What the tender has to be told of devices that do not come along: the option, and an
/// example of a value for it.
fn wanted(system: &System) -> Vec<String> {
    let own = own_disk(system);
    let devices = system.devices().iter();
    let devices = devices.filter(|it| it.network || own != Some(it.name.as_str()));
    let options = devices.map(|it| match it.network {
        true => quoted(&format!("--net:{}=tap0", it.name)),
        false => quoted(&format!("--block:{}=disk.img", it.name)),
    });
    options.collect()
}

fn script(system: &System, tender: &str) -> String {
    let about = system.about();
    let (name, memory) = (&about.name, system.memory_mib());
    let program = match has_tender(system) {
        true => format!("$here/{tender}"),
        false => tender.to_owned(),
    };
    let disk = match own_disk(system) {
        Some(device) => format!(" {}\"=$here/{DISK}\"", quoted(&format!("--block:{device}"))),
        None => String::new(),
    };
    let words = system.cmdline().split(' ').filter(|it| !it.is_empty());
    let words: String = words.map(|word| format!(" {}", quoted(word))).collect();
    format!(
        r#"#!/bin/sh
# Runs {name} by {tender}; its console is this terminal. Options of the tender may
# follow: README.txt says which ones it needs. TENDER=PATH runs it by another tender, and
# MEMORY=MIB gives it more memory.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
exec "${{TENDER:-{program}}}" --mem="${{MEMORY:-{memory}}}"{disk} "$@" -- "$here/{KERNEL}"{words}
"#
    )
}

fn readme(system: &System, tender: &str) -> String {
    let about = system.about();
    let (name, version) = (&about.name, &about.version);
    let wanted: String = (wanted(system).iter())
        .map(|option| format!(" {option}"))
        .collect();
    let mut text = format!(
        "{name} {version}, a unikernel for the tender {tender} of Solo5.\n\n    ./run.sh{wanted}\n\n"
    );
    text += match has_tender(system) {
        true => {
            "The tender lies beside it, as its maker built it. It is a program like any other, and \
             runs as you; TENDER=PATH takes another one of the same version of Solo5.\n"
        }
        false => {
            "The tender has to be installed, in the version of Solo5 that the unikernel was made \
             with; TENDER=PATH names one that is not in PATH.\n"
        }
    };
    text += match about.boot.protocol {
        Protocol::Solo5Hvt => {
            "It needs KVM: a processor that virtualises, and access to /dev/kvm (on many systems \
             for members of the group kvm).\n"
        }
        _ => "It needs Linux and nothing else: no KVM, no root.\n",
    };
    if let Some(device) = own_disk(system) {
        text += &format!(
            "\nIts disk `{device}` is block.tar, which run.sh attaches. What it writes there stays.\n"
        );
    }
    for device in system.devices().iter().filter(|it| !it.network) {
        if own_disk(system) != Some(device.name.as_str()) {
            text += &format!(
                "\nIt wants the disk `{0}`: a file of whole sectors of 512 bytes, given with\n\
                 --block:{0}=FILE. What it writes there stays.\n",
                device.name
            );
        }
    }
    let networks = || system.devices().iter().filter(|it| it.network);
    for device in networks() {
        text += &format!(
            "\nIt wants the network `{0}`: a tap interface of this machine, given with\n--net:{0}=tap0.\n",
            device.name
        );
    }
    if networks().next().is_some() {
        text += &format!(
            "
Once, as root, and for each network one interface (USER is who runs it):

{}
The unikernel then takes an address beside it, 10.0.0.2 for example; many made with MirageOS
have it by default, and others take it from their command line (--ipv4=10.0.0.2/24
--ipv4-gateway=10.0.0.1). For it to reach further, the machine has to forward:

{}",
            network::TAP,
            network::further("solo5")
        );
    }
    text
}
