//! What can go wrong in a build.

use std::path::PathBuf;

use lunikernel_cache::artefact::SealError;
use lunikernel_cache::tree::TreeError;
use lunikernel_cache::{CacheError, Digest, RootfsError};

use super::AlpineError;
use crate::assemble::cpio::{ReadError, WriteError};
use crate::assemble::deb::DebError;
use crate::assemble::image::ImageError;
use crate::assemble::kernel::KernelError;
use crate::assemble::layers::LayerError;
use crate::assemble::modules::ModuleError;
use crate::assemble::unpack::{Format, UnpackError};
use crate::assemble::yocto::ListFlaw;
use crate::fetch::FetchError;
use crate::flavour::FlavourError;
use crate::lock::LockError;
use crate::recipe::{nearest, quoted};
use crate::sandbox::{Failure, SandboxError};
use crate::source::git::GitError;
use crate::source::tcz::TczError;

/// An error of a build.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// An input could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A repository could not be had.
    #[error("could not get source `{source_name}`")]
    Git {
        /// The source.
        source_name: String,
        /// Why.
        #[source]
        source: GitError,
    },
    /// A package could not be unpacked.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// Packages do not go together.
    #[error(transparent)]
    Packages(#[from] LayerError),
    /// Alpine packages could not be installed.
    #[error(transparent)]
    Alpine(#[from] AlpineError),
    /// The kernel is not there.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The kernel's modules are not there.
    #[error(transparent)]
    Modules(#[from] ModuleError),
    /// The initramfs could not be packed.
    #[error(transparent)]
    Initramfs(#[from] WriteError),
    /// An initramfs that was just packed cannot be unpacked.
    #[error("could not list the paths of the initramfs")]
    Paths(#[source] ReadError),
    /// The flavour could not make its part.
    #[error(transparent)]
    Flavour(#[from] FlavourError),
    /// The sandbox could not be set up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The artefact could not be written.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A path cannot be in a folder.
    #[error("could not lay out the inputs")]
    Tree(#[from] TreeError),
    /// Two parts of the root file system stand in each other's way.
    #[error("could not lay {name} into the root file system")]
    Layer {
        /// What was being laid down.
        name: String,
        /// What is in its way.
        #[source]
        source: RootfsError,
    },
    /// A part of the root file system that should be left out is not there.
    #[error("`rootfs.remove` names {path}, but no package has that")]
    NothingToRemove {
        /// The path.
        path: String,
    },
    /// A name stands for nothing.
    #[error("`{reference}` is neither a source nor an earlier step: there are {}", names.join(", "))]
    NoSuchMaterial {
        /// What was asked for.
        reference: String,
        /// What there is.
        names: Vec<String>,
    },
    /// A source or step has no such part.
    #[error("`{name}` has no file or folder `{path}`")]
    NoSuchPart {
        /// The source or step.
        name: String,
        /// What was asked for.
        path: String,
        /// Whether it is a step.
        of_step: bool,
        /// What there is in the folder where it would be, as references.
        there: Vec<String>,
    },
    /// Extensions cannot be laid out.
    #[error("could not lay out the extensions of `{source_name}`")]
    Extensions {
        /// The source.
        source_name: String,
        /// Why.
        #[source]
        source: TczError,
    },
    /// A container image could not be unpacked.
    #[error("could not unpack the image of `{source_name}`")]
    Image {
        /// The source.
        source_name: String,
        /// What is wrong.
        #[source]
        source: ImageError,
    },
    /// An archive could not be unpacked.
    #[error("could not unpack `{name}`")]
    Archive {
        /// The source or step, or the part of it.
        name: String,
        /// What is wrong, with the member's name.
        #[source]
        source: Box<UnpackError>,
    },
    /// Something that is no root file system is used as one.
    #[error(
        "`{name}` is used as a root, but is {found}: expected packages, a folder or an archive ({})",
        Format::ALL
    )]
    NotARoot {
        /// The source or step, or the part of it.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// Something in a file is named that is no archive.
    #[error(
        "there is no `{reference}`: `{name}` is {found}: expected a folder or an archive ({})",
        Format::ALL
    )]
    NotAnArchive {
        /// What the recipe names.
        reference: String,
        /// The part of that which is a file.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// What is booted, goes with it or lists packages is no file.
    #[error("`{reference}` is no file, and {wanted}")]
    NotAFile {
        /// The source or step.
        reference: String,
        /// Why it should be one.
        wanted: &'static str,
    },
    /// What should list packages does not.
    #[error("could not read the list of packages `{reference}`")]
    List {
        /// What the recipe names.
        reference: String,
        /// What is wrong.
        #[source]
        source: ListFlaw,
    },
    /// What is booted is larger than anything that can be looked at.
    #[error(
        "`{from}` has {size} bytes, and a unikernel has at most {}",
        crate::unikernel::MAX_KERNEL
    )]
    KernelTooLarge {
        /// What `kernel.from` names.
        from: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A folder of the recipe's own has a link that the zip cannot hold.
    #[error("the link {path} cannot be carried among the recipe's files: {why}")]
    LinkInFiles {
        /// Its path beside the recipe.
        path: String,
        /// Why not.
        why: String,
    },
    /// What is named is a link, or leads through one, that cannot be followed.
    #[error("`{reference}` cannot be used: `{link}` is a link to `{target}`, which {why}")]
    Link {
        /// What the recipe names.
        reference: String,
        /// The link.
        link: String,
        /// What is written in it.
        target: String,
        /// What is wrong.
        why: &'static str,
    },
    /// There is no such step.
    #[error("the recipe has no step `{name}`: it has {}", listed(steps))]
    NoSuchStep {
        /// What was asked for.
        name: String,
        /// What there is.
        steps: Vec<String>,
    },
    /// A step ran and failed.
    #[error("step `{step}` failed: {failure}")]
    StepFailed {
        /// Where the recipe is.
        recipe: PathBuf,
        /// The step.
        step: String,
        /// How.
        failure: Failure,
        /// The last lines that it printed.
        tail: Vec<String>,
        /// Where all that it printed is.
        log: Option<PathBuf>,
    },
    /// A step that uses the network made something else than the lock pins.
    #[error(
        "step `{step}`, which uses the network, made something else than is locked: expected {expected}, got {actual}{}",
        told(differences.as_deref())
    )]
    OtherOutputs {
        /// Where the recipe is.
        recipe: PathBuf,
        /// The step.
        step: String,
        /// The folder with its outputs, as the lock has it.
        expected: Digest,
        /// The folder that it made.
        actual: Digest,
        /// What is not the same in the two, where the first is known.
        differences: Option<Vec<String>>,
    },
    /// A result does not say what it made.
    #[error("the result of action {action} in the cache cannot be read")]
    BadResult {
        /// The action.
        action: Digest,
    },
    /// The lock is wrong, or where its inputs are cannot be found out.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Threads could not be started.
    #[error("could not start threads: {0}")]
    Threads(String),
    /// A message could not be written as JSON.
    #[error("could not write JSON")]
    Json(#[source] serde_json::Error),
}

/// What a file is called that looks like no archive at all.
pub(super) const A_FILE: &str = "a file, and no archive that is read";

/// A command that a build runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'e> {
    /// That of a step, by its name.
    Step(&'e str),
    /// A script, and the package that it belongs to: `the .trigger script of kmod 29-r2`.
    Script(&'e str),
}

/// Differences as lines of a message.
fn told(differences: Option<&[String]>) -> String {
    let lines = differences.unwrap_or_default().iter();
    lines.map(|line| format!("\n  {line}")).collect()
}

/// What there is instead of `path` in `name`, a step or a source.
fn instead(name: &str, path: &str, there: &[String], of_step: bool) -> String {
    const SHOWN: usize = 8;
    let last = |path: &str| {
        path.rsplit_once('/')
            .map_or(path, |(_, name)| name)
            .to_owned()
    };
    let names: Vec<String> = there.iter().map(|one| last(one)).collect();
    let near = nearest(&last(path), names.iter().map(String::as_str));
    if let Some(near) = near.and_then(|near| there.iter().find(|one| last(one) == near)) {
        return format!("did you mean `{near}`?");
    }
    let about = match of_step {
        true => format!("a step keeps only what its `outputs` list; see what `{name}` makes there"),
        false => format!(
            "paths are relative to the top of the source; another version of `{name}` may have it elsewhere"
        ),
    };
    if there.is_empty() {
        return about;
    }
    let shown = there.iter().take(SHOWN).map(|one| format!("`{one}`"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = match there.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("there are {shown}{more}; {about}")
}

fn listed(steps: &[String]) -> String {
    match steps.is_empty() {
        true => "no steps".to_owned(),
        false => steps.join(", "),
    }
}

impl BuildError {
    /// The command of a step or of a package that failed, where that is what it is about.
    #[must_use]
    pub fn command(&self) -> Option<Command<'_>> {
        match self {
            Self::StepFailed { step, .. } => Some(Command::Step(step)),
            Self::Alpine(AlpineError::Script { what, .. }) => Some(Command::Script(what)),
            _ => None,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cache(error) => error.hint(),
            Self::Fetch(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Git { source, .. } => source.hint(),
            Self::Deb(error) => error.hint(),
            Self::Packages(error) => error.hint(),
            Self::Alpine(error) => error.hint(),
            Self::Kernel(error) => error.hint(),
            Self::Modules(error) => error.hint(),
            Self::Initramfs(error) => error.hint(),
            Self::Flavour(error) => error.hint(),
            Self::Sandbox(error) => error.hint(),
            Self::Seal(error) => error.hint(),
            Self::NoSuchStep { steps, .. } => Some(match steps.first() {
                Some(step) => format!("name one behind the recipe: `luni shell RECIPE {step}`"),
                None => "only what steps make can be looked at by `luni shell`".to_owned(),
            }),
            Self::NothingToRemove { .. } => Some(
                "paths are absolute and name what a package of `rootfs.from` has: `/usr/share/doc`"
                    .to_owned(),
            ),
            Self::NoSuchPart {
                name,
                path,
                of_step,
                there,
            } => Some(instead(name, path, there, *of_step)),
            Self::NotAFile { reference, .. } => {
                Some(format!("name the file in it: `{reference}/PATH`"))
            }
            Self::NotAnArchive { found, .. } if *found != A_FILE => Some(
                "unpack it beside the recipe and name the folder as a `file` source, or pack it as \
                 one of these"
                    .to_owned(),
            ),
            Self::NotAnArchive { name, .. } => Some(format!("the file itself is `{name}`")),
            Self::NotARoot { .. } => Some(
                "an archive that lies in another one is `NAME/PATH`: `iso/boot/rootfs.gz`"
                    .to_owned(),
            ),
            Self::Image { source, .. } => source.hint(),
            Self::List { .. } => Some(
                "`rootfs.manifest` is what Yocto calls IMAGE.manifest, `rootfs.licences` what it calls license.manifest"
                    .to_owned(),
            ),
            Self::Archive { source, .. } => source.hint(),
            Self::Extensions { source, .. } => source.hint(),
            Self::StepFailed { recipe, step, .. } => Some(format!(
                "look around where it failed with `luni shell {} {step}`",
                quoted(recipe)
            )),
            Self::OtherOutputs { recipe, step, .. } => Some(format!(
                "if what comes now is right, pin that with `luni lock --update {step} {}`",
                quoted(recipe)
            )),
            Self::LinkInFiles { .. } => {
                Some("take it out of the folder, or make it with `symlink:` in `rootfs.files`".to_owned())
            }
            Self::Link { .. } => Some(
                "links are followed within their source; a link itself is made with `symlink:` in \
                 `rootfs.files`"
                    .to_owned(),
            ),
            Self::BadResult { .. } => {
                Some("find and remove what is damaged with `luni cache verify --repair`".to_owned())
            }
            Self::Layer { .. } => Some(
                "what was laid down before has something else there: leave one of the two out, or \
                 name only a part of it, `NAME/PATH`"
                    .to_owned(),
            ),
            Self::Tree(_)
            | Self::NoSuchMaterial { .. }
            | Self::KernelTooLarge { .. }
            | Self::Threads(_)
            | Self::Paths(_)
            | Self::Json(_) => None,
        }
    }
}
