//! `luni new`: a recipe that works, to start from.

use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_builder::recipe;
use serde::Serialize;

use super::Context;
use super::output::lossy;
use crate::exit::Exit;
use crate::failure::Failure;

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

/// Flavours that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Flavour {
    Debian,
    Unikernel,
}

impl Flavour {
    /// The files of the template; `@NAME@` in them stands for the recipe's name.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Debian => &[
                (recipe::FILE_NAME, include_str!("debian/recipe.yaml")),
                ("files/main.c", include_str!("debian/main.c")),
            ],
            Self::Unikernel => &[
                (recipe::FILE_NAME, include_str!("unikernel/recipe.yaml")),
                (
                    "files/hello.c",
                    include_str!("../../../recipes/unikernel/hello/files/hello.c"),
                ),
                (
                    "files/hello.ld",
                    include_str!("../../../recipes/unikernel/hello/files/hello.ld"),
                ),
                (
                    "files/module.txt",
                    include_str!("../../../recipes/unikernel/hello/files/module.txt"),
                ),
            ],
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
    let files = contents(args.flavour, &args.name);
    write(&folder, &files)?;
    let files: Vec<PathBuf> = files.iter().map(|(path, _)| folder.join(path)).collect();
    if context.json() {
        context.print_json(&Written {
            folder: lossy(&folder),
            files: files.iter().map(|file| lossy(file)).collect(),
        })?;
    } else if !context.quiet() {
        context.print(&next_steps(&folder, &files, &args.name))?;
    }
    Ok(Exit::Ok)
}

/// Every file to write, by its path in the folder.
fn contents(flavour: Flavour, name: &str) -> Vec<(&'static str, String)> {
    let mut files: Vec<_> = flavour
        .files()
        .iter()
        .map(|(path, text)| (*path, text.replace("@NAME@", name)))
        .collect();
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

fn next_steps(folder: &Path, files: &[PathBuf], name: &str) -> String {
    let mut text = String::new();
    for file in files {
        text += &format!("wrote {}\n", file.display());
    }
    let commands = [
        (format!("cd {}", folder.display()), ""),
        ("luni lock".to_owned(), "pin every input to exact bytes"),
        ("luni build".to_owned(), "build it"),
        (
            format!("luni run {name}.luni.zip"),
            "boot the result in QEMU",
        ),
    ];
    text += "\nnext:\n";
    for (command, what) in commands {
        text += format!("  {command:<30} {what}").trim_end();
        text.push('\n');
    }
    text
}
