//! Getting a commit's objects into a repository of our own.

use git2::{AutotagOption, FetchOptions, ObjectType, Oid, RemoteCallbacks, Repository};
use lunikernel_cache::{CacheError, Scratch};
use url::Url;

use super::transport::was_unreachable;
use super::{GitError, shown};
use crate::fetch::{Fetcher, Meter};

/// Where a repository is.
#[derive(Debug, Clone)]
pub(super) struct Address {
    text: String,
    local: bool,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, GitError> {
        let local = if text.starts_with('/') {
            true
        } else {
            let refused = |why: String| GitError::Address {
                url: shown(text),
                why,
            };
            let url = Url::parse(text).map_err(|error| refused(error.to_string()))?;
            match url.scheme() {
                "file" => true,
                "http" | "https" => false,
                other => return Err(refused(format!("`{other}:` cannot be fetched from"))),
            }
        };
        Ok(Self {
            text: text.trim_end_matches('/').to_owned(),
            local,
        })
    }

    /// The address of a submodule, which may be relative to this one. What comes from
    /// elsewhere may not lead to a repository on this machine.
    pub(super) fn submodule(&self, url: &str) -> Result<Self, GitError> {
        let mut base = self.text.as_str();
        let mut rest = url;
        let relative = rest.starts_with("./") || rest.starts_with("../");
        let refused = |why: &str| GitError::Address {
            url: shown(url),
            why: why.to_owned(),
        };
        if relative {
            loop {
                if let Some(inner) = rest.strip_prefix("./") {
                    rest = inner;
                } else if let Some(inner) = rest.strip_prefix("../") {
                    rest = inner;
                    base = base
                        .rsplit_once('/')
                        .map(|(above, _)| above)
                        .filter(|above| !above.ends_with('/') && !above.ends_with(':'))
                        .ok_or_else(|| refused("it leads above its server's top"))?;
                } else {
                    break;
                }
            }
        }
        let address = match relative {
            true => Self::parse(&format!("{base}/{rest}"))?,
            false => Self::parse(url)?,
        };
        if address.local && !self.local {
            return Err(refused(
                "a submodule of a repository on the network cannot be on this machine",
            ));
        }
        Ok(address)
    }

    pub(super) fn is_local(&self) -> bool {
        self.local
    }

    /// The address without a password.
    pub(super) fn shown(&self) -> String {
        shown(&self.text)
    }

    fn error(&self, attempted: &'static str) -> impl Fn(git2::Error) -> GitError {
        let url = self.shown();
        move |source| GitError::Git {
            attempted,
            url: url.clone(),
            source,
        }
    }

    fn no_such_rev(&self, rev: &str, why: &str) -> GitError {
        GitError::Rev {
            url: self.shown(),
            rev: rev.to_owned(),
            why: why.to_owned(),
        }
    }
}

/// A commit's objects, in a repository that goes away with it.
pub(super) struct Fetched {
    pub(super) repository: Repository,
    pub(super) commit: Oid,
    _folder: Scratch,
}

/// The largest annotated tag that is looked at, in bytes.
const MAX_TAG: usize = 1 << 20;
/// How many tags may lead to one another.
const MAX_TAGS: usize = 8;

/// The names under which the two things that `rev` may stand for are kept.
const BRANCH: &str = "refs/luni/branch";
const TAG: &str = "refs/luni/tag";

/// Gets `commit`, which `rev` once stood for, or else what `rev` stands for now.
pub(super) fn get(
    fetcher: &Fetcher,
    address: &Address,
    rev: &str,
    commit: Option<Oid>,
) -> Result<Fetched, GitError> {
    let pinned = commit.is_some();
    let commit = commit.or_else(|| commit_name(rev));
    if commit_name(rev).is_none() {
        let specs = names(rev);
        for spec in &specs {
            let source = spec.trim_start_matches('+').split(':').next();
            if !source.is_some_and(git2::Reference::is_valid_name) {
                return Err(address.no_such_rev(rev, "is no name of a branch or tag"));
            }
        }
        let fetched = download(fetcher, address, &specs, true)?;
        match (commit, resolve(&fetched.0, address, rev)) {
            (None, now) => {
                let commit =
                    now?.ok_or_else(|| address.no_such_rev(rev, "is neither a branch nor a tag"))?;
                return Ok(fetched.at(commit));
            }
            // Whatever else came of the name since: what is pinned may be among it.
            (Some(commit), _) if has_commit(&fetched.0, commit) => return Ok(fetched.at(commit)),
            (Some(_), _) => {}
        }
    }
    let Some(commit) = commit else {
        return Err(address.no_such_rev(rev, "is no commit"));
    };
    // Many servers give any commit that one asks for; the others give all they have.
    match download(fetcher, address, &[format!("+{commit}:{BRANCH}")], true) {
        Ok(fetched) if has_commit(&fetched.0, commit) => return Ok(fetched.at(commit)),
        Err(error) if was_unreachable() => return Err(error),
        _ => {}
    }
    let everything = [
        "+refs/heads/*:refs/luni/heads/*",
        "+refs/tags/*:refs/luni/tags/*",
    ];
    let fetched = download(fetcher, address, &everything.map(str::to_owned), false)?;
    if !has_commit(&fetched.0, commit) {
        if pinned {
            return Err(GitError::Dropped {
                url: address.shown(),
                commit: commit.to_string(),
                rev: rev.to_owned(),
            });
        }
        let why = "is no commit that any of its branches or tags leads to";
        return Err(address.no_such_rev(&commit.to_string(), why));
    }
    Ok(fetched.at(commit))
}

