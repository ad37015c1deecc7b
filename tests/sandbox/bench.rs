//! Where the tests are run: a cache of their own, a root with the probe in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use fs_err as fs;
use lunikernel_builder::plan::property;
use lunikernel_builder::sandbox::{Docker, Native, Outcome, Sandbox, Surroundings};
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Cache, Digest, Tree, reapi};
use prost::Message as _;

/// Names the compiled probe where the suite is run again as another user.
pub(crate) const PROBE: &str = "LUNI_TEST_PROBE";
/// Names the `luni` to use there.
pub(crate) const LUNI: &str = "LUNI_TEST_LUNI";

/// The program that becomes a sandbox.
pub(crate) fn luni() -> PathBuf {
    std::env::var_os(LUNI).map_or_else(|| env!("CARGO_BIN_EXE_luni").into(), PathBuf::from)
}

/// The probe's bytes, compiled once.
pub(crate) fn probe() -> &'static [u8] {
    static PROBE_BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    PROBE_BYTES.get_or_init(|| {
        if let Some(path) = std::env::var_os(PROBE) {
            return fs::read(Path::new(&path)).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox");
        let program = folder.path().join("probe");
        let output = Command::new("cc")
            .args(["-static-pie", "-fPIE", "-O1", "-w", "-o"])
            .arg(&program)
            .args(["probe.c", "around.c", "network.c", "owners.c"].map(|file| suite.join(file)))
            .output()
            .expect("the suite needs a C compiler: `apt-get install gcc libc6-dev`");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::read(program).unwrap()
    })
}

/// A cache, and a sandbox over it.
pub(crate) struct Bench {
    /// `native`, or which engine it is: `Docker`, `Podman`.
    pub(crate) kind: String,
    pub(crate) cache: Cache,
    pub(crate) native: Native,
    sandbox: Box<dyn Sandbox>,
    _folder: Option<tempfile::TempDir>,
}

/// What a test asks for.
pub(crate) struct Ask {
    argv: Vec<String>,
    outputs: Vec<String>,
    env: Vec<(String, String)>,
    inputs: Tree,
    root: Tree,
    workdir: String,
    properties: Vec<(&'static str, String)>,
    timeout: Duration,
    pub(crate) surroundings: Surroundings,
}

/// Asks for the probe with `script`: words divided by blanks.
pub(crate) fn ask(script: &str) -> Ask {
    let words = script.split_whitespace().map(str::to_owned);
    ask_for(["/probe".to_owned()].into_iter().chain(words).collect())
}

pub(crate) fn ask_for(argv: Vec<String>) -> Ask {
    Ask {
        argv,
        outputs: vec![],
        env: vec![],
        inputs: Tree::new(),
        root: Tree::new(),
        workdir: "build".to_owned(),
        properties: vec![],
        timeout: Duration::from_secs(60),
        surroundings: Surroundings::default(),
    }
}

impl Ask {
    pub(crate) fn output(mut self, path: &str) -> Self {
        self.outputs.push(path.to_owned());
        self
    }
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
    pub(crate) fn input(mut self, path: &str, entry: Entry) -> Self {
        self.inputs.insert(path, entry).unwrap();
        self
    }
    /// Puts more into the root.
    pub(crate) fn root(mut self, path: &str, entry: Entry) -> Self {
        self.root.insert(path, entry).unwrap();
        self
    }
    pub(crate) fn workdir(mut self, path: &str) -> Self {
        self.workdir = path.to_owned();
        self
    }
    pub(crate) fn memory_mib(self, limit: u64) -> Self {
        self.property(property::MEMORY_MIB, &limit.to_string())
    }
    pub(crate) fn processes(self, limit: u64) -> Self {
        self.property(property::PROCESSES, &limit.to_string())
    }
    pub(crate) fn property(mut self, name: &'static str, value: &str) -> Self {
        self.properties.push((name, value.to_owned()));
        self
    }
    /// Lets it use the network; `output` says what must come of it.
    pub(crate) fn network(self, output: &str) -> Self {
        self.property(property::NETWORK, "on")
            .property(property::FIXED_OUTPUT, output)
    }
    pub(crate) fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }
    pub(crate) fn surroundings(mut self, change: impl FnOnce(&mut Surroundings)) -> Self {
        change(&mut self.surroundings);
        self
    }
}

/// How it went, with the log.
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) log: String,
}

