//! Finding an engine, and what is known of it.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker as Client};
use fs_err as fs;
use lunikernel_cache::Sha256;
use serde::{Deserialize, Serialize};

use super::EngineTrouble;
use crate::sandbox::SandboxError;

/// The oldest API that has all that is used: volumes in `Mounts` without copying, and
/// masked paths (Docker 18.09).
const OLDEST: (u64, u64) = (1, 40);
const OLDEST_TEXT: &str = "1.40";
/// How long an engine may take to say which it is.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// How long a request may take until its answer begins: as long as sending a root to
/// an engine far away takes.
const ANSWER: Duration = Duration::from_secs(3600);

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(String),
    /// With the folder of `ca.pem`, `cert.pem` and `key.pem`.
    Tls(String, PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) | Self::Tls(host, _) => write!(f, "tcp://{host}"),
        }
    }
}

impl Address {
    pub(super) fn is_remote(&self) -> bool {
        !matches!(self, Self::Unix(_))
    }

    /// An address as `DOCKER_HOST` has it.
    fn parse(text: &str, certificates: Option<PathBuf>) -> Result<Self, EngineTrouble> {
        let wrong = || {
            EngineTrouble::Address(format!(
                "`{text}` is no address of an engine that can be reached from here"
            ))
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let host = rest.trim_end_matches('/').to_owned();
        match (scheme, certificates) {
            ("unix", _) if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            ("tcp" | "https", Some(folder)) if !host.is_empty() => Ok(Self::Tls(host, folder)),
            ("tcp" | "http", None) if !host.is_empty() => Ok(Self::Tcp(host)),
            _ => Err(wrong()),
        }
    }

    /// Where the environment says, else the current context of Docker's own client,
    /// else where engines usually listen.
    pub(super) fn find(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SandboxError> {
        let set = |name| env(name).filter(|value| !value.is_empty());
        let config = set("DOCKER_CONFIG").map(PathBuf::from).or_else(|| {
            let home = set("HOME")?;
            Some(Path::new(&home).join(".docker"))
        });
        if let Some(host) = set("DOCKER_HOST") {
            let verified = set("DOCKER_TLS_VERIFY").is_some();
            let folder = set("DOCKER_CERT_PATH").map(PathBuf::from).or(config);
            let secure = (verified && !host.starts_with("unix:")) || host.starts_with("https:");
            if secure && folder.is_none() {
                let trouble = EngineTrouble::Address(format!(
                    "`{host}` is to be reached by TLS, but none of DOCKER_CERT_PATH, \
                     DOCKER_CONFIG and HOME says where the certificates are"
                ));
                return Err(named(trouble, &host));
            }
            let certificates = folder.filter(|_| secure);
            return Self::parse(&host, certificates).map_err(|trouble| named(trouble, &host));
        }
        if let Some(config) = config
            && let Some(name) = set("DOCKER_CONTEXT").or_else(|| current_context(&config))
            && name != "default"
        {
            return of_context(&config, &name).map_err(|trouble| named(trouble, &name));
        }
        let usual = usual(env);
        let mut refused = None;
        for path in &usual {
            match UnixStream::connect(path) {
                Ok(_) => return Ok(Self::Unix(path.clone())),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    refused.get_or_insert((Self::Unix(path.clone()), error));
                }
                Err(_) => {}
            }
        }
        Err(match refused {
            Some((address, error)) => EngineTrouble::NotPermitted(error).at(CONNECT, &address),
            None => {
                let tried = usual.iter().map(|path| path.display().to_string());
                let trouble = EngineTrouble::None {
                    tried: tried.collect(),
                };
                named(trouble, "there is none")
            }
        })
    }

    /// That of [`Address::find`], and, where the environment names none, of every other
    /// engine that answers where engines usually listen.
    pub(super) fn find_all(
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<Self>, SandboxError> {
        let first = Self::find(env)?;
        let mut all = usual(env);
        // Two paths may lead to one socket.
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let Self::Unix(chosen) = &first else {
            return Ok(vec![first]);
        };
        if env("DOCKER_HOST").is_some_and(|host| !host.is_empty()) || !all.contains(chosen) {
            return Ok(vec![first]);
        }
        let mut seen = BTreeSet::from([real(chosen)]);
        all.retain(|path| UnixStream::connect(path).is_ok() && seen.insert(real(path)));
        let others = all.into_iter().map(Self::Unix);
        Ok(std::iter::once(first.clone()).chain(others).collect())
    }

    /// A client. It keeps no connection, so that it can be used from any runtime.
    pub(super) fn client(&self) -> Result<Client, EngineTrouble> {
        let version = API_DEFAULT_VERSION;
        let seconds = ANSWER.as_secs();
        match self {
            Self::Unix(path) => {
                UnixStream::connect(path).map_err(|error| match error.kind() {
                    io::ErrorKind::PermissionDenied => EngineTrouble::NotPermitted(error),
                    _ => EngineTrouble::Absent(error),
                })?;
                let path = path.to_str().ok_or_else(|| {
                    EngineTrouble::Address("the path of the socket is not UTF-8".to_owned())
                })?;
                Ok(Client::connect_with_unix(path, seconds, version)?)
            }
            Self::Tcp(host) => Ok(Client::connect_with_http(host, seconds, version)?),
            Self::Tls(host, folder) => {
                let [key, cert, ca] =
                    ["key.pem", "cert.pem", "ca.pem"].map(|name| folder.join(name));
                Ok(Client::connect_with_ssl(
                    host, &key, &cert, &ca, seconds, version,
                )?)
            }
        }
    }
}

/// Where engines usually listen, best first.
fn usual(env: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let runtime = env("XDG_RUNTIME_DIR").filter(|value| !value.is_empty());
    let mut usual = vec![PathBuf::from("/var/run/docker.sock")];
    usual.extend(runtime.map(|dir| Path::new(&dir).join("podman/podman.sock")));
    usual.push("/run/podman/podman.sock".into());
    usual
}

const CONNECT: &str = "reach the engine";

fn named(trouble: EngineTrouble, name: &str) -> SandboxError {
    let hint = Address::Unix(PathBuf::new());
    match trouble.at(CONNECT, &hint) {
        SandboxError::Engine {
            attempted,
            hint,
            source,
            ..
        } => SandboxError::Engine {
            attempted,
            engine: name.to_owned(),
            hint,
            source,
        },
        other => other,
    }
}

fn current_context(config: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "currentContext")]
        current: Option<String>,
    }
    let text = fs::read(config.join("config.json")).ok()?;
    serde_json::from_slice::<Config>(&text).ok()?.current
}

