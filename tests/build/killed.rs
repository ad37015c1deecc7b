//! `luni build` killed while it unpacks, runs a step, packs and seals.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use fs_err as fs;

use super::support::hello::{built_digest, golden, luni, mirror, recipe};
use super::support::transcript;

/// What a build goes through. The line that each of these words begins is printed when
/// that phase ends; the last ends with the program.
const ENDS: [&str; 3] = ["unpacking ", "running ", "packing "];
const UNPACKING: usize = 0;
const RUNNING: usize = 1;
const PACKING: usize = 2;

/// The phases in which one cache sees its build killed, in this order. What was unpacked
/// is remembered, so the second kill gets only the rest of that phase; a step and the
/// sealing are begun anew after each kill. One cache for five kills pays for unpacking
/// once, and what one kill leaves behind lies in the way of all that follow.
const KILLS: [usize; 5] = [UNPACKING, UNPACKING, RUNNING, PACKING, PACKING];
const CACHES: usize = 4;

#[test]
fn killed_at_any_moment_it_builds_right_the_next_time() {
    let Some(mirror) = mirror("build::killed_at_any_moment_it_builds_right_the_next_time") else {
        return;
    };
    let mirror = PathBuf::from(mirror.trim_start_matches("file://"));
    let mut timed = Site::cold(&mirror).time();
    println!("a cold build takes {timed:?} from phase to phase");

    let (mut killed, mut met) = (0, [0; ENDS.len() + 1]);
    for cache in 0..CACHES {
        let site = Site::cold(&mirror);
        for (position, phase) in KILLS.into_iter().enumerate() {
            let peers = KILLS.iter().filter(|other| **other == phase).count();
            let before = KILLS.iter().take(position);
            let among = before.filter(|other| **other == phase).count();
            // Each phase is cut into as many parts as it sees kills, with one in each;
            // of unpacking, what came before a kill is not there to be met again.
            let (part, parts) = match phase {
                UNPACKING => (cache, CACHES * peers),
                _ => (cache * peers + among, CACHES * peers),
            };
            let share = (part as f64 + somewhere(cache * KILLS.len() + position)) / parts as f64;
            let end = site.kill(phase, timed[phase].mul_f64(0.98 * share));
            println!("cache {cache}: phase {phase} at {share:.2}: {end:?}");
            match end {
                Ok(phase) => {
                    killed += 1;
                    met[phase] += 1;
                }
                // A less busy machine than before.
                Err(took) => {
                    timed[phase] = took.map_or(timed[phase], |took| took.min(timed[phase]))
                }
            }
            site.verify();
        }
        site.builds_right();
    }
    assert!(killed >= 15, "only {killed} of 20 builds were killed");
    let [unpacking, running, packing, sealing] = met;
    assert!(unpacking >= 4 && running >= 2, "{met:?}");
    assert!(packing + sealing >= 3, "{met:?}");
}

/// A number from 0 to 1 for each `index`, by a fixed generator (Knuth's MMIX
/// constants), so that a failure can be had again.
fn somewhere(index: usize) -> f64 {
    let state = (0..=index).fold(20_u64, |state, _| {
        state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407)
    });
    (state >> 33) as f64 / f64::from(1_u32 << 31)
}

/// A cache and where its build puts what it makes.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    /// With the inputs of the recipe, and nothing made of them.
    fn cold(mirror: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for input in fs::read_dir(mirror.join("sha256")).unwrap() {
            let input = input.unwrap();
            let hex = input.file_name().into_string().unwrap();
            let shelf = folder.path().join("cache/cas-v1").join(&hex[..2]);
            fs::create_dir_all(&shelf).unwrap();
            let blob = shelf.join(&hex);
            if fs::hard_link(input.path(), &blob).is_err() {
                fs::copy(input.path(), &blob).unwrap();
            }
        }
        Self { folder }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn build(&self) -> Command {
        let mut command = luni(&self.cache());
        command
            .args(["--offline", "build"])
            .arg(recipe())
            .current_dir(self.folder.path());
        command
    }

    /// How long each phase of a build takes.
    fn time(&self) -> Vec<Duration> {
        let (mut child, lines) = spawn(&mut self.build());
        let mut begun = Instant::now();
        let mut phases = Vec::new();
        for line in &lines {
            if ENDS
                .get(phases.len())
                .is_some_and(|end| line.starts_with(end))
            {
                phases.push(begun.elapsed());
                begun = Instant::now();
            }
        }
        assert!(child.wait().unwrap().success());
        phases.push(begun.elapsed());
        assert_eq!(phases.len(), ENDS.len() + 1);
        // Packing and sealing are one: kills are spread over both.
        let sealing = phases.pop().unwrap();
        phases[PACKING] += sealing;
        self.builds_right();
        phases
    }

    /// Kills a build `moment` after `phase` began; in which phase it was. If it had
    /// ended, how long the phase and all after it took, where it came to that phase.
    fn kill(&self, phase: usize, moment: Duration) -> Result<usize, Option<Duration>> {
        let (mut child, lines) = spawn(&mut self.build());
        let mut reached = 0;
        let mut due = (phase == 0).then(|| Instant::now() + moment);
        loop {
            let left = due.map_or(Duration::from_secs(300), |due| {
                due.saturating_duration_since(Instant::now())
            });
            match lines.recv_timeout(left) {
                Ok(line) => {
                    if ENDS.get(reached).is_some_and(|end| line.starts_with(end)) {
                        reached += 1;
                        if reached == phase {
                            due = Some(Instant::now() + moment);
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let ended = Instant::now();
        let _ = child.kill();
        let status = child.wait().unwrap();
        for line in lines {
            reached += usize::from(ENDS.get(reached).is_some_and(|end| line.starts_with(end)));
        }
        assert!(status.success() || status.signal() == Some(9), "{status}");
        if status.signal() == Some(9) {
            return Ok(reached);
        }
        Err(due.map(|due| (ended + moment).saturating_duration_since(due)))
    }

    /// Nothing in the cache is damaged, and what was written is whole.
    fn verify(&self) {
        let verify = luni(&self.cache()).args(["cache", "verify"]).output();
        let verify = verify.unwrap();
        assert!(verify.status.success(), "{}", transcript(&verify));
        if let Ok(zip) = fs::read(self.folder.path().join("hello.luni.zip")) {
            assert_eq!(lunikernel_cache::Sha256::of(&zip).hex(), golden());
        }
    }

    fn builds_right(&self) {
        assert_eq!(built_digest(&self.build().output().unwrap()), golden());
        self.verify();
        let left: Vec<_> = fs::read_dir(self.cache().join("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Starts it; its lines of progress come as it prints them.
fn spawn(command: &mut Command) -> (Child, Receiver<String>) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    (child, receive)
}
