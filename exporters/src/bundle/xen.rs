//! Xen, whose `xl` reads a file of settings (xl.cfg(5)). Guests are of the type PVH.

use lunikernel_cache::artefact::INITRAMFS;

use super::{BundleError, Files, Guest, Kind, Loaded};

const CONFIG: &str = "xl.cfg";

pub(super) fn files(guest: &Guest<'_>) -> Result<Files, BundleError> {
    let loaded = guest.loaded(Kind::Xen, true)?;
    let mut files = Files::default();
    files.text(CONFIG, config(guest, &loaded));
    files.program("run.sh", script(guest));
    files.text("README.txt", readme(guest));
    loaded.put(&mut files);
    Ok(files)
}

fn config(guest: &Guest<'_>, loaded: &Loaded) -> String {
    let about = guest.system.about();
    let mut text = format!(
        "name = {}\ntype = \"pvh\"\nkernel = \"{}\"\n",
        quoted(&about.name),
        loaded.file
    );
    if loaded.initramfs.is_some() {
        text += &format!("ramdisk = \"{INITRAMFS}\"\n");
    }
    let cmdline = quoted(guest.system.cmdline());
    let memory = guest.system.memory_mib();
    text += &format!("cmdline = {cmdline}\nmemory = {memory}\nvcpus = 1\n");
    if about.devices.net {
        text += "vif = [ \"\" ]\n";
    }
    text
}

/// A text as `xl` reads it back.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn script(guest: &Guest<'_>) -> String {
    let name = &guest.system.about().name;
    format!(
        r#"#!/bin/sh
# Runs {name} under Xen; its console is this terminal, and Ctrl-] leaves it. Options of
# `xl create` may follow. XL=PATH names one that is not in PATH.
set -eu
CDPATH= cd -- "$(dirname -- "$0")"
exec "${{XL:-xl}}" create -c {CONFIG} "$@"
"#
    )
}

fn readme(guest: &Guest<'_>) -> String {
    let mut text = format!(
        "{}, for Xen, as a guest of the type PVH.

    ./run.sh

It needs Xen 4.10 or newer, and root in its first domain. The paths in {CONFIG} are those of this
folder: make them whole ones where the file is to lie elsewhere, in /etc/xen/auto for example.

Its console is console=hvc0. luni export puts that on the kernel's command line with
--append console=hvc0.
",
        guest.label()
    );
    if guest.system.about().devices.net {
        text += "
It wants a network: its interface joins the bridge that the machine has for guests, xenbr0 where
nothing else is set up. vif in the file of settings names another one: vif = [ \"bridge=br0\" ].
";
    }
    text
}
