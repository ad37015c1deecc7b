//! Where packages come from: what the machine's own package manager is configured with.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use url::Url;

use super::apt_conf::AptConf;
use super::apt_sources::{self, Line};
use super::error::DebError;
use super::keyring::Keyring;

/// The largest configuration file that is read.
const MAX_FILE: u64 = 16 << 20;

/// What the machine's package manager is configured with.
#[derive(Debug, Clone, Default)]
pub struct AptConfig {
    /// The folder that everything was read below.
    root: PathBuf,
    /// Archives, in the order of the configuration.
    pub entries: Vec<AptEntry>,
    /// Whether a release file may not be used after its `Valid-Until`.
    pub check_valid_until: bool,
    /// The proxy that apt reaches http through, where one is configured.
    pub http_proxy: Option<String>,
    /// Templates for addresses of archives of snapshots: what they are for (`label::…`,
    /// `origin::…`, in lower case), and the template.
    pub snapshots: Vec<(String, String)>,
}

/// A suite of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptEntry {
    /// The archive's root, with a slash at the end.
    pub uri: Url,
    /// The suite's name.
    pub suite: String,
    /// Its components.
    pub components: Vec<String>,
    /// The architectures it is for; empty for all.
    pub architectures: Vec<String>,
    /// Whose signatures count.
    pub signed_by: SignedBy,
    /// Whether `Valid-Until` counts, where the entry itself says so.
    pub check_valid_until: Option<bool>,
}

/// Whose signatures count for an archive. All empty: the machine's default keyrings.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedBy {
    /// Keyring files.
    pub files: Vec<PathBuf>,
    /// Fingerprints of keys in the default keyrings.
    pub fingerprints: Vec<String>,
    /// Armored keys that stand in the configuration itself.
    pub blocks: Vec<String>,
}

impl AptEntry {
    /// What an archive is called: the last part of its address's path.
    #[must_use]
    pub fn archive(&self) -> &str {
        archive_name(&self.uri)
    }

    /// Whether it has packages of `arch` (as Debian calls it) in any of `components`.
    #[must_use]
    pub fn offers(&self, arch: &str, components: &[String]) -> bool {
        let arch = self.architectures.is_empty()
            || self.architectures.iter().any(|offered| offered == arch);
        arch && components
            .iter()
            .any(|wanted| self.components.contains(wanted))
    }
}

/// What an archive at `uri` is called: the last part of the path, `debian` for example,
/// or where there is none the host.
pub(super) fn archive_name(uri: &Url) -> &str {
    uri.path()
        .rsplit('/')
        .find(|part| !part.is_empty())
        .or_else(|| uri.host_str())
        .unwrap_or("archive")
}

impl AptConfig {
    /// Reads the configuration below `root`, which is `/` on a machine in use.
    ///
    /// # Errors
    /// [`DebError`] where a file cannot be read or understood.
    pub fn read(root: &Path) -> Result<Self, DebError> {
        let conf = AptConf::read(root).map_err(DebError::ReadFile)?;
        let mut config = Self {
            root: root.to_owned(),
            entries: Vec::new(),
            check_valid_until: conf.get_bool("acquire::check-valid-until").unwrap_or(true),
            http_proxy: conf
                .get("acquire::http::proxy")
                .filter(|proxy| !proxy.is_empty() && *proxy != "DIRECT")
                .map(str::to_owned),
            snapshots: conf
                .below("acquire::snapshots::uri::")
                .map(|(what, template)| (what.to_owned(), template.to_owned()))
                .collect(),
        };
        let folder = root.join("etc/apt/sources.list.d");
        let parts = files_in(&folder, &["list", "sources"]).map_err(DebError::ReadFile)?;
        for path in [root.join("etc/apt/sources.list")].iter().chain(&parts) {
            let Some(text) = read_optional(path).map_err(DebError::ReadFile)? else {
                continue;
            };
            let lines = if path
                .extension()
                .is_some_and(|extension| extension == "sources")
            {
                apt_sources::parse_deb822(&text)
            } else {
                apt_sources::parse_list(&text)
            };
            let lines = lines.map_err(|error| DebError::AptSources {
                path: path.clone(),
                line: error.line,
                what: error.what,
            })?;
            for line in lines {
                config.add(line)?;
            }
        }
        Ok(config)
    }

