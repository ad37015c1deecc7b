//! Lays out a bootable disk from files and writes it in one format.
//!
//! ```text
//! export FORMAT OUT SIZE_IN_MIB|- [PATH=FILE ...] [BOOT_IMG CORE_IMG]
//! ```
//!
//! `PATH` is a path in the EFI system partition. With `-` for the size the disk is the
//! smallest that holds the files. A `FILE` that is `uki:STUB:INITRAMFS:KERNEL:CMDLINE` is
//! the unified kernel image of these. `digest` as format prints the block digest instead, to
//! which `OUT` is nothing.

use std::error::Error;
use std::path::Path;

use lunikernel_cache::Sha256;
use lunikernel_exporters::hybrid::{Bios, Layout};
use lunikernel_exporters::qcow2::Clusters;
use lunikernel_exporters::uki::Uki;
use lunikernel_exporters::{
    BlockMap, Content, Existing, Identity, Output, gce, qcow2, raw, vdi, vhd, vhdx, vmdk,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, out, size, files @ ..] = arguments.as_slice() else {
        return Err("export FORMAT OUT SIZE_IN_MIB|- [PATH=FILE ...] [BOOT_IMG CORE_IMG]".into());
    };
    let mut layout = Layout::default();
    if size != "-" {
        layout.size = Some(size.parse::<u64>()? << 20);
    }
    let mut images = Vec::new();
    for argument in files {
        match argument.split_once('=') {
            Some((path, file)) => layout.files.add(path, content(file)?)?,
            None => images.push(fs_err::read(argument)?),
        }
    }
    if let [boot_img, core_img] = images.as_slice() {
        layout.bios = Some(Bios {
            boot_img: boot_img.clone(),
            core_img: core_img.clone(),
        });
    }
    if format == "gce" {
        layout.size = Some(gce::size_for(
            layout.size.map_or_else(|| layout.smallest(), Ok)?,
        ));
    }
    let identity = Identity::of(Sha256::of(b"an example"));
    let disk = layout.compose(&identity)?;
    if format == "digest" {
        println!("{}", BlockMap::of(&disk)?.digest());
        return Ok(());
    }
    let mut output = Output::create(Path::new(out), Existing::Replace)?;
    match format.as_str() {
        "raw" => raw::write(&disk, &mut output)?,
        "gce" => gce::write(&disk, &mut output)?,
        "qcow2" => qcow2::write(&disk, Clusters::Plain, &mut output)?,
        "qcow2-compressed" => qcow2::write(&disk, Clusters::Compressed, &mut output)?,
        "vmdk" => vmdk::write(&disk, &identity, &mut output)?,
        "vhd" => vhd::write_dynamic(&disk, &identity, &mut output)?,
        "vhd-fixed" => vhd::write_fixed(&disk, &identity, &mut output)?,
        "vdi" => vdi::write(&disk, &identity, &mut output)?,
        "vhdx" => vhdx::write(&disk, &identity, &mut output)?,
        other => return Err(format!("there is no format `{other}`").into()),
    }
    output.commit()?;
    Ok(())
}

fn content(file: &str) -> Result<Content, Box<dyn Error>> {
    let Some(pieces) = file.strip_prefix("uki:") else {
        return Ok(Content::file(Path::new(file))?);
    };
    let pieces: Vec<&str> = pieces.splitn(4, ':').collect();
    let [stub, initramfs, kernel, cmdline] = pieces.as_slice() else {
        return Err("a unified kernel image is uki:STUB:INITRAMFS:KERNEL:CMDLINE".into());
    };
    let uki = Uki {
        stub: fs_err::read(stub)?,
        os_release: "ID=lunikernel\n".to_owned(),
        cmdline: (*cmdline).to_owned(),
        initramfs: Content::file(Path::new(initramfs))?,
        kernel: Content::file(Path::new(kernel))?,
    };
    Ok(uki.build()?.program)
}
