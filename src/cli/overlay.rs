//! `luni overlay`: lay files over a Lunikernel.

use std::path::{Path, PathBuf};

use lunikernel_builder::overlay::{self, Changes, Limits, Prepared};
use lunikernel_cache::Digest;
use lunikernel_cache::artefact::Artefact;
use serde_json::json;

use super::output::{Output, lossy};
use super::reads::Reads;
use super::size::Size;
use super::workshop::{self, quoted, size};
use super::{Context, verify};
use crate::exit::Exit;
use crate::failure::Failure;

/// Lay a zip or folder over a Lunikernel.
///
/// Nothing is built for it. What an overlay has at a path is there when the machine boots; an empty file .wh.NAME
/// removes NAME. Several overlays are laid over each other in the order given. The
/// result depends on the base and on the names, modes and contents of what is laid over
/// it, not on the tool that made the zip. On standard output: the SHA-256 and the file,
/// as sha256sum prints them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Lunikernel that is the base: a zip, its address (file, http or https), or the
    /// first digits (at least 8) of the SHA-256 of one in the cache
    #[arg(value_name = "LUNIKERNEL")]
    base: PathBuf,

    /// A zip or a folder with what belongs at `/`
    #[arg(required = true, value_name = "OVERLAY")]
    overlays: Vec<PathBuf>,

    /// The file to write [default: NAME-overlaid.luni.zip here]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The most that one overlay may have unpacked: 512M, 10G (powers of 1024)
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().size))]
    max_size: Size,

    /// The most times that a file in a zip may be larger unpacked
    #[arg(long, value_name = "N", default_value_t = Limits::default().ratio)]
    max_ratio: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let reads = Reads::default()
        .and_named(&args.base)
        .and_all(&args.overlays);
    let output =
        |path: &Path| Output::new(path, "name another file to write with `-o FILE`", &reads);
    let named = args.output.as_deref().map(output).transpose()?;
    let cache = context.cache()?;
    let progress = context.progress();
    let base = verify::artefact(&args.base, context)?;
    let output = match named {
        Some(named) => named,
        None => {
            let name = &base.manifest().name;
            output(Path::new(&format!("{name}-overlaid.luni.zip")))?
        }
    };
    let path = output.path();
    let limits = Limits {
        size: args.max_size.0,
        ratio: args.max_ratio,
    };
    let blobs = cache.blobs();
    let prepared = overlay::prepare(&base, &args.overlays, &limits, blobs, progress.as_ref())?;
    let digest = output.write_by(|out| prepared.write(out, progress.as_ref()))?;
    if context.json() {
        context.print_json(&json!({
            "artefact": digest,
            "file": lossy(path),
            "overlaid": prepared.overlaid(),
            "changes": prepared.changes(),
        }))?;
    } else {
        context.print(&format!("{}  {}\n", digest.sha256.hex(), path.display()))?;
    }
    context.say(&summary(&base, &prepared, &digest, path));
    Ok(Exit::Ok)
}

/// What a person wants to know at the end.
fn summary(base: &Artefact, prepared: &Prepared<'_>, digest: &Digest, path: &Path) -> String {
    let manifest = base.manifest();
    let overlaid = prepared.overlaid();
    let Changes {
        added,
        changed,
        removed,
    } = prepared.changes();
    let (file, luni) = (quoted(path), workshop::program());
    let mut lines = vec![
        format!("{} {}: overlaid", manifest.name, manifest.version),
        format!("  sha256   {}", digest.sha256.hex()),
        format!("  file     {file}, {}", size(digest.size)),
        format!("  base     {}", overlaid.base.sha256.hex()),
        format!(
            "  changes  {} added, {} changed, {} removed; {} compressed",
            added.len(),
            changed.len(),
            removed.len(),
            size(overlaid.segment.size)
        ),
    ];
    if overlaid.rewritten {
        lines.push("           the initramfs was compressed again, to take files out".to_owned());
    }
    lines.push("next:".to_owned());
    lines.push(format!("  {luni} run {file}"));
    lines.push(format!("  {luni} inspect {file}"));
    lines.join("\n")
}