    fn add(&mut self, line: Line) -> Result<(), DebError> {
        for uri in &line.uris {
            for uri in self.addresses(uri)? {
                self.entries
                    .extend(line.suites.iter().map(|suite| AptEntry {
                        uri: uri.clone(),
                        suite: suite.clone(),
                        components: line.components.clone(),
                        architectures: line.architectures.clone(),
                        signed_by: line.signed_by.clone(),
                        check_valid_until: line.check_valid_until,
                    }));
            }
        }
        Ok(())
    }

    /// The addresses that one URI of the configuration stands for. Those of a kind that
    /// cannot be fetched from (`cdrom:`, for example) stand for none.
    fn addresses(&self, uri: &str) -> Result<Vec<Url>, DebError> {
        let list = uri
            .strip_prefix("mirror+file:")
            .map(|path| self.below_root(Path::new(path)));
        let text = match &list {
            Some(path) => read_optional(path)
                .map_err(DebError::ReadFile)?
                .unwrap_or_default(),
            None => uri.to_owned(),
        };
        let addresses = text
            .lines()
            .filter_map(|line| line.split_ascii_whitespace().next())
            .filter(|address| !address.starts_with('#'))
            .filter_map(|address| {
                let address = match address.strip_prefix("copy:") {
                    Some(path) => format!("file:{path}"),
                    None => address.to_owned(),
                };
                let mut url = Url::parse(&address).ok()?;
                if !url.path().ends_with('/') {
                    url.set_path(&format!("{}/", url.path()));
                }
                matches!(url.scheme(), "http" | "https" | "file").then_some(url)
            });
        Ok(addresses.collect())
    }

    fn below_root(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The keys whose signatures count.
    ///
    /// # Errors
    /// [`DebError`] where a keyring that is named is not there or holds no key.
    pub fn keyring(&self, signed_by: &SignedBy) -> Result<Keyring, DebError> {
        let mut keyring = Keyring::default();
        if *signed_by == SignedBy::default() || !signed_by.fingerprints.is_empty() {
            self.add_default_keys(&mut keyring)?;
            if !signed_by.fingerprints.is_empty() {
                keyring = keyring.only(&signed_by.fingerprints);
            }
        }
        for path in &signed_by.files {
            let path = self.below_root(path);
            let bytes = read_bytes(&path)
                .map_err(DebError::ReadFile)?
                .ok_or_else(|| DebError::NoKeyring { path: path.clone() })?;
            if keyring.add(&bytes) == 0 {
                return Err(DebError::NoKeyring { path });
            }
        }
        for block in &signed_by.blocks {
            keyring.add(block.as_bytes());
        }
        Ok(keyring)
    }

    fn add_default_keys(&self, keyring: &mut Keyring) -> Result<(), DebError> {
        let shared = files_in(
            &self.root.join("usr/share/keyrings"),
            &["gpg", "asc", "pgp"],
        )
        .map_err(DebError::ReadFile)?
        .into_iter()
        .filter(|path| {
            // Distributions call them so; those of removed keys are called otherwise.
            path.file_stem()
                .and_then(|stem| stem.to_str())
                .is_some_and(|stem| stem.ends_with("archive-keyring"))
        });
        let trusted = files_in(&self.root.join("etc/apt/trusted.gpg.d"), &["gpg", "asc"])
            .map_err(DebError::ReadFile)?;
        let single = [self.root.join("etc/apt/trusted.gpg")];
        for path in single.into_iter().chain(trusted).chain(shared) {
            if let Some(bytes) = read_bytes(&path).map_err(DebError::ReadFile)? {
                keyring.add(&bytes);
            }
        }
        Ok(())
    }
}

/// The files of a configuration folder, in apt's order: those whose names apt accepts
/// and whose extension is one of `extensions` ("" for none). No folder: no files.
pub(super) fn files_in(folder: &Path, extensions: &[&str]) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let accepted = !name.starts_with('.')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let extension = path
            .extension()
            .and_then(|end| end.to_str())
            .unwrap_or_default();
        if accepted && extensions.contains(&extension) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A text file's content, or `None` where there is no such file.
pub(super) fn read_optional(path: &Path) -> io::Result<Option<String>> {
    Ok(read_bytes(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn read_bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!(
            "{} is larger than {MAX_FILE} bytes",
            path.display()
        )));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
#[path = "apt_config_tests.rs"]
mod tests;
