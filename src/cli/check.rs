//! `luni check`: what is wrong with recipes.

use std::path::{Path, PathBuf};

use lunikernel_builder::recipe::{Complaint, FILE_NAME, Recipe, RecipeError, Severity};
use serde::Serialize;

use super::Context;
use super::workshop::RecipeArg;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::paint;

/// Say what is wrong with recipes, and where.
///
/// Looks at the grammar, at names and paths, and at whether the files beside the
/// recipe are there. Nothing is fetched or built. With `--json` it prints a list of
/// complaints, each with severity, message, file, line, column, expected and hint.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Recipes, or folders with a `recipe.yaml`
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,

    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    recipes: usize,
    complaints: Vec<Complaint>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let mut report = Report {
        recipes: args.paths.len(),
        complaints: Vec::new(),
    };
    let mut right = Vec::new();
    for path in &args.paths {
        let recipe = path.clone();
        RecipeArg { recipe }.refuse_packed()?;
        let path = shown(path);
        match Recipe::read(&path) {
            Ok(read) => {
                report.complaints.extend(read.warnings);
                let recipe = read.recipe;
                right.push(format!(
                    "{} is right: {} {}\n",
                    read.path.display(),
                    recipe.name,
                    recipe.version
                ));
            }
            Err(RecipeError::Wrong { complaints, .. }) => report.complaints.extend(complaints),
            Err(unreadable) => return Err(unreadable.into()),
        }
    }
    if context.json() {
        context.print_json(&report)?;
    } else {
        paint::show(&report.complaints);
        if !context.quiet() {
            context.print(&right.concat())?;
        }
        tell_count(&report);
    }
    let worst = report.complaints.iter().map(|c| c.severity).min();
    Ok(match worst {
        Some(Severity::Error) => Exit::BadInput,
        Some(Severity::Warning) if args.strict => Exit::BadInput,
        _ => Exit::Ok,
    })
}

/// The path as complaints name it: `.` itself would only be noise.
fn shown(path: &Path) -> PathBuf {
    if path == Path::new(".") {
        PathBuf::from(FILE_NAME)
    } else {
        path.to_owned()
    }
}

/// One line below the complaints, so that nobody has to count.
fn tell_count(report: &Report) {
    let count = |severity| {
        let of = |complaint: &&Complaint| complaint.severity == severity;
        report.complaints.iter().filter(of).count()
    };
    let parts: Vec<String> = [("error", Severity::Error), ("warning", Severity::Warning)]
        .into_iter()
        .filter_map(|(word, severity)| match count(severity) {
            0 => None,
            1 => Some(format!("1 {word}")),
            many => Some(format!("{many} {word}s")),
        })
        .collect();
    if !parts.is_empty() {
        paint::tell(&format!("{}\n", parts.join(", ")));
    }
}
