//! One export: from a Lunikernel to the files of one format or several.
//!
//! ```text
//! System ──► Layout ──► Disk ──► BlockMap              once, whatever the formats
//!                         └────► each format ──► Output ──┐
//! what came of all of them ──► ExportManifest ──► Output ─┴─commit──► their names
//! ```

mod error;
mod files;
mod format;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use lunikernel_cache::artefact::Protocol;
use lunikernel_cache::{Digest, HashingWriter, Progress, Sha256};

pub use error::ExportError;
use files::{Claim, Files, Settled};
pub use format::Format;

use crate::blocks::BlockMap;
use crate::boot::{Loaders, System};
use crate::bundle::Bundles;
use crate::content::Content;
use crate::disk::{Disk, DiskError};
use crate::error::WriteError;
use crate::identity::Identity;
use crate::kvm::{self, Machine};
use crate::manifest::{self, DiskEntry, ExportManifest, FileEntry};
use crate::output::replaceable;
use crate::qcow2::{self, Clusters};
use crate::sink::Stream;
use crate::{gce, raw, vdi, vhd, vhdx, vmdk};

/// What is to be exported, and how.
#[derive(Debug, Clone)]
pub struct Export<'a> {
    /// The Lunikernel, and how it is started.
    pub system: System,
    /// The digest of its zip.
    pub artefact: Digest,
    /// What starts it, where one of the formats [boots](Format::boots).
    pub loaders: Option<&'a Loaders>,
    /// The formats. A file that several of them have is written once.
    pub formats: BTreeSet<Format>,
    /// The size of the disk in bytes; else the fewest GiB that hold it.
    pub size: Option<u64>,
    /// Whether a qcow2 image is compressed.
    pub clusters: Clusters,
    /// Whether the manifest has the raw disk's SHA-256 too. Holes are hashed for it.
    pub sha256: bool,
    /// What a publisher to GCE has to say about it, sorted.
    pub guest_features: Vec<String>,
}

/// An export that lacks nothing but the names of its files.
#[derive(Debug)]
pub struct Made {
    manifest: ExportManifest,
    files: Settled,
}

/// The same where nobody else names files in its folder meanwhile.
#[derive(Debug)]
pub struct Claimed {
    made: Made,
    _claim: Option<Claim>,
}

impl Made {
    /// Waits until no other export names files in the folder, and keeps others from it, as
    /// far as the file system has locks.
    ///
    /// # Errors
    /// [`ExportError::Output`] where the folder is gone.
    pub fn claim(self, progress: &dyn Progress) -> Result<Claimed, ExportError> {
        let claim = self.files.claim(progress)?;
        Ok(Claimed {
            made: self,
            _claim: claim,
        })
    }
}

impl Claimed {
    /// Gives the files their names, which takes but a moment. Regular files of the same
    /// names are replaced. The manifest of an export that was there goes first, and the new
    /// one comes last: where there is one, the files are those that it names.
    ///
    /// # Errors
    /// [`ExportError::Output`]. Where something is in the way that is no file, all is left as
    /// it was; else some files may be new by then, and there is no manifest.
    pub fn name(self) -> Result<Exported, ExportError> {
        let Made { manifest, files } = self.made;
        let files = files.name()?;
        Ok(Exported { manifest, files })
    }
}

/// What came of an export.
#[derive(Debug, Clone)]
pub struct Exported {
    /// What the export says about itself.
    pub manifest: ExportManifest,
    /// The files in the order of their names, and the manifest's last.
    pub files: Vec<PathBuf>,
}

impl Exported {
    /// The SHA-256 of the manifest's file.
    ///
    /// # Errors
    /// Never, as the manifest was written before.
    pub fn manifest_sha256(&self) -> Result<Sha256, ExportError> {
        Ok(Sha256::of(&self.manifest.to_canonical()?))
    }
}

/// What the files of an export of a Lunikernel called `name` are called, but for its
/// manifest ([`manifest_name`]).
#[must_use]
pub fn announced(name: &str, formats: &BTreeSet<Format>) -> BTreeSet<String> {
    formats.iter().flat_map(|it| it.files(name)).collect()
}

/// What the manifest of an export of a Lunikernel called `name` is called.
#[must_use]
pub fn manifest_name(name: &str) -> String {
    format!("{name}.export.json")
}

