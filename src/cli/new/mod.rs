//! `luni new`: a recipe that works, to start from.

mod template;

use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_builder::recipe;
use serde::Serialize;

use super::Context;
use super::output::lossy;
use super::workshop::quoted;
use crate::exit::Exit;
use crate::failure::Failure;
use template::Template;

/// Write a recipe that works, to start from.
///
/// Writes a folder with a commented recipe, the files that it needs, and the schema
/// that editors complete and check it with. Nothing that is there is overwritten.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it is to be called: lower-case letters, digits and `-`
    name: String,

    /// Where kernel and root file system come from
    #[arg(long, value_name = "FLAVOUR", default_value = "debian")]
    flavour: Flavour,

    /// The folder to write [default: one with that name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Flavours that there is a template for: all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Flavour {
    Alpine,
    Debian,
    Mirage,
    Tinycore,
    Unikernel,
    Yocto,
}

impl Flavour {
    fn template(self) -> &'static Template {
        match self {
            Self::Alpine => &template::ALPINE,
            Self::Debian => &template::DEBIAN,
            Self::Mirage => &template::MIRAGE,
            Self::Tinycore => &template::TINYCORE,
            Self::Unikernel => &template::UNIKERNEL,
            Self::Yocto => &template::YOCTO,
        }
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Written {
    folder: String,
    files: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if !recipe::is_name(&args.name) {
        return Err(Failure::new(
            Exit::Usage,
            format!("`{}` is no name for a recipe", args.name),
        )
        .with_hint(
            "use 1 to 64 lower-case letters, digits and `-`, beginning with a letter: `luni new hello`",
        ));
    }
    let folder = args
        .dir
        .clone()
        .unwrap_or_else(|| PathBuf::from(&args.name));
    let template = args.flavour.template();
    let files = contents(template, &args.name);
    write(&folder, &files)?;
    let files: Vec<PathBuf> = files.iter().map(|(path, _)| folder.join(path)).collect();
    if context.json() {
        context.print_json(&Written {
            folder: lossy(&folder),
            files: files.iter().map(|file| lossy(file)).collect(),
        })?;
    } else if !context.quiet() {
        context.print(&next_steps(template, &folder, &files, &args.name))?;
    }
    Ok(Exit::Ok)
}

/// Every file to write, by its path in the folder.
fn contents(template: &Template, name: &str) -> Vec<(&'static str, String)> {
    let mut files = vec![(recipe::FILE_NAME, template.recipe(name))];
    files.extend(template.files(name));
    files.push(("recipe.schema.json", recipe::schema_text()));
    files
}

/// Writes all files or none: they are written beside the folder and then moved.
fn write(folder: &Path, files: &[(&str, String)]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Exit::Failed,
            format!("could not write a recipe to {}", folder.display()),
        )
        .caused_by(&error)
    };
    if folder.is_file() || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} is there already and not empty", folder.display()),
        )
        .with_hint("choose another name, or another folder with `--dir DIR`"));
    }
    let parent = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed)?;
    let scratch = tempfile::Builder::new()
        .prefix(".luni-new-")
        .tempdir_in(parent)
        .map_err(failed)?;
    let made = scratch.path().join("recipe");
    for (path, text) in files {
        let path = made.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(&path, text).map_err(failed)?;
    }
    fs::rename(&made, folder).map_err(failed)
}

fn next_steps(template: &Template, folder: &Path, files: &[PathBuf], name: &str) -> String {
    let mut text = String::new();
    for file in files {
        text += &format!("wrote {}\n", file.display());
    }
    let [more, running] = template.run;
    let mut commands = vec![(format!("cd {}", quoted(folder)), "")];
    let first = template.first.iter();
    commands.extend(first.map(|(command, what)| ((*command).to_owned(), *what)));
    commands.extend([
        ("luni lock".to_owned(), template.lock),
        ("luni build".to_owned(), "build it"),
        (format!("luni run {name}.luni.zip{more}"), running),
    ]);
    let widths = commands.iter().map(|(command, _)| command.len());
    let width = widths.max().unwrap_or_default();
    text += "\nnext:\n";
    for (command, what) in commands {
        text += format!("  {command:<width$}  {what}").trim_end();
        text.push('\n');
    }
    text
}
