//! `luni export`: a Lunikernel as a disk or image that clouds and hypervisors boot.

mod arguments;
mod disc;
mod findings;
mod guest;
mod pieces;
mod rounds;
mod system;
mod text;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err as fs;
use lunikernel_exporters::checks::Firmware;
use lunikernel_exporters::export::{Export, Format};
use lunikernel_exporters::qcow2::Clusters;
use serde_json::json;

use super::Context;
use super::cmdline::CmdlineArgs;
use super::output;
use super::verify;
use crate::exit::Exit;
use crate::failure::Failure;
pub(super) use arguments::FormatArg;
use arguments::{FirmwareArg, size};
pub(super) use disc::disc;
pub(super) use rounds::{export_round, prepare};

/// Make a disk that clouds and hypervisors boot.
///
/// raw is the disk; kvm a qcow2 image with a libvirt domain and a script for QEMU; gce what
/// Google Compute Engine imports; ec2 the disk with the list of blocks that EBS wants; azure
/// the fixed VHD that Azure takes; vmdk, vhd, vhdx and vdi are for others; iso is a
/// disc, which boots from a stick too; uki is one EFI program. Without a disk, as a folder in an archive: firecracker, cloud-hypervisor and xen
/// have the kernel as these load it, with their configuration; pxe is for machines that boot
/// from the network; bundle for unikernels that a tender of Solo5's runs. The same
/// Lunikernel and options give the same bytes on every machine. NAME.export.json says what
/// was made of what. On standard output: the SHA-256 and the file, as sha256sum prints them,
/// of each file but a raw disk and a fixed VHD, whose block digests the manifest has.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Lunikernel: a zip, or the first digits (at least 8) of the SHA-256 of one in the
    /// cache
    #[arg(value_name = "LUNIKERNEL")]
    artefact: PathBuf,

    /// What to make: one format, or several with commas between them
    #[arg(long, value_name = "FORMAT", required = true, value_delimiter = ',')]
    to: Vec<FormatArg>,

    /// The folder to write to
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// The size of the disk: 512M, 10G [default: the fewest GiB that hold it]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    size: Option<u64>,

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
    let cache = context.cache()?;
    let progress = context.progress();
    let artefact = Arc::new(verify::artefact(&args.artefact, context)?);
    let formats: BTreeSet<Format> = args.to.iter().map(|it| it.0).collect();
    let digest = artefact.check(progress.as_ref())?.digest;
    // Else no firmware starts it, or, an EFI program, UEFI alone.
    let firmware = match formats.iter().any(|it| it.boots() && *it != Format::Uki) {
        true => args.firmware.map(|it| it.0),
        false => Some(Firmware::Uefi),
    };
    let system = system::of(&artefact, &args.cmdline.of(&artefact), firmware)?;
    let guest = guest::of(&artefact, &system, &formats)?;
    let found = findings::of(&guest, &formats, system.firmware());
    findings::tell(&found, &artefact, args.force, context)?;

    let loaders = match formats.iter().any(|it| it.boots()) {
        true => Some(pieces::load(&cache, context)?),
        false => None,
    };
    fs::create_dir_all(&args.output).map_err(|error| {
        let message = format!("could not create the folder {}", args.output.display());
        Failure::new(Exit::Failed, message).caused_by(&error)
    })?;
    let export = Export {
        artefact: digest,
        loaders: loaders.as_ref(),
        formats,
        size: args.size,
        clusters: match args.compress {
            true => Clusters::Compressed,
            false => Clusters::Plain,
        },
        sha256: args.sha256,
        guest_features: guest::features(&guest, system.firmware()),
        system,
    };
    let exported = export.write(&args.output, progress.as_ref())?;
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
