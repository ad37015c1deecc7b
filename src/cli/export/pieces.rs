//! The boot loaders, made by the same pipeline as Lunikernels: from packages pinned to
//! exact bytes, in the sandbox.

use std::sync::Arc;

use fs_err as fs;
use lunikernel_builder::build::{BuildError, Builder};
use lunikernel_builder::fetch::FetchError;
use lunikernel_builder::lock::{LockedRecipe, LockedSource};
use lunikernel_builder::recipe::{FILE_NAME, Recipe};
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_cache::{Cache, CacheError, Sha256};
use lunikernel_exporters::boot::{Loaders, Notice, Piece};
use lunikernel_exporters::manifest::BootPiece;

use crate::cli::{Context, workshop};
use crate::failure::Failure;

const RECIPE: &str = include_str!("../../../exporters/pieces/recipe.yaml");
const LOCK: &str = include_str!("../../../exporters/pieces/recipe.lock");
/// What keeps the packages in the cache.
const PIN: &str = "boot-pieces";

/// A piece, where the recipe has it and where it is from.
struct Origin {
    file: &'static str,
    reference: &'static str,
    /// The package that has it or made it, and the source that has that package.
    package: &'static str,
    source: &'static str,
    licence: &'static str,
    notice: Text,
}

/// A licence notice: what it is called, and where the recipe has it.
struct Text {
    file: &'static str,
    reference: &'static str,
}

const GRUB: Text = Text {
    file: "grub.txt",
    reference: "tool/usr/share/doc/grub-common/copyright",
};
const BOOT_IMG: Origin = Origin {
    file: "boot.img",
    reference: "grub/usr/lib/grub/i386-pc/boot.img",
    package: "grub-pc-bin",
    source: "grub",
    licence: "GPL-3.0-or-later",
    notice: GRUB,
};
const CORE_IMG: Origin = Origin {
    file: "core.img",
    reference: "core/core.img",
    ..BOOT_IMG
};
const ELTORITO_IMG: Origin = Origin {
    file: "eltorito.img",
    reference: "disc/eltorito.img",
    ..BOOT_IMG
};
const STUB: Origin = Origin {
    file: "linuxx64.efi.stub",
    reference: "stub/usr/lib/systemd/boot/efi/linuxx64.efi.stub",
    package: "systemd-boot-efi",
    source: "stub",
    licence: "LGPL-2.1-or-later",
    notice: Text {
        file: "systemd-stub.txt",
        reference: "stub/usr/share/doc/systemd-boot-efi/copyright",
    },
};

/// The boot loaders, fetched and made where `cache` lacks them.
pub(super) fn load(cache: &Cache, context: &Context) -> Result<Loaders, Failure> {
    let builder = workshop::builder(context, cache.clone(), Surroundings::default())?;
    let loaders = context.runtime()?.block_on(make(&builder))?;
    let inputs: Vec<Sha256> = locked(cache)?.inputs().map(|input| input.sha256).collect();
    cache.pin(PIN, &inputs)?;
    Ok(loaders)
}

/// Gets what the boot loaders are made of.
pub(super) async fn fetch(builder: &Builder) -> Result<(), Failure> {
    let fetched = builder.fetch(&locked(&builder.cache)?).await;
    fetched.map(|_| ()).map_err(not_had)
}

/// Copies what the boot loaders are made of into another cache, and hashes it on the way.
pub(super) fn take_over(from: &Cache, to: &Cache) -> Result<(), Failure> {
    for input in locked(from)?.inputs() {
        to.blobs().put(&from.blobs().read(&input)?)?;
    }
    Ok(())
}

/// The boot loaders, made by `builder`.
pub(super) async fn make(builder: &Builder) -> Result<Loaders, Failure> {
    let cache = &builder.cache;
    let locked = locked(cache)?;
    let origins = [&BOOT_IMG, &CORE_IMG, &ELTORITO_IMG, &STUB];
    let references = origins.map(|it| [it.reference, it.notice.reference]);
    let parts = builder.parts(&locked, references.as_flattened()).await;
    let parts = parts.map_err(not_had)?;
    let read = |reference: &str| match parts.get(reference) {
        Some(digest) => cache.blobs().read(digest),
        // Every reference asked for has a digest.
        None => Ok(Vec::new()),
    };
    let piece = |origin: &Origin| -> Result<Piece, CacheError> {
        let bytes = read(origin.reference)?;
        Ok(Piece {
            about: BootPiece {
                name: format!("{} {}", origin.package, origin.file),
                version: version(&locked, origin),
                sha256: Sha256::of(&bytes),
                size: bytes.len() as u64,
                licence: Some(origin.licence.to_owned()),
            },
            notice: Arc::new(Notice {
                file: origin.notice.file.to_owned(),
                text: read(origin.notice.reference)?,
            }),
            bytes,
        })
    };
    Ok(Loaders {
        boot_img: piece(&BOOT_IMG)?,
        core_img: piece(&CORE_IMG)?,
        eltorito_img: piece(&ELTORITO_IMG)?,
        stub: piece(&STUB)?,
    })
}

/// Tells what `error` is about: nothing that the user named.
fn not_had(error: BuildError) -> Failure {
    let offline = matches!(error, BuildError::Fetch(FetchError::Offline(_)));
    let failure = Failure::from(error)
        .behind("could not get the boot loaders that start it, GRUB and systemd's stub");
    match offline {
        true => failure.with_hint(
            "do this once without `--offline`, and they stay in the cache; or name a mirror on \
             disk that has them with `--mirror file:///FOLDER`",
        ),
        false => failure,
    }
}

/// The recipe and its lock, which are read from files as any others.
fn locked(cache: &Cache) -> Result<LockedRecipe, Failure> {
    let folder = cache.scratch()?;
    let recipe = folder.path().join(FILE_NAME);
    fs::write(&recipe, RECIPE)
        .and_then(|()| fs::write(LockedRecipe::lock_path(&recipe), LOCK))
        .map_err(CacheError::io("lay out the recipe of the boot loaders"))?;
    Ok(LockedRecipe::open(Recipe::read(&recipe)?, cache)?)
}

fn version(locked: &LockedRecipe, origin: &Origin) -> Option<String> {
    match locked.lock().sources.get(origin.source)? {
        LockedSource::Deb(debs) => {
            let package = debs.packages.iter().find(|it| it.name == origin.package);
            package.map(|it| it.version.clone())
        }
        _ => None,
    }
}
