//! Steps: what runs in the sandbox.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, text};
use crate::recipe::path::Path;
use crate::recipe::{Recipe, Step};

pub(super) fn check(recipe: &Recipe, findings: &mut Findings) {
    let root = Path::new().key("steps");
    let mut seen = BTreeSet::new();
    for (index, step) in recipe.steps.iter().enumerate() {
        let path = root.index(index);
        check_name(step, &mut seen, recipe, &path.key("name"), findings);
        for (position, source) in step.root.iter().enumerate() {
            findings.part(source, index, path.key("root").index(position));
        }
        findings.no_duplicates(&step.root, &path.key("root"));
        check_inputs(step, index, &path.key("inputs"), findings);
        if step.run.trim().is_empty() {
            findings.error(
                path.key("run"),
                "the step runs nothing",
                "commands for `/bin/sh`",
            );
        }
        check_env(&step.env, &path.key("env"), findings);
        check_outputs(step, &path.key("outputs"), findings);
    }
}

fn check_name<'r>(
    step: &'r Step,
    seen: &mut BTreeSet<&'r str>,
    recipe: &Recipe,
    path: &Path,
    findings: &mut Findings,
) {
    let name = &step.name;
    if !text::is_item_name(name) {
        findings.error(
            path.clone(),
            format!("`{name}` is no name for a step"),
            "1 to 64 lower-case letters, digits and `._-`, beginning with a letter or digit",
        );
    }
    if !seen.insert(name) {
        findings.error(
            path.clone(),
            format!("there is a step `{name}` above"),
            "a name of its own for each step",
        );
    } else if recipe.sources.contains_key(name) {
        findings.error_with_hint(
            path.clone(),
            format!("there is a source `{name}` too"),
            "different names for sources and steps",
            "`from: NAME` could mean either; rename one of them",
        );
    }
}

fn check_inputs(step: &Step, index: usize, root: &Path, findings: &mut Findings) {
    for (place, reference) in &step.inputs {
        let path = root.key(place);
        if let Err(why) = text::relative_path(place) {
            findings.error(
                path.of_key(),
                format!("`{place}` is not in `/build`: {why}"),
                "a path relative to `/build`, such as `src/hello.c`",
            );
        }
        findings.part(reference, index, path);
    }
    nested(step.inputs.keys().map(String::as_str), |inner, outer| {
        findings.error(
            root.key(inner).of_key(),
            format!("`{inner}` lies inside `{outer}`, which is an input too"),
            "inputs beside each other",
        );
    });
}

pub(super) fn check_env(env: &BTreeMap<String, String>, root: &Path, findings: &mut Findings) {
    for (name, value) in env {
        if !text::is_variable(name) {
            findings.error(
                root.key(name).of_key(),
                format!("`{name}` is no name of an environment variable"),
                "letters, digits and `_`, not beginning with a digit",
            );
        }
        if value.contains('\0') {
            findings.error(
                root.key(name),
                format!("`{name}` has a NUL in it"),
                "a text without",
            );
        }
    }
}

fn check_outputs(step: &Step, root: &Path, findings: &mut Findings) {
    for (index, output) in step.outputs.iter().enumerate() {
        if let Err(why) = text::relative_path(output) {
            findings.error_with_hint(
                root.index(index),
                format!("`{output}` is not in `/build`: {why}"),
                "a path relative to `/build`, such as `hello`",
                "copy to `/build` what is to be kept",
            );
        }
    }
    findings.no_duplicates(&step.outputs, root);
    nested(step.outputs.iter().map(String::as_str), |inner, outer| {
        if findings.full() {
            return;
        }
        let index = step.outputs.iter().position(|output| output == inner);
        findings.error(
            index.map_or(root.clone(), |index| root.index(index)),
            format!("`{inner}` lies inside `{outer}`, which is an output too"),
            "outputs beside each other",
        );
    });
}

/// Tells of each path that lies inside another one.
pub(super) fn nested<'a>(
    paths: impl IntoIterator<Item = &'a str>,
    mut tell: impl FnMut(&'a str, &'a str),
) {
    let all: BTreeSet<&str> = paths.into_iter().collect();
    for inner in &all {
        let outer = inner
            .match_indices('/')
            .filter_map(|(at, _)| inner.get(..at))
            .find_map(|parent| all.get(parent));
        if let Some(outer) = outer {
            tell(inner, outer);
        }
    }
}