/// A commit's name in full.
fn commit_name(rev: &str) -> Option<Oid> {
    let full = rev.len() == 40 && rev.bytes().all(|byte| byte.is_ascii_hexdigit());
    full.then(|| Oid::from_str(rev).ok()).flatten()
}

/// What to ask for to get what `rev` stands for.
fn names(rev: &str) -> Vec<String> {
    if rev == "HEAD" || rev.starts_with("refs/") {
        return vec![format!("+{rev}:{BRANCH}")];
    }
    vec![
        format!("+refs/heads/{rev}:{BRANCH}"),
        format!("+refs/tags/{rev}:{TAG}"),
    ]
}

struct Downloaded(Repository, Scratch);

impl Downloaded {
    fn at(self, commit: Oid) -> Fetched {
        Fetched {
            repository: self.0,
            commit,
            _folder: self.1,
        }
    }
}

/// Whether there is a commit of that name.
fn has_commit(repository: &Repository, id: Oid) -> bool {
    header(repository, id).is_ok_and(|(_, kind)| kind == ObjectType::Commit)
}

/// The size in bytes and the kind of an object, which is not loaded for that.
pub(super) fn header(repository: &Repository, id: Oid) -> Result<(usize, ObjectType), git2::Error> {
    repository.odb()?.read_header(id)
}

/// The commit that `id` is, or that the tags that it is lead to; `None` where that is
/// something else or too large to be looked at.
fn commit_of(repository: &Repository, mut id: Oid) -> Option<Oid> {
    for _ in 0..MAX_TAGS {
        match header(repository, id).ok()? {
            (0..=MAX_TAG, ObjectType::Tag) => id = repository.find_tag(id).ok()?.target_id(),
            (_, ObjectType::Commit) => return Some(id),
            _ => return None,
        }
    }
    None
}

/// The commit that was asked for by name; annotated tags lead to theirs.
fn resolve(repository: &Repository, address: &Address, rev: &str) -> Result<Option<Oid>, GitError> {
    let mut found = Vec::new();
    for name in [BRANCH, TAG] {
        let Ok(reference) = repository.find_reference(name) else {
            continue;
        };
        let target = reference.resolve().ok().and_then(|named| named.target());
        let commit = target.and_then(|id| commit_of(repository, id));
        let no_commit = || address.no_such_rev(rev, "leads to something that is no commit");
        found.push(commit.ok_or_else(no_commit)?);
    }
    match found.as_slice() {
        [branch, tag] if branch != tag => Err(address.no_such_rev(
            rev,
            &format!(
                "is both a branch and a tag: write `refs/heads/{rev}` ({branch}) or `refs/tags/{rev}` ({tag})"
            ),
        )),
        found => Ok(found.first().copied()),
    }
}

/// Fetches what the refspecs name into a new repository; only the commits themselves
/// and not their history where `shallow` and the server can.
fn download(
    fetcher: &Fetcher,
    address: &Address,
    specs: &[String],
    shallow: bool,
) -> Result<Downloaded, GitError> {
    let shallow = shallow && !address.local;
    match download_once(fetcher, address, specs, shallow) {
        // Not every server can leave history out.
        Err(GitError::Git { source, .. }) if shallow && source.message().contains("shallow") => {
            download_once(fetcher, address, specs, false)
        }
        other => other,
    }
}

fn download_once(
    fetcher: &Fetcher,
    address: &Address,
    specs: &[String],
    shallow: bool,
) -> Result<Downloaded, GitError> {
    let folder = fetcher.cache().scratch()?;
    let repository = Repository::init_bare(folder.path())
        .map_err(address.error("set up a repository in the cache for"))?;
    let failed = address.error("fetch from");
    let mut meter = Meter::start(fetcher.progress(), &address.shown(), None);
    let limit = fetcher.options().limit;
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|progress| {
        let bytes = progress.received_bytes() as u64;
        meter.reached(bytes);
        bytes <= limit
    });
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks)
        .download_tags(AutotagOption::None)
        .update_fetchhead(false)
        .depth(i32::from(shallow));
    repository
        .remote_anonymous(&address.text)
        .and_then(|mut remote| remote.fetch(specs, Some(&mut options), None))
        .map_err(|error| match error.class() {
            // Libgit2 says that of a full disk, with errno's text.
            git2::ErrorClass::Os if is_full(folder.path()) => {
                CacheError::io("store what came from a git repository")(std::io::Error::from(
                    std::io::ErrorKind::StorageFull,
                ))
                .into()
            }
            _ => failed(error),
        })?;
    drop(options);
    meter.finish();
    Ok(Downloaded(repository, folder))
}

fn is_full(folder: &std::path::Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submodules_are_relative_to_their_parent() {
        let of = |parent: &str, url: &str| {
            let parent = Address::parse(parent).unwrap();
            parent.submodule(url).map(|address| address.text)
        };
        let parent = "https://host/group/project.git/";
        assert_eq!(of(parent, "../x.git").unwrap(), "https://host/group/x.git");
        assert_eq!(of(parent, "../../x").unwrap(), "https://host/x");
        assert_eq!(
            of(parent, "./x").unwrap(),
            "https://host/group/project.git/x"
        );
        assert_eq!(of(parent, "http://other/x").unwrap(), "http://other/x");
        assert_eq!(of("/a/b", "../c").unwrap(), "/a/c");
        for bad in [
            "../../../x",
            "../../../../x",
            "file:///etc",
            "/etc",
            "ssh://h/x",
            "x",
        ] {
            assert!(of(parent, bad).is_err(), "{bad}");
        }
    }
}