/// The address that a context of Docker's client has.
fn of_context(config: &Path, name: &str) -> Result<Address, EngineTrouble> {
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "Endpoints")]
        endpoints: Endpoints,
    }
    #[derive(Deserialize)]
    struct Endpoints {
        docker: Endpoint,
    }
    #[derive(Deserialize)]
    struct Endpoint {
        #[serde(rename = "Host")]
        host: String,
    }
    let key = Sha256::of(name.as_bytes()).hex();
    let path = config.join("contexts/meta").join(&key).join("meta.json");
    let meta: Meta = fs::read(&path)
        .and_then(|text| Ok(serde_json::from_slice(&text)?))
        .map_err(|error| {
            EngineTrouble::Address(format!("the context `{name}` cannot be read: {error}"))
        })?;
    let tls = config.join("contexts/tls").join(key).join("docker");
    Address::parse(&meta.endpoints.docker.host, tls.is_dir().then_some(tls))
}

/// Which engine it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineInfo {
    /// `Docker` or `Podman`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of its API.
    pub api: String,
    /// Whether it runs without being root.
    pub rootless: bool,
    /// Where it is.
    pub address: String,
}

impl EngineInfo {
    /// Asks the engine.
    pub(super) async fn ask(client: &Client, address: &Address) -> Result<Self, SandboxError> {
        let failed = |trouble: EngineTrouble| trouble.at("ask the engine which it is", address);
        let client = client.clone().with_timeout(FIRST_ANSWER);
        let version = client.version().await.map_err(|e| failed(e.into()))?;
        let api = version.api_version.unwrap_or_default();
        if parse(&api).is_none_or(|found| found < OLDEST) {
            return Err(failed(EngineTrouble::TooOld {
                found: if api.is_empty() {
                    "none".to_owned()
                } else {
                    api
                },
                needed: OLDEST_TEXT,
            }));
        }
        let machine = |os: &str, arch: &str| format!("{os}/{arch}");
        let found = machine(
            version.os.as_deref().unwrap_or("?"),
            version.arch.as_deref().unwrap_or("?"),
        );
        let needed = machine(std::env::consts::OS, arch());
        if found != needed {
            return Err(failed(EngineTrouble::OtherMachine { found, needed }));
        }
        let components = version.components.unwrap_or_default();
        let podman = components.iter().any(|part| part.name.contains("Podman"));
        let info = client.info().await.map_err(|e| failed(e.into()))?;
        let security = info.security_options.unwrap_or_default();
        Ok(Self {
            name: if podman { "Podman" } else { "Docker" }.to_owned(),
            version: version.version.unwrap_or_default(),
            api,
            rootless: security.iter().any(|option| option.contains("rootless")),
            address: address.to_string(),
        })
    }

