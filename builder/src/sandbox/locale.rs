//! Locales for roots that have none.
//!
//! No maintainer script runs in a root made from packages, so one of Debian has the
//! sources of all locales at most, and none that is compiled. This compiles one, as the
//! script would: with the root's own program, in a sandbox, as an action of its own.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, Cache, CacheError, Digest, Tree, reapi};

use super::job::{BUILD, Job};
use super::{Sandbox, SandboxError, Surroundings};
use crate::plan::{Invocation, Platform, fixed_environment};

/// What is used where another cannot be had. Every C library has it.
pub(super) const FALLBACK: &str = "C";
/// Those that need no files.
const BUILT_IN: &[&str] = &["C", "POSIX", "C.UTF-8", "C.utf8"];
/// Where the GNU C library looks for locales.
const LOCALES: &str = "usr/lib/locale";
/// What compiles locales, of Debian's package `libc-bin`.
const COMPILER: &str = "usr/bin/localedef";
/// What it compiles, of Debian's package `locales`.
const SOURCES: &str = "usr/share/i18n";
/// Largest list of characters, unpacked; that of UTF-8 has 2 MB.
const MAX_CHARACTERS: u64 = 64 << 20;
/// How long compiling may take; it takes a second or two.
const TIMEOUT_SECONDS: u64 = 300;

/// Path and content of what the root of `job` lacks for commands to have the locale
/// `name`; `None` where it lacks nothing, or the job sets a locale of its own. The
/// inner error says why it cannot be had.
pub(super) fn provide(
    sandbox: &dyn Sandbox,
    cache: &Cache,
    job: &Job,
    name: &str,
) -> Result<Result<Option<(String, Tree)>, String>, SandboxError> {
    let own = job.env.get("LC_ALL");
    if BUILT_IN.contains(&name)
        || own.is_some_and(|own| fixed_environment().get("LC_ALL") != Some(own))
    {
        return Ok(Ok(None));
    }
    let blobs = cache.blobs();
    let root = root_of(job, blobs)?;
    let Some(wanted) = Wanted::of(name) else {
        return Ok(Err(format!("`{name}` is no name of a locale")));
    };
    if [wanted.folder(), format!("{LOCALES}/{name}")]
        .iter()
        .any(|path| root.get(path).is_some())
    {
        return Ok(Ok(None));
    }
    // A folder laid over a link would hide all that is behind the link.
    let nothing = Entry::Folder(Tree::new());
    if let Err(error) = root.clone().insert(&wanted.folder(), nothing) {
        return Ok(Err(format!(
            "the step's root has no place for a locale: {error}; LC_ALL={FALLBACK} was used"
        )));
    }
    let Some(action) = wanted.action(root, blobs)? else {
        return Ok(Err(format!(
            "the step's root has no locale with another collation: the packages `locales` and \
             `libc-bin` in it would bring one; LC_ALL={FALLBACK} was used"
        )));
    };
    match outcome(sandbox, cache, action)? {
        Some(tree) => Ok(Ok(Some((wanted.folder(), tree)))),
        None => Ok(Err(format!(
            "the localedef of the step's root failed at `{name}`; LC_ALL={FALLBACK} was used"
        ))),
    }
}

/// The job's root without the folder in which commands run.
fn root_of(job: &Job, blobs: &BlobStore) -> Result<Tree, CacheError> {
    let mut top = job.input_root.clone();
    top.directories.retain(|folder| folder.name != BUILD);
    let digest = blobs.put(&prost::Message::encode_to_vec(&top))?;
    Tree::load(blobs, &digest)
}

/// What the locale is made by, kept for the next step with the same root.
fn outcome(
    sandbox: &dyn Sandbox,
    cache: &Cache,
    invocation: Invocation,
) -> Result<Option<Tree>, SandboxError> {
    let action = invocation.encode();
    let result = match cache.actions().get(&action.digest, cache.blobs())? {
        Some(known) => known,
        None => {
            action.store(cache.blobs())?;
            let outcome = sandbox.run(&action.digest, &Surroundings::default())?;
            if outcome.failure.is_some() {
                return Ok(None);
            }
            cache.actions().put(&action.digest, &outcome.result)?;
            outcome.result
        }
    };
    let made = |folder: &reapi::OutputDirectory| {
        let digest = folder.root_directory_digest.as_ref();
        digest.and_then(Digest::from_reapi)
    };
    let digest = result.output_directories.iter().find_map(made);
    Ok(match digest {
        Some(digest) => Some(Tree::load(cache.blobs(), &digest)?),
        None => None,
    })
}

/// A locale by the parts of its name.
struct Wanted<'a> {
    /// Language and country: `et_EE`.
    source: &'a str,
    /// How characters are encoded: `UTF-8`.
    characters: &'a str,
}

impl<'a> Wanted<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let (source, characters) = name.split_once('.')?;
        let plain = |part: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.chars().all(fits)
        };
        (plain(source) && plain(characters)).then_some(Self { source, characters })
    }

    /// Where the C library looks for it first: it knows encodings by their letters and
    /// digits only, in lower case.
    fn folder(&self) -> String {
        let characters = self.characters.chars();
        let characters: String = characters.filter(char::is_ascii_alphanumeric).collect();
        let name = format!("{}.{}", self.source, characters.to_ascii_lowercase());
        format!("{LOCALES}/{name}")
    }

    /// What compiles it in `root`; `None` where the root has not what that takes.
    fn action(&self, mut root: Tree, blobs: &BlobStore) -> Result<Option<Invocation>, CacheError> {
        let source = format!("{SOURCES}/locales/{}", self.source);
        let characters = format!("{SOURCES}/charmaps/{}.gz", self.characters);
        let (Some(_), Some(_), Some(Entry::File { digest, .. })) =
            (root.get(COMPILER), root.get(&source), root.get(&characters))
        else {
            return Ok(None);
        };
        // The compiler would start `gzip`, which the root may not have.
        let mut plain = Vec::new();
        let mut unpacked = GzDecoder::new(blobs.open(digest)?).take(MAX_CHARACTERS);
        if unpacked.read_to_end(&mut plain).is_err() {
            return Ok(None);
        }
        let list = Entry::File {
            digest: blobs.put(&plain)?,
            executable: false,
        };
        if root.insert(&format!("{BUILD}/characters"), list).is_err() {
            return Ok(None);
        }
        let words = [
            &format!("/{COMPILER}"),
            "--no-archive",
            "-i",
            self.source,
            "-f",
            "./characters",
            "./made",
        ];
        Ok(Some(Invocation {
            arguments: words.map(str::to_owned).to_vec(),
            environment: BTreeMap::new(),
            working_directory: BUILD.to_owned(),
            outputs: ["made".to_owned()].into(),
            platform: Platform::default(),
            timeout_seconds: TIMEOUT_SECONDS,
            input_root: root,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_the_c_library_does() {
        let folder = |name| Wanted::of(name).map(|wanted| wanted.folder());
        assert_eq!(
            folder("et_EE.UTF-8").as_deref(),
            Some("usr/lib/locale/et_EE.utf8")
        );
        assert_eq!(
            folder("de_DE.ISO-8859-1").as_deref(),
            Some("usr/lib/locale/de_DE.iso88591")
        );
        for bad in ["et_EE", "", ".", "-i.UTF-8", "../x.UTF-8", "et_EE.a/b"] {
            assert_eq!(folder(bad), None, "{bad}");
        }
    }
}
