//! What an export tells people.

use std::path::Path;

use lunikernel_exporters::boot::BootError;
use lunikernel_exporters::export::{ExportError, Exported};
use lunikernel_exporters::manifest::FileEntry;

use crate::cli::workshop::{quoted, size};
use crate::exit::Exit;
use crate::failure::{Explain, Failure};

impl Explain for BootError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        Exit::BadInput
    }
}

impl Explain for ExportError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn exit(&self) -> Exit {
        match self.is_of_the_request() {
            true => Exit::BadInput,
            false => Exit::Failed,
        }
    }
}

/// The SHA-256 and the path of each file that has one, and of the manifest.
pub(super) fn sums(exported: &Exported) -> Result<String, Failure> {
    let mut text = String::new();
    for path in &exported.files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let sha256 = match exported.manifest.files.get(name.as_ref()) {
            Some(FileEntry { sha256, .. }) => *sha256,
            None => Some(exported.manifest_sha256()?),
        };
        if let Some(sha256) = sha256 {
            text += &format!("{}  {}\n", sha256.hex(), path.display());
        }
    }
    Ok(text)
}

/// What a person wants to know at the end.
pub(super) fn summary(exported: &Exported, folder: &Path) -> String {
    let manifest = &exported.manifest;
    let about = &manifest.artefact;
    let targets = manifest.targets.join(", ");
    let mut lines = vec![
        format!("{} {}: exported to {targets}", about.name, about.version),
        format!("  artefact  {}", about.sha256.hex()),
    ];
    if let Some(disk) = &manifest.disk {
        lines.push(format!(
            "  disk      {}, block digest {}",
            size(disk.size),
            disk.block_digest.hex()
        ));
    }
    for (name, entry) in &manifest.files {
        let file = quoted(&folder.join(name));
        lines.push(format!("  file      {file}, {}", size(entry.size)));
    }
    for piece in &manifest.boot {
        let version = piece.version.as_deref().unwrap_or_default();
        let licence = piece.licence.as_deref().unwrap_or("unknown licence");
        lines.push(format!("  boots by  {} {version} ({licence})", piece.name));
    }
    let file = |ending: &str| manifest.files.keys().find(|name| name.ends_with(ending));
    if let Some(script) = file(".run.sh") {
        lines.push("next:".to_owned());
        lines.push(format!("  {}", quoted(&folder.join(script))));
    } else if let Some(bundle) = file(".tar") {
        lines.push("next:".to_owned());
        lines.push(format!("  tar -xf {}", quoted(&folder.join(bundle))));
    }
    lines.join("\n")
}
