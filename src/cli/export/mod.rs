//! `luni export`: a Lunikernel as a disk or image that clouds and hypervisors boot.

mod arguments;
mod disc;
mod findings;
mod folder;
mod guest;
mod pieces;
mod rounds;
mod system;
mod text;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use lunikernel_exporters::checks::Firmware;
use lunikernel_exporters::export::{Export, Format, announced, manifest_name};
use lunikernel_exporters::qcow2::Clusters;
use serde_json::json;

use super::Context;
use super::cmdline::CmdlineArgs;
use super::output;
use super::reads::Reads;
use super::signals;
use super::size::Size;
use super::verify;
use crate::exit::Exit;
use crate::failure::Failure;
pub(super) use arguments::FormatArg;
use arguments::{FirmwareArg, size};
pub(super) use disc::disc;
use folder::Folder;
pub(super) use rounds::{export_round, prepare};

/// Make a disk that clouds and hypervisors boot.
///
/// raw is the disk; kvm a qcow2 image with a libvirt domain and a script for QEMU; gce what
/// Google Compute Engine imports; ec2 the disk with the list of blocks that EBS wants; azure
/// the fixed VHD that Azure takes; vmdk, vhd (dynamic), vhd-fixed, vhdx and vdi are for
/// others; iso is a disc, which boots from a stick too; uki is one EFI program. Without a
/// disk, as a folder in an archive: firecracker, cloud-hypervisor and xen have the kernel as
/// these load it, with their configuration; pxe is for machines that boot from the network;
/// bundle for unikernels that a tender of Solo5's runs. The same Lunikernel and options give
/// the same bytes on every machine. NAME.export.json says what was made of what. On standard
/// output: the SHA-256 and the file, as sha256sum prints them, of each file but a raw disk and
/// a fixed VHD, whose block digests the manifest has.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Lunikernel: a zip, its address (file, http or https), or the first digits (at
    /// least 8) of the SHA-256 of one in the cache
    #[arg(value_name = "LUNIKERNEL")]
    artefact: PathBuf,

    /// What to make: one format, or several with commas between them
    #[arg(long, value_name = "FORMAT", required = true, value_delimiter = ',')]
    to: Vec<FormatArg>,

    /// The folder to write to
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// The size of the disk: 512M, 10G (powers of 1024) [default: the fewest GiB that hold it]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    size: Option<Size>,

    /// What starts the disk [default: hybrid, which is both; for unikernels bios]
    #[arg(long, value_name = "WHICH")]
    firmware: Option<FirmwareArg>,

    #[command(flatten)]
    cmdline: CmdlineArgs,

    /// Compress the qcow2 image
    #[arg(long)]
    compress: bool,

    /// Say the SHA-256 of a raw disk or a fixed VHD too: its holes take as long to hash as content
    #[arg(long)]
    sha256: bool,

    /// Make it even where it cannot work
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let formats: BTreeSet<Format> = args.to.iter().map(|it| it.0).collect();
    args.check(&formats)?;
    let folder = Folder::look(&args.output)?;
    let cache = context.cache()?;
    let progress = context.progress();
    let artefact = Arc::new(verify::artefact(&args.artefact, context)?);
    args.keeps(&artefact.manifest().name, &formats)?;
    let digest = artefact.check(progress.as_ref())?.digest;
    // Else no firmware starts it, or, an EFI program, UEFI alone.
    let firmware = match formats.iter().any(|it| it.has_firmware()) {
        true => args.firmware.map(|it| it.0),
        false => Some(Firmware::Uefi),
    };
    let initramfs = guest::initramfs(&artefact, &formats)?;
    let unpacked = initramfs.as_ref().map(|it| it.unpacked);
    let system = system::of(&artefact, &args.cmdline.of(&artefact), firmware, unpacked)?;
    let guest = guest::of(&artefact, &system, initramfs);
    let found = findings::of(&guest, &formats, system.firmware());
    findings::tell(&found, &artefact, args.force, context)?;

    let loaders = match formats.iter().any(|it| it.boots()) {
        true => Some(pieces::load(&cache, context)?),
        false => None,
    };
    let export = Export {
        artefact: digest,
        loaders: loaders.as_ref(),
        formats,
        size: args.size.map(|size| size.0),
        clusters: match args.compress {
            true => Clusters::Compressed,
            false => Clusters::Plain,
        },
        sha256: args.sha256,
        guest_features: guest::features(&guest, system.firmware()),
        system,
    };
    let exported = folder.with(|| {
        let made = export.make(&args.output, progress.as_ref())?;
        let claimed = made.claim(progress.as_ref())?;
        Ok(signals::to_its_end(|| claimed.name())?)
    })?;
    if context.json() {
        let files: Vec<_> = (exported.files.iter())
            .map(|file| output::lossy(file))
            .collect();
        context.print_json(&json!({
            "manifest": exported.manifest,
            "files": files,
            "findings": found,
        }))?;
    } else {
        context.print(&text::sums(&exported)?)?;
    }
    context.say(&text::summary(&exported, &args.output));
    Ok(Exit::Ok)
}

impl Args {
    /// That no file of an export is what is exported.
    fn keeps(&self, name: &str, formats: &BTreeSet<Format>) -> Result<(), Failure> {
        let reads = Reads::default().and_named(&self.artefact);
        let files = announced(name, formats).into_iter();
        for file in files.chain([manifest_name(name)]) {
            reads.keep(
                &self.output.join(file),
                "name another folder to write to with `-o DIR`",
            )?;
        }
        Ok(())
    }

    /// That every option has something to say to one of the formats, and the size to all.
    fn check(&self, formats: &BTreeSet<Format>) -> Result<(), Failure> {
        type Takes = fn(&Format) -> bool;
        let uefi = self.firmware.is_some_and(|it| it.0 == Firmware::Uefi);
        let options: [(&str, bool, Takes, &str); 4] = [
            ("--size", self.size.is_some(), |it| it.has_disk(), "raw"),
            ("--compress", self.compress, |it| *it == Format::Kvm, "kvm"),
            ("--sha256", self.sha256, |it| it.is_whole(), "raw"),
            match uefi {
                true => ("--firmware", true, |it| it.boots(), "raw"),
                false => (
                    "--firmware",
                    self.firmware.is_some(),
                    |it| it.has_firmware(),
                    "raw",
                ),
            },
        ];
        for (option, given, takes, other) in options {
            if given && !formats.iter().any(takes) {
                let names: Vec<_> = formats.iter().map(|it| it.name()).collect();
                let message = format!("`{option}` changes nothing in {}", names.join(", "));
                let hint = format!("leave it out, or export to {other} too");
                return Err(Failure::new(Exit::Usage, message).with_hint(hint));
            }
        }
        if let Some(Size(size)) = self.size {
            for format in formats.iter().filter(|it| it.has_disk()) {
                format.check_size(size)?;
            }
        }
        Ok(())
    }
}
