//! Running the scripts of packages in a sandbox.
//!
//! Scripts write wherever they like below `/`, and the sandbox lets a command write to
//! `/build` only. So the root lies in `/build`, and each of its folders is a link at `/`:
//! `/etc` leads to `/build/etc`. What the sandbox mounts stays as it is: `/dev`, `/proc`,
//! `/root` and `/tmp`, which have links in `/build` for paths such as `../proc/mounts`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use lunikernel_cache::checkout::MOUNT_POINTS;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, Rootfs, Tree};

use super::database::Before;
use super::triggers::Folders;
use super::{AlpineError, difference, metadata, owners, shadow};
use crate::assemble::apk::{Checksum, Layers, Package};
use crate::build::{BuildError, Builder, StepReport};
use crate::lock::LockedRecipe;
use crate::plan::{Invocation, Network, StepInputs, step_action};
use crate::recipe::Step;

/// Where in `/build` scripts lie while they run, and programs that stand in for others.
pub(super) const EXEC: &str = ".luni";
/// What our own part of a run leaves in `/build`.
pub(super) const REPORT: &str = ".luni-report";
/// The file in [`EXEC`] with the commands that set owners and modes, as [`metadata::laid_out`]
/// makes it. Scripts have names with a point.
const METADATA: &str = "metadata";
/// What a line of the log begins with that says which script failed.
const FAILED: &str = "luni: failed: ";
/// Where apk looks for programs.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A script, and what it is run with.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// `bash 4.4.12-r2`.
    package: String,
    /// `the .post-install script of bash 4.4.12-r2`.
    what: String,
    /// Its file's name while it runs.
    file: String,
    content: Vec<u8>,
    arguments: Vec<String>,
    /// Commands of ours that come before it.
    before: String,
}

/// The scripts that installing runs, in order: those of each package, then the triggers of
/// the base whose folders have something new, then those of the packages.
pub(super) fn plan(
    layers: &Layers<'_>,
    before: &Before,
    blobs: &BlobStore,
) -> Result<Vec<Run>, BuildError> {
    let mut runs = Vec::new();
    // Between both scripts apk lays the files out, for users that the first one made.
    let mut claims = String::new();
    for package in &layers.packages {
        for script in [".pre-install", ".post-install"] {
            if script == ".post-install" {
                claims.push_str(&metadata::claims(layers, package));
            }
            if let Some(digest) = package.scripts.get(script) {
                let content = blobs.read(digest)?;
                let arguments = vec![package.info.version.clone()];
                let before = std::mem::take(&mut claims);
                let run = run(package, script, content, arguments);
                runs.push(Run { before, ..run });
            }
        }
    }
    let installed = runs.len();
    let folders = Folders::of(layers);
    for (checksum, globs) in &before.triggers {
        let arguments = folders.of_installed(globs);
        if arguments.is_empty() {
            continue;
        }
        let (label, content) =
            trigger_of(before, checksum).ok_or_else(|| AlpineError::NoTrigger {
                checksum: checksum.clone(),
                folders: arguments.clone(),
            })?;
        runs.push(Run {
            package: label.to_owned(),
            what: format!("the .trigger script of {label}, which is in the base,"),
            file: format!("{label}.trigger"),
            content: content.to_vec(),
            arguments,
            before: String::new(),
        });
    }
    for package in &layers.packages {
        let arguments = folders.of_new(&package.info.triggers);
        if let Some(digest) = package.scripts.get(".trigger")
            && !arguments.is_empty()
        {
            runs.push(run(package, ".trigger", blobs.read(digest)?, arguments));
        }
    }
    // Of packages without scripts that come after the last one with some.
    if let Some(trigger) = runs.get_mut(installed) {
        trigger.before = claims;
    }
    Ok(runs)
}

/// The trigger of the package that the base has installed by that checksum, and what the
/// package is called. apk 2 names the scripts that it keeps `NAME-VERSION.Q1….trigger`, and
/// apk 3 `NAME-VERSION.X1….trigger`.
fn trigger_of<'a>(before: &'a Before, checksum: &str) -> Option<(&'a str, &'a [u8])> {
    let wanted = Checksum::parse(checksum)?;
    before.scripts.iter().find_map(|script| {
        let (label, checksum, kind) = script.parts()?;
        (kind == "trigger" && checksum == wanted).then_some((label, script.content.as_slice()))
    })
}

fn run(package: &Package, script: &str, content: Vec<u8>, arguments: Vec<String>) -> Run {
    let info = &package.info;
    Run {
        package: info.label(),
        what: format!("the {script} script of {}", info.label()),
        file: format!("{}-{}{script}", info.name, info.version),
        content,
        arguments,
        before: String::new(),
    }
}