impl Ran {
    /// The log, of a command that did well.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.outcome.failure, None, "log:\n{}", self.log);
        assert_eq!(self.outcome.result.exit_code, 0);
        assert_eq!(self.outcome.kept, None);
        self.log
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        Self {
            _folder: Some(folder),
            ..Self::at(cache)
        }
    }

    /// In the engine that the environment variable `name` gives the address of; `None`
    /// where it is not set, with the test left out.
    pub(crate) fn in_engine(name: &str) -> Option<Self> {
        let Ok(address) = std::env::var(name) else {
            let test = lunikernel_testing::this_test();
            lunikernel_testing::left_out(&test, &format!("{name} names no engine"));
            return None;
        };
        let docker = Docker::connect_to(&address).unwrap();
        let bench = Self::new();
        let sandbox = docker.sandbox(bench.cache.clone(), luni());
        Some(Self {
            kind: docker.engine().name.clone(),
            sandbox: Box::new(sandbox),
            ..bench
        })
    }

    /// Over a cache that outlives it.
    pub(crate) fn at(cache: Cache) -> Self {
        Self {
            kind: "native".to_owned(),
            native: Native::new(cache.clone(), luni()),
            sandbox: Box::new(Native::new(cache.clone(), luni())),
            cache,
            _folder: None,
        }
    }

    pub(crate) fn sandbox(&self) -> &dyn Sandbox {
        &*self.sandbox
    }

    pub(crate) fn file(&self, content: &str) -> Entry {
        Entry::File {
            digest: self.cache.blobs().put(content.as_bytes()).unwrap(),
            executable: false,
        }
    }

    /// Stores the action and returns its digest.
    pub(crate) fn store(&self, ask: &Ask) -> Digest {
        let blobs = self.cache.blobs();
        let mut root = ask.root.clone();
        let probe = Entry::File {
            digest: blobs.put(probe()).unwrap(),
            executable: true,
        };
        root.insert("probe", probe).unwrap();
        root.insert("etc/motd", self.file("hello\n")).unwrap();
        let link = Entry::Symlink {
            target: "motd".to_owned(),
        };
        root.insert("etc/link", link).unwrap();
        root.insert("tmp/left-over", self.file("x")).unwrap();
        root.insert("build", Entry::Folder(ask.inputs.clone()))
            .unwrap();
        let command = reapi::Command {
            arguments: ask.argv.clone(),
            environment_variables: ask
                .env
                .iter()
                .map(|(name, value)| reapi::command::EnvironmentVariable {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            output_paths: ask.outputs.clone(),
            working_directory: ask.workdir.clone(),
            ..Default::default()
        };
        let command = blobs.put(&command.encode_to_vec()).unwrap();
        let properties = ask
            .properties
            .iter()
            .map(|(name, value)| reapi::platform::Property {
                name: (*name).to_owned(),
                value: value.clone(),
            })
            .collect();
        let action = reapi::Action {
            command_digest: Some(command.to_reapi()),
            input_root_digest: Some(root.store(blobs).unwrap().to_reapi()),
            timeout: Some(bazel_remote_apis::google::protobuf::Duration {
                seconds: seconds(ask.timeout),
                nanos: ask.timeout.subsec_nanos().cast_signed(),
            }),
            platform: Some(reapi::Platform { properties }),
            ..Default::default()
        };
        blobs.put(&action.encode_to_vec()).unwrap()
    }

    pub(crate) fn run(&self, ask: &Ask) -> Ran {
        self.run_stored(&self.store(ask), &ask.surroundings)
    }

    pub(crate) fn run_stored(&self, action: &Digest, surroundings: &Surroundings) -> Ran {
        let outcome = match self.sandbox().run(action, surroundings) {
            Ok(outcome) => outcome,
            Err(error) => panic!("{error:?}\nhint: {:?}", error.hint()),
        };
        let log = outcome.result.stdout_digest.as_ref().unwrap();
        let log = Digest::from_reapi(log).unwrap();
        let log = self.cache.blobs().read(&log).unwrap();
        Ran {
            outcome,
            log: String::from_utf8_lossy(&log).into_owned(),
        }
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap()
}

/// How many processes of this machine run the probe with `mark` among their words.
pub(crate) fn left_running(mark: &str) -> usize {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| {
            let mut words = line.split(|byte| *byte == 0);
            words.next() == Some(b"/probe") && words.any(|word| word == mark.as_bytes())
        })
        .count()
}