impl Export<'_> {
    /// Writes everything into `folder`, and names it: [`Export::make`], [`Made::claim`],
    /// [`Claimed::name`].
    ///
    /// # Errors
    /// Those of the three.
    pub fn write(&self, folder: &Path, progress: &dyn Progress) -> Result<Exported, ExportError> {
        self.make(folder, progress)?.claim(progress)?.name()
    }

    /// Writes everything into `folder`, and to the disk itself. Nothing has its name yet.
    ///
    /// # Errors
    /// [`ExportError`]; what was written is gone then.
    pub fn make(&self, folder: &Path, progress: &dyn Progress) -> Result<Made, ExportError> {
        let name = kvm::checked(&self.system.about().name)?;
        let identity = Identity::of(self.artefact.sha256);
        let mut files = Files::new(folder, progress);
        let last = manifest_name(name);
        // It is written last, and what is in its way is there from the beginning.
        replaceable(&files.path(&last))?;
        let mut map = None;
        if self.formats.iter().any(|format| format.has_disk()) {
            let disk = self.disk(&identity)?;
            let task = progress.start("hashing", "what is on the disk", None);
            let (found, runs) = BlockMap::with_runs(&disk).map_err(ExportError::Read)?;
            let map = map.insert(found);
            task.finish("");
            let image = Image {
                name,
                identity: &identity,
                disk: &disk,
                map,
                runs: &runs,
            };
            for format in &self.formats {
                self.write_image(*format, &image, &mut files)?;
            }
        }
        if self.formats.contains(&Format::Iso) {
            let disc = self.system.disc(self.loaders()?)?.compose(&identity)?;
            files.add(&format!("{name}.iso"), None, |out| raw::write(&disc, out))?;
        }
        if self.formats.contains(&Format::Uki) {
            self.write_uki(name, &mut files)?;
        }
        let bundles = Bundles::new(&self.system, folder);
        for format in &self.formats {
            if let Some(kind) = format.bundle() {
                let bundle = bundles.archive(kind)?;
                files.add(&format!("{name}.{format}.tar"), None, |out| {
                    raw::write(&bundle, out)
                })?;
            }
        }
        let manifest = self.manifest(map.as_ref(), &files)?;
        debug_assert!(
            files.entries().keys().eq(&announced(name, &self.formats)),
            "an export has the files that it is said to have"
        );
        let text = manifest.to_canonical()?;
        let files = files.settle(&last, &text)?;
        // Its entries were read piece by piece, and none of them was proven on the way.
        self.system.check_again(&self.artefact, progress)?;
        Ok(Made { manifest, files })
    }

    fn loaders(&self) -> Result<&Loaders, ExportError> {
        self.loaders.ok_or(ExportError::NoLoaders)
    }

    /// The disk that all formats hold.
    fn disk(&self, identity: &Identity) -> Result<Disk, ExportError> {
        let mut layout = self.system.layout(self.loaders()?, self.size)?;
        let size = match self.size {
            Some(size) => size,
            // Clouds take no others, and with one size for all every format has the same disk.
            None => gce::size_for(layout.smallest()?),
        };
        layout.size = Some(size);
        for format in self.formats.iter().filter(|it| it.has_disk()) {
            format.check_size(size)?;
        }
        Ok(layout.compose(identity)?)
    }

    fn write_image(
        &self,
        format: Format,
        image: &Image<'_>,
        files: &mut Files<'_>,
    ) -> Result<(), ExportError> {
        let Image {
            name,
            identity,
            disk,
            map,
            runs,
        } = *image;
        let file = |ending: &str| format!("{name}.{ending}");
        match format {
            Format::Azure | Format::VhdFixed => {
                let name = match format {
                    Format::Azure => file("azure.vhd"),
                    _ => file("fixed.vhd"),
                };
                let disk = vhd::fixed(disk, identity);
                let disk = disk.map_err(ExportError::write(&files.path(&name)))?;
                let map = BlockMap::of(&disk).map_err(ExportError::Read)?;
                self.write_whole(&name, &disk, &map, files)
            }
            Format::Raw => self.write_whole(&file("raw"), disk, map, files),
            Format::Ec2 => {
                self.write_whole(&file("raw"), disk, map, files)?;
                let list = map.to_canonical().map_err(ExportError::Read)?;
                files.add_bytes(&file("blocks.json"), &list)
            }
            Format::Kvm => {
                let machine = self.machine(name);
                let domain = kvm::domain_xml(&machine, identity)?;
                let script = kvm::run_script(&machine)?;
                files.add(&file("qcow2"), None, |out| {
                    qcow2::write(disk, self.clusters, out)
                })?;
                files.add_bytes(&file("xml"), domain.as_bytes())?;
                files.add_program(&file("run.sh"), script.as_bytes())
            }
            Format::Gce => {
                files.add_stream(&file("gce.tar.gz"), |out| gce::write_runs(disk, runs, out))
            }
            Format::Vmdk => files.add(&file("vmdk"), None, |out| vmdk::write(disk, identity, out)),
            Format::Vhd => files.add(&file("vhd"), None, |out| {
                vhd::write_dynamic(disk, identity, out)
            }),
            Format::Vdi => files.add(&file("vdi"), None, |out| vdi::write(disk, identity, out)),
            Format::Vhdx => files.add(&file("vhdx"), None, |out| vhdx::write(disk, identity, out)),
            Format::Bundle
            | Format::CloudHypervisor
            | Format::Firecracker
            | Format::Pxe
            | Format::Iso
            | Format::Uki
            | Format::Xen => Ok(()),
        }
    }

    /// Writes a file that is as large as a disk, and like it mostly holes.
    fn write_whole(
        &self,
        name: &str,
        disk: &Disk,
        map: &BlockMap,
        files: &mut Files<'_>,
    ) -> Result<(), ExportError> {
        let mut entry = FileEntry::of_disk(map);
        if self.sha256 {
            entry.sha256 = Some(sha256(disk)?);
        }
        files.add(name, Some(entry), |out| raw::write(disk, out))
    }

    fn write_uki(&self, name: &str, files: &mut Files<'_>) -> Result<(), ExportError> {
        let program = whole(self.system.uki(self.loaders()?)?.program)?;
        files.add(&format!("{name}.efi"), None, |out| {
            raw::write(&program, out)
        })?;
        // A disk has the notice on it; here it can only lie beside.
        let notice = &self.loaders()?.stub.notice.text;
        files.add_bytes(&format!("{name}.efi.licence.txt"), notice)
    }

    fn machine(&self, name: &str) -> Machine {
        let about = self.system.about();
        Machine {
            name: name.to_owned(),
            memory_mib: self.system.memory_mib(),
            firmware: self.system.firmware(),
            net: about.devices.net,
            old_virtio: about.boot.protocol == Protocol::Solo5Virtio,
        }
    }

    fn manifest(
        &self,
        map: Option<&BlockMap>,
        files: &Files<'_>,
    ) -> Result<ExportManifest, ExportError> {
        let about = self.system.about();
        let mut options = BTreeMap::from([("cmdline", self.system.cmdline().to_owned())]);
        let mut boot = BTreeSet::new();
        if map.is_some() {
            boot.extend(self.system.pieces(self.loaders()?));
        }
        if self.formats.contains(&Format::Iso) {
            boot.extend(self.system.disc_pieces(self.loaders()?));
        }
        if map.is_some() || self.formats.contains(&Format::Iso) {
            options.insert("firmware", self.system.firmware().name().to_owned());
        }
        if self.formats.contains(&Format::Kvm) {
            let compressed = self.clusters == Clusters::Compressed;
            options.insert("compress", compressed.to_string());
        }
        if self.formats.contains(&Format::Uki) {
            boot.insert(&self.loaders()?.stub.about);
        }
        let options = options.into_iter().map(|(name, it)| (name.to_owned(), it));
        let guest_features = match self.formats.contains(&Format::Gce) {
            true => self.guest_features.clone(),
            false => Vec::new(),
        };
        Ok(ExportManifest {
            format: manifest::Format::V1,
            artefact: manifest::Exported {
                name: about.name.clone(),
                version: about.version.clone(),
                sha256: self.artefact.sha256,
                size: self.artefact.size,
            },
            targets: self.formats.iter().map(ToString::to_string).collect(),
            options: options.collect(),
            boot: boot.into_iter().cloned().collect(),
            disk: map.map(DiskEntry::from),
            files: files.entries(),
            guest_features,
        })
    }
}

/// What the formats have in common.
#[derive(Clone, Copy)]
struct Image<'a> {
    name: &'a str,
    identity: &'a Identity,
    disk: &'a Disk,
    map: &'a BlockMap,
    /// Where the disk is not zero.
    runs: &'a [Range<u64>],
}

/// Content as something to write.
fn whole(content: Content) -> Result<Disk, DiskError> {
    let mut disk = Disk::new(content.len())?;
    disk.put(0, content)?;
    Ok(disk)
}

/// The SHA-256 of all of a disk's bytes.
fn sha256(disk: &Disk) -> Result<Sha256, ExportError> {
    let mut out = Stream(HashingWriter::new(std::io::sink()));
    match raw::write(disk, &mut out) {
        Ok(()) => Ok(out.0.finish().1.sha256),
        Err(WriteError::Read(source) | WriteError::Write { source, .. }) => {
            Err(ExportError::Read(source))
        }
        // A disk as it is has any size.
        Err(error @ WriteError::Size { .. }) => {
            Err(ExportError::Read(std::io::Error::other(error)))
        }
    }
}