/// The packages whose scripts run, each once.
fn packages(runs: &[Run]) -> Vec<String> {
    let names: BTreeSet<&str> = runs.iter().map(|run| run.package.as_str()).collect();
    names.into_iter().map(str::to_owned).collect()
}

impl Builder {
    /// Runs scripts in `root`, and applies to it what they changed.
    pub(super) fn run_scripts(
        &self,
        locked: &LockedRecipe,
        source: &str,
        runs: &[Run],
        layers: &Layers<'_>,
        root: &mut Rootfs,
    ) -> Result<StepReport, BuildError> {
        if root.locate("bin/sh").and_then(|at| root.get(&at)).is_none() {
            let packages = packages(runs);
            return Err(AlpineError::NoShell { packages }.into());
        }
        let tree = root.to_tree()?;
        let mut programs = Tree::new();
        for (name, content) in owners::STAND_INS {
            let digest = self.cache.blobs().put(content.as_bytes())?;
            programs.insert(&format!("bin/{name}"), program(digest))?;
        }
        for run in runs {
            let digest = self.cache.blobs().put(&run.content)?;
            programs.insert(&run.file, program(digest))?;
        }
        let digest = self
            .cache
            .blobs()
            .put(metadata::laid_out(root).as_bytes())?;
        programs.insert(METADATA, program(digest))?;
        let (step, mut inputs) = layout(source, runs, &tree)?;
        inputs
            .build
            .insert(EXEC.to_owned(), Entry::Folder(programs));
        let action = step_action(&step, locked.recipe().arch, inputs, Network::Off)?;
        let action = Invocation {
            platform: action.platform.keeping_owners(),
            ..action
        }
        .encode();
        let (result, ran) = match self.known(&step, &action)? {
            Some(result) => (result, None),
            None => {
                let _turn = self.turn(&action.digest, &step.name)?;
                match self.known(&step, &action)? {
                    Some(result) => (result, None),
                    None => {
                        let outcome = self.run_step(locked.path(), &step, &action);
                        let outcome = outcome.map_err(named)?;
                        self.record_result(&action, &outcome.result)?;
                        (outcome.result, Some((outcome.place, outcome.unable)))
                    }
                }
            }
        };
        let mut after = self.outputs(&result, &action.digest)?;
        shadow::settle(&tree, &mut after, self.cache.blobs())?;
        let give = |root: &mut Rootfs, there: &owners::Owners| {
            layers.give(root, &|names| there.numbers(names))
        };
        let applied = difference::apply(root, &tree, &after, &give, self.cache.blobs())?;
        applied.map_err(|why| AlpineError::Left {
            source_name: source.to_owned(),
            why,
        })?;
        let outputs = after.digest();
        Ok(StepReport::of(&step, action.digest, outputs, ran))
    }
}

fn program(digest: lunikernel_cache::Digest) -> Entry {
    Entry::File {
        digest,
        executable: true,
    }
}

/// Whether what has that name at `/` stays as it is, out of the scripts' sight.
pub(super) fn is_hidden(name: &str) -> bool {
    ["build", EXEC, REPORT].contains(&name) || MOUNT_POINTS.contains(&name)
}

/// The step that runs them, and what it sees.
fn layout(source: &str, runs: &[Run], tree: &Tree) -> Result<(Step, StepInputs), BuildError> {
    let mut inputs = StepInputs::default();
    let mut outputs = vec![REPORT.to_owned()];
    for (name, entry) in tree.entries() {
        if is_hidden(name) {
            continue;
        }
        let target = format!("build/{name}");
        inputs.root.insert(name, Entry::Symlink { target })?;
        inputs.build.insert(name.to_owned(), entry.clone());
        outputs.push(name.to_owned());
    }
    for name in MOUNT_POINTS {
        let target = format!("/{name}");
        inputs.root.insert(name, Entry::Folder(Tree::new()))?;
        inputs
            .build
            .insert(name.to_owned(), Entry::Symlink { target });
    }
    let step = Step {
        name: format!("scripts of {source}"),
        root: Vec::new(),
        inputs: BTreeMap::new(),
        run: driver(runs, &outputs),
        env: BTreeMap::from([("PATH".to_owned(), format!("/build/{EXEC}/bin:{PATH}"))]),
        outputs,
        network: false,
        timeout_seconds: 3600,
        memory_mib: 4096,
        processes: 1024,
    };
    Ok((step, inputs))
}

