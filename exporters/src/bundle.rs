//! What runs a unikernel by one of Solo5's tenders, where there is no firmware and no disk to
//! boot: the unikernel, its tender and disk where it has them, and a script.

use lunikernel_cache::artefact::{KERNEL, Overlay, Protocol, TENDER};

use crate::boot::{BootError, System};
use crate::content::Content;
use crate::disk::Disk;
use crate::kvm::NameError;
use crate::kvm::checked;
use crate::tar::{self, File, TarError};

/// The entry with what overlays bring: the unikernel's first disk.
const DISK: &str = "block.tar";

/// A bundle cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// No tender runs it.
    #[error("could not make a bundle of what starts by {}: it is for what a tender runs", .0.name())]
    Protocol(Protocol),
    /// Its files cannot be called after it.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The Lunikernel lacks something.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The archive cannot be.
    #[error(transparent)]
    Tar(#[from] TarError),
}

impl BundleError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Protocol(_) => Some("export it to a disk, with `--to raw`".to_owned()),
            Self::Name(error) => error.hint(),
            Self::Boot(error) => error.hint(),
            Self::Tar(_) => None,
        }
    }
}

/// The archive of `system`'s bundle, all of it in one folder that has its name.
///
/// # Errors
/// [`BundleError`] where no tender runs it, or its parts cannot be in an archive.
pub fn archive(system: &System) -> Result<Disk, BundleError> {
    let about = system.about();
    let name = checked(&about.name)?;
    let tender = tender(about.boot.protocol)?;
    let file = |file: &str, content: Content, executable: bool| File {
        path: format!("{name}/{file}"),
        content,
        executable,
    };
    let mut files = vec![
        file("README.txt", Content::bytes(readme(system, tender)), false),
        file(KERNEL, system.entry(KERNEL)?, false),
        file("run.sh", Content::bytes(script(system, tender)), true),
    ];
    if own_disk(system).is_some() {
        files.push(file(DISK, system.entry(DISK)?, false));
    }
    if has_tender(system) {
        files.push(file(tender, system.entry(TENDER)?, true));
    }
    files.sort_by(|one, two| one.path.cmp(&two.path));
    Ok(tar::archive(&files)?)
}

fn tender(protocol: Protocol) -> Result<&'static str, BundleError> {
    match protocol {
        Protocol::Solo5Hvt => Ok("solo5-hvt"),
        Protocol::Solo5Spt => Ok("solo5-spt"),
        other => Err(BundleError::Protocol(other)),
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
    let (name, memory) = (&about.name, about.boot.min_memory_mib);
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
        text += NETWORK;
    }
    text
}

const NETWORK: &str = "
Once, as root, and for each network one interface (USER is who runs it):

    ip tuntap add dev tap0 mode tap user USER
    ip addr add 10.0.0.1/24 dev tap0
    ip link set dev tap0 up

The unikernel then takes an address beside it, 10.0.0.2 for example; many made with MirageOS
have it by default, and others take it from their command line (--ipv4=10.0.0.2/24
--ipv4-gateway=10.0.0.1). For it to reach further, the machine has to forward:

    sysctl -w net.ipv4.ip_forward=1
    nft add table ip solo5
    nft add chain ip solo5 nat '{ type nat hook postrouting priority 100; }'
    nft add rule ip solo5 nat ip saddr 10.0.0.0/24 masquerade

Or put the interface into a bridge: ip link set dev tap0 master br0.
";

/// A word as a shell takes it for itself, whatever is in it. Plain ones stay as they are.
fn quoted(word: &str) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-_.:=/,+@".contains(&it);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        assert_eq!(quoted("--ipv4=10.0.0.2/24"), "--ipv4=10.0.0.2/24");
        assert_eq!(quoted("a;b"), "'a;b'");
        assert_eq!(quoted("$(x)"), "'$(x)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
