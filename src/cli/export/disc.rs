//! The disc that `luni run` starts a Lunikernel from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lunikernel_cache::artefact::Artefact;
use lunikernel_exporters::export::{Export, Format};
use lunikernel_exporters::qcow2::Clusters;

use super::{pieces, system};
use crate::cli::Context;
use crate::failure::Failure;

/// Writes into `folder` what `luni export --to iso` makes of `artefact` with `cmdline`, and
/// says which file the disc is.
pub(in crate::cli) fn disc(
    artefact: &Arc<Artefact>,
    cmdline: &str,
    folder: &Path,
    context: &Context,
) -> Result<PathBuf, Failure> {
    let progress = context.progress();
    let system = system::of(artefact, cmdline, None, None)?;
    let loaders = pieces::load(&context.cache()?, context)?;
    let export = Export {
        artefact: artefact.check(progress.as_ref())?.digest,
        loaders: Some(&loaders),
        formats: [Format::Iso].into(),
        size: None,
        clusters: Clusters::Plain,
        sha256: false,
        guest_features: Vec::new(),
        system,
    };
    export.write(folder, progress.as_ref())?;
    Ok(folder.join(format!("{}.iso", artefact.manifest().name)))
}
