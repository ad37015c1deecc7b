//! What the grammar cannot say: names that must be known, paths that must fit,
//! things that must not be there twice.

mod boot;
mod rootfs;
mod sources;
mod steps;
mod text;
mod unikernel;

pub use text::is_recipe_name;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FilePath;

use super::Recipe;
use super::complaint::{MOST, Problem, Severity};
use super::near::nearest;
use super::path::Path;
use super::typed::Finding;

/// Everything that is wrong with a recipe, or probably not meant. Files beside it are
/// looked for in `folder`, if there is one.
pub(super) fn check(recipe: &Recipe, folder: Option<&FilePath>) -> Vec<Finding> {
    let mut findings = Findings {
        names: names(recipe),
        outputs: recipe
            .steps
            .iter()
            .map(|step| step.outputs.clone())
            .collect(),
        used: BTreeSet::new(),
        list: Vec::new(),
    };
    let root = Path::new();
    if !is_recipe_name(&recipe.name) {
        findings.error(
            root.key("name"),
            format!("`{}` is no name for a recipe", recipe.name),
            "1 to 64 lower-case letters, digits and `-`, beginning with a letter",
        );
    }
    if !text::is_version(&recipe.version) {
        findings.error(
            root.key("version"),
            format!("`{}` is no version", recipe.version),
            "1 to 64 letters, digits and `.+~_-`, beginning with a letter or digit",
        );
    }
    if recipe
        .summary
        .as_ref()
        .is_some_and(|text| text.contains('\n'))
    {
        findings.error(
            root.key("summary"),
            "the summary has several lines",
            "one line",
        );
    }
    sources::check(recipe, folder, &mut findings);
    steps::check(recipe, &mut findings);
    rootfs::check(recipe, &mut findings);
    boot::check(recipe, &mut findings);
    sources::unused(recipe, &mut findings);
    findings.list
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Source,
    /// The step with that index.
    Step(usize),
}

/// Whether one of two paths is the other, or lies in it.
fn overlap(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    long.strip_prefix(short)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Sources and steps share their names; where one is taken twice the step has it.
fn names(recipe: &Recipe) -> BTreeMap<String, Named> {
    let sources = recipe
        .sources
        .keys()
        .map(|name| (name.clone(), Named::Source));
    let steps = recipe.steps.iter().enumerate().rev();
    let steps = steps.map(|(index, step)| (step.name.clone(), Named::Step(index)));
    sources.chain(steps).collect()
}

/// Collects what is found, and which names are used.
struct Findings {
    names: BTreeMap<String, Named>,
    /// The outputs of each step, by its index.
    outputs: Vec<Vec<String>>,
    used: BTreeSet<String>,
    list: Vec<Finding>,
}

impl Findings {
    fn error(&mut self, path: Path, message: impl Into<String>, expected: impl Into<String>) {
        self.push(path, Problem::error(0..0, message).expected(expected));
    }

    fn error_with_hint(
        &mut self,
        path: Path,
        message: impl Into<String>,
        expected: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(
            path,
            Problem::error(0..0, message).expected(expected).hint(hint),
        );
    }

    fn warning(&mut self, path: Path, message: impl Into<String>, hint: impl Into<String>) {
        let mut problem = Problem::error(0..0, message).hint(hint);
        problem.severity = Severity::Warning;
        self.push(path, problem);
    }

    /// Whether so much is wrong that nobody will read more.
    fn full(&self) -> bool {
        self.list.len() >= MOST
    }

    fn push(&mut self, path: Path, problem: Problem) {
        if self.full() {
            return;
        }
        self.list.push(Finding::new(path, problem));
    }

    /// A reference to a source or step, or a part of it: `NAME` or `NAME/PATH`. In a
    /// step only earlier ones are known, those with an index below `before`.
    fn part(&mut self, reference: &str, before: usize, path: Path) {
        let (name, mut part) = match reference.split_once('/') {
            Some((name, part)) => (name, Some(part)),
            None => (reference, None),
        };
        if let Some(wrong) = part
            && let Err(why) = text::relative_path(wrong)
        {
            self.error(
                path.clone(),
                format!("`{reference}` leads nowhere: {why}"),
                "`NAME`, or `NAME/PATH` with a path such as `usr/bin/hello`",
            );
            part = None;
        }
        match self.names.get(name) {
            Some(Named::Source) => {
                self.used.insert(name.to_owned());
            }
            Some(Named::Step(index)) if *index < before => {
                let outputs = self.outputs.get(*index).cloned().unwrap_or_default();
                if let Some(part) = part
                    && !outputs.iter().any(|output| overlap(output, part))
                {
                    let outputs: Vec<String> = outputs
                        .iter()
                        .map(|output| format!("{name}/{output}"))
                        .collect();
                    self.unknown("output", reference, &outputs, path);
                }
            }
            Some(Named::Step(index)) if *index == before => self.error(
                path,
                format!("step `{name}` takes its own output"),
                "a source or an earlier step",
            ),
            Some(Named::Step(_)) => self.error_with_hint(
                path,
                format!("step `{name}` comes later"),
                "a source or an earlier step",
                "steps run in the order in which they stand; move it up",
            ),
            None if self.full() => {}
            None => {
                let known: Vec<String> = self.names.keys().cloned().collect();
                self.unknown("source or step", name, &known, path);
            }
        }
    }

    fn unknown(&mut self, kind: &str, name: &str, known: &[String], path: Path) {
        if self.full() {
            return;
        }
        let expected = match known {
            [] => "one that the recipe has; it has none".to_owned(),
            known if known.len() > 20 => "one that the recipe has".to_owned(),
            known => format!("one of `{}`", known.join("`, `")),
        };
        let mut problem =
            Problem::error(0..0, format!("there is no {kind} `{name}`")).expected(expected);
        problem.hint = nearest(name, known.iter().map(String::as_str))
            .map(|near| format!("did you mean `{near}`?"));
        self.push(path, problem);
    }

    /// Texts that must differ from each other.
    fn no_duplicates<'a>(&mut self, items: impl IntoIterator<Item = &'a String>, path: &Path) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.into_iter().enumerate() {
            if !seen.insert(item) {
                self.error(
                    path.index(index),
                    format!("`{item}` is here a second time"),
                    "each once",
                );
            }
        }
    }
}
