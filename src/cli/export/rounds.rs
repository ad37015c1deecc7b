//! Exports of what the rounds of a verification built.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lunikernel_builder::build::Builder;
use lunikernel_builder::verify::Round;
use lunikernel_cache::{Cache, Digest, Silent};
use lunikernel_exporters::export::Export;
use lunikernel_exporters::qcow2::Clusters;

use super::{FormatArg, guest, pieces, system};
use crate::failure::Failure;

/// Gets what every export needs, before the first round.
pub(in crate::cli) async fn prepare(builder: &Builder) -> Result<(), Failure> {
    pieces::fetch(builder).await
}

/// Exports what `round` built to `formats`. The boot loaders are made again for it by
/// `builder`, which works among the round's surroundings in the round's cache; only their
/// inputs come from `main`.
pub(in crate::cli) fn export_round(
    round: &Round,
    builder: &Builder,
    main: &Cache,
    formats: &[FormatArg],
) -> Result<BTreeMap<String, Digest>, Failure> {
    pieces::take_over(main, &round.cache)?;
    let loaders = tokio::runtime::Handle::current().block_on(pieces::make(builder))?;
    let artefact = Arc::new(round.artefact()?);
    let cmdline = artefact.manifest().boot.cmdline.clone();
    let formats: BTreeSet<_> = formats.iter().map(|format| format.0).collect();
    let unpacked = guest::initramfs(&artefact, &formats)?.map(|it| it.unpacked);
    let export = Export {
        system: system::of(&artefact, &cmdline, None, unpacked)?,
        artefact: round.built.artefact,
        loaders: Some(&loaders),
        formats,
        size: None,
        clusters: Clusters::Plain,
        sha256: false,
        guest_features: Vec::new(),
    };
    let folder = round.cache.scratch()?;
    let exported = export.write(folder.path(), &Silent)?;
    let files = exported.manifest.files.iter();
    let digests = files.filter_map(|(name, entry)| {
        let sha256 = entry.sha256.or(entry.block_digest)?;
        let size = entry.size;
        Some((name.clone(), Digest { sha256, size }))
    });
    Ok(digests.collect())
}