    pub(super) fn is_podman(&self) -> bool {
        self.name == "Podman"
    }
}

impl fmt::Display for EngineInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (API {})", self.name, self.version, self.api)
    }
}

/// This program's kind of processor, as engines call it.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn parse(api: &str) -> Option<(u64, u64)> {
    let (major, minor) = api.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(set: &[(&str, &str)]) -> Result<Address, SandboxError> {
        Address::find(&|name| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_goes_first() {
        for (host, address) in [
            ("unix:///run/x.sock", Address::Unix("/run/x.sock".into())),
            ("tcp://farm:2375", Address::Tcp("farm:2375".to_owned())),
            ("http://farm:2375/", Address::Tcp("farm:2375".to_owned())),
        ] {
            assert_eq!(find(&[("DOCKER_HOST", host)]).unwrap(), address);
        }
        let tls = find(&[
            ("DOCKER_HOST", "tcp://farm:2376"),
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_CERT_PATH", "/certs"),
        ]);
        let expected = Address::Tls("farm:2376".to_owned(), "/certs".into());
        assert_eq!(tls.unwrap(), expected);
        // Never in the clear what was to be verified.
        for (host, name) in [
            ("tcp://farm:2376", "DOCKER_TLS_VERIFY"),
            ("https://farm:2376", "DOCKER_HOST"),
        ] {
            let set = [(name, "1"), ("DOCKER_HOST", host)];
            let set = if name == "DOCKER_HOST" {
                &set[1..]
            } else {
                &set
            };
            let error = find(set).unwrap_err();
            assert!(
                format!("{error:?}").contains("DOCKER_CERT_PATH"),
                "{error:?}"
            );
        }
        for bad in ["farm", "ssh://farm", "unix://relative", "tcp://", "fd://"] {
            let error = find(&[("DOCKER_HOST", bad)]).unwrap_err();
            assert!(format!("{error:?}").contains(bad), "{error:?}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_context_is_read_as_docker_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path();
        let key = Sha256::of(b"farm").hex();
        let meta = config.join("contexts/meta").join(&key);
        fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"farm","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://farm:2376","SkipTLSVerify":false}}}"#;
        fs::write(meta.join("meta.json"), text).unwrap();
        fs::write(config.join("config.json"), r#"{"currentContext":"farm"}"#).unwrap();
        let place = config.to_str().unwrap();
        let plain = find(&[("DOCKER_CONFIG", place)]).unwrap();
        assert_eq!(plain, Address::Tcp("farm:2376".to_owned()));
        let tls = config.join("contexts/tls").join(&key).join("docker");
        fs::create_dir_all(&tls).unwrap();
        let secret = find(&[("DOCKER_CONFIG", place)]).unwrap();
        assert_eq!(secret, Address::Tls("farm:2376".to_owned(), tls));
        let other = find(&[("DOCKER_CONFIG", place), ("DOCKER_CONTEXT", "gone")]);
        assert!(other.unwrap_err().to_string().contains("gone"));
    }
}