/// The commands that run one script after the other, each in `/` as apk does. Before them
/// they give each file its owner and its mode, and write down which inode it is; after them,
/// what has which mode and owner.
fn driver(runs: &[Run], outputs: &[String]) -> String {
    let folders: Vec<String> = outputs
        .iter()
        .filter(|output| *output != REPORT)
        .map(|output| quote(&format!("/build/{output}")))
        .collect();
    let (folders, report) = (folders.join(" "), format!("/build/{REPORT}"));
    // Where busybox is, its links may be what scripts are about to make.
    let mut text = format!(
        ": > {report}\nbox=\nif [ -x /bin/busybox ]; then box=/bin/busybox; fi\n\
         . /build/{EXEC}/{METADATA}\n\
         $box find {folders} -exec $box stat -c 'was %i %n' '{{}}' + >> {report}\n\
         cd /\n"
    );
    for run in runs {
        let mut line = quote(&format!("/build/{EXEC}/{}", run.file));
        for argument in &run.arguments {
            line.push(' ');
            line.push_str(&quote(argument));
        }
        let failed = quote(&format!("{FAILED}{}", run.what));
        let script = quote(&format!("script {}", run.what));
        text.push_str(&run.before);
        let _ = writeln!(text, "echo {script} >> {report}");
        let _ = writeln!(text, "{line} || {{ code=$?; echo {failed}; exit $code; }}");
    }
    // From here on nothing that is written down is a script's. What its owner may not read
    // could not be taken along either.
    let _ = writeln!(
        text,
        "echo 'script ' >> {report}\n\
         look=\"$box stat -c\"; line='is %a %u:%g %i %n'\n\
         $look \"$line\" / >> {report}\n\
         $box find {folders} -type d ! -perm -700 -exec $look \"$line\" '{{}}' ';' \
         -exec $box chmod u+rwx '{{}}' ';' -o -exec $look \"$line\" '{{}}' + >> {report}\n\
         $box find {folders} -type f ! -perm -600 -exec $box chmod u+rw '{{}}' +"
    );
    text
}

/// One word for a shell, whatever is in it: POSIX XCU §2.2.2.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The same error, naming the script that failed.
fn named(error: BuildError) -> BuildError {
    match error {
        BuildError::StepFailed {
            step,
            failure,
            mut tail,
            ..
        } => {
            let what = tail
                .last()
                .and_then(|line| line.strip_prefix(FAILED))
                .map(str::to_owned);
            if what.is_some() {
                tail.pop();
            }
            AlpineError::Script {
                what: what.unwrap_or(step),
                failure: failure.to_string(),
                tail,
            }
            .into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kept::Script;
    use super::*;

    #[test]
    fn what_is_called_as_our_own_files_is_not_taken_along() {
        let file = || program(lunikernel_cache::Digest::of(b""));
        let mut tree = Tree::new();
        for path in [".luni/f", ".luni-report", "build/x", "srv/x"] {
            tree.insert(path, file()).unwrap();
        }
        let (step, inputs) = layout("apks", &[], &tree).unwrap();
        assert_eq!(step.outputs, [REPORT, "srv"]);
        assert!(inputs.build.contains_key("srv"));
        for ours in [EXEC, REPORT, "build"] {
            assert!(!inputs.build.contains_key(ours) && inputs.root.get(ours).is_none());
        }
    }

    #[test]
    fn triggers_of_the_base_are_found_whichever_apk_wrote_them() {
        let checksum = Checksum::of(b"").to_string();
        let hex = "X1da39a3ee5e6b4b0d3255bfef95601890afd80709";
        for name in [checksum.as_str(), hex] {
            let other = Checksum::of(b"other");
            let before = Before {
                scripts: [&other.to_string(), name]
                    .map(|of| Script {
                        name: format!("a.b-1.2-r0.{of}.trigger"),
                        built: 0,
                        content: of.as_bytes().to_vec(),
                    })
                    .into(),
                ..Before::default()
            };
            for wanted in [checksum.as_str(), hex] {
                let found = trigger_of(&before, wanted);
                assert_eq!(found, Some(("a.b-1.2-r0", name.as_bytes())));
            }
            assert_eq!(trigger_of(&before, "Q1"), None);
            assert_eq!(
                trigger_of(&before, &Checksum::of(b"gone").to_string()),
                None
            );
        }
    }

    #[test]
    fn packages_with_several_scripts_are_named_once() {
        let run = |package: &str, script: &str| Run {
            package: package.to_owned(),
            what: format!("the {script} script of {package}"),
            file: format!("{package}{script}"),
            content: Vec::new(),
            arguments: Vec::new(),
            before: String::new(),
        };
        let runs = [
            run("b 1", ".pre-install"),
            run("a 2", ".trigger"),
            run("b 1", ".trigger"),
        ];
        assert_eq!(packages(&runs), ["a 2", "b 1"]);
    }
}
