//! Reading a recipe, with everything that is wrong with it.

use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::LazyLock;

use lunikernel_cache::regular::read_bounded;
use schemars::Schema;

use super::Recipe;
use super::complaint::{Complaint, Severity};
use super::typed::MAX_SIZE;
use super::words::RECIPE;
use super::{check, schema, typed};

/// The grammar; generated once, because a farm reads many recipes.
static GRAMMAR: LazyLock<Schema> = LazyLock::new(schema);

/// What a recipe is called in its folder.
pub const FILE_NAME: &str = "recipe.yaml";

/// A recipe that was read from a file and found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecipe {
    /// The recipe.
    pub recipe: Recipe,
    /// Its text, as it stands in the file.
    pub text: String,
    /// The file.
    pub path: PathBuf,
    /// What its author hardly meant, in the order of the file.
    pub warnings: Vec<Complaint>,
}

impl ReadRecipe {
    /// The folder that the recipe is in.
    #[must_use]
    pub fn folder(&self) -> &FilePath {
        match self.path.parent() {
            Some(folder) if folder != FilePath::new("") => folder,
            _ => FilePath::new("."),
        }
    }
}

/// A recipe could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("could not read the recipe")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said; it names the file.
        #[source]
        source: io::Error,
    },
    /// The file is no recipe, or one that is wrong.
    #[error("{} {}", path.display(), counted(complaints))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the order of the file; warnings are among it.
        complaints: Vec<Complaint>,
    },
}

fn counted(complaints: &[Complaint]) -> String {
    let errors = complaints
        .iter()
        .filter(|complaint| complaint.severity == Severity::Error)
        .count();
    match errors {
        1 => "has 1 error".to_owned(),
        errors => format!("has {errors} errors"),
    }
}

impl RecipeError {
    /// What is wrong with the recipe, if it could be read at all.
    #[must_use]
    pub fn complaints(&self) -> &[Complaint] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Wrong { complaints, .. } => complaints,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "name a recipe or its folder, or have one written with `luni new NAME`".to_owned()
            }
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
                "name a file, or the folder of a recipe".to_owned()
            }
            Self::Unreadable { .. } => return None,
            Self::Wrong { path, .. } => {
                format!(
                    "mend it, then look again with `luni check {}`",
                    path.display()
                )
            }
        })
    }
}

impl Recipe {
    /// Reads and checks the recipe in a file, or in the `recipe.yaml` of a folder.
    ///
    /// # Errors
    /// [`RecipeError`], with all complaints at once where that is possible.
    pub fn read(path: &FilePath) -> Result<ReadRecipe, RecipeError> {
        let path = if path.is_dir() {
            path.join(FILE_NAME)
        } else {
            path.to_owned()
        };
        let bytes = match read_bounded(&path, MAX_SIZE) {
            Ok(bytes) => bytes,
            Err(source) => return Err(RecipeError::Unreadable { path, source }),
        };
        let folder = path.parent().unwrap_or(FilePath::new(""));
        let name = path.display().to_string();
        match Self::from_bytes(&bytes, &name, Some(folder)) {
            Ok((recipe, text, warnings)) => Ok(ReadRecipe {
                recipe,
                text,
                path,
                warnings,
            }),
            Err(complaints) => Err(RecipeError::Wrong { path, complaints }),
        }
    }

    /// Reads and checks a recipe; `name` is what complaints call it, and files beside
    /// it are looked for in `folder`, if there is one. Gives the recipe, its text and
    /// warnings.
    ///
    /// # Errors
    /// Complaints, of which at least one is an error.
    pub fn from_bytes(
        bytes: &[u8],
        name: &str,
        folder: Option<&FilePath>,
    ) -> Result<(Self, String, Vec<Complaint>), Vec<Complaint>> {
        typed::read(bytes, name, &RECIPE, &GRAMMAR, |recipe| {
            check::check(recipe, folder)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::complaint::MOST;

    const RIGHT: &str = "apiVersion: lunikernel/v1
name: hello
version: 1.0.0
flavour: debian
sources:
  linux: {deb: {suite: &suite bookworm, packages: [linux-image-cloud-amd64]}}
  page: {url: {url: 'file:///page', sha256: \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"}}
steps:
  - name: compile
    root: [linux]
    inputs: {\"hello.c\": page}
    run: |
      cc -o hello hello.c
    outputs: [hello]
rootfs:
  files:
    /bin/hello: {from: compile/hello, mode: \"0755\"} # é
    /dev/null: {device: {kind: char, major: 1, minor: 3}}
kernel: {from: linux}
boot: {net: true}
tests:
  - {name: up, expect: hello, http: {port: 80, expect: hi}}
";

    fn read(text: &[u8]) -> Result<(Recipe, String, Vec<Complaint>), Vec<Complaint>> {
        Recipe::from_bytes(text, "r", None)
    }

    #[test]
    fn a_right_recipe_has_no_complaints() {
        let (recipe, text, warnings) = read(RIGHT.as_bytes()).unwrap();
        assert_eq!(recipe.name, "hello");
        assert_eq!(text, RIGHT);
        assert_eq!(warnings, []);
    }

    #[test]
    fn line_ends_and_marks_of_other_systems_do_not_matter() {
        let (recipe, ..) = read(RIGHT.as_bytes()).unwrap();
        let windows = format!("\u{feff}{}", RIGHT.replace('\n', "\r\n"));
        assert_eq!(read(windows.as_bytes()).unwrap().0, recipe);
        let wrong = windows.replace("flavour", "flavor");
        let shown = read(wrong.as_bytes()).unwrap_err()[0].to_string();
        assert!(
            shown.contains("r:4:1") && !shown.contains('\u{fffd}'),
            "{shown}"
        );
    }

    #[test]
    fn what_the_types_write_is_read_back() {
        let (recipe, ..) = read(RIGHT.as_bytes()).unwrap();
        let written = serde_json::to_value(&recipe).unwrap();
        let again: Recipe = serde_json::from_value(written).unwrap();
        assert_eq!(again, recipe);
    }

    #[test]
    fn hostile_size_takes_no_hostile_time() {
        let sources: String = (0..9_000)
            .map(|n| format!("  s{n}: {{file: f{n}}}\n"))
            .collect();
        let files: String = (0..9_000)
            .map(|n| format!("    /f{n}: {{from: t{n}}}\n"))
            .collect();
        let text = RIGHT
            .replace("sources:\n", &format!("sources:\n{sources}"))
            .replace("  files:\n", &format!("  files:\n{files}"));
        assert_eq!(read(text.as_bytes()).unwrap_err().len(), MOST);
        let unknown: String = (0..40_000).map(|n| format!("k{n}: 1\n")).collect();
        assert_eq!(read(unknown.as_bytes()).unwrap_err().len(), MOST);
    }

    /// Whatever is done to a recipe, the answer is a recipe or a complaint about a
    /// place that exists.
    #[test]
    fn damage_is_complained_about_in_place() {
        let tokens: [&[u8]; 14] = [
            b"", b" ", b"\n", b"\t", b":", b"- ", b"[", b"}", b"'", b"\"", b"*suite", b"\xff",
            b"\0", b"...\n",
        ];
        let lines = RIGHT.lines().count() + 1;
        for at in (0..RIGHT.len()).step_by(3) {
            for token in tokens {
                for removed in [0, 1, 7] {
                    let mut text = RIGHT.as_bytes().to_vec();
                    text.splice(at..(at + removed).min(text.len()), token.iter().copied());
                    let Err(complaints) = read(&text) else {
                        continue;
                    };
                    assert!(!complaints.is_empty());
                    for complaint in complaints {
                        let shown = complaint.to_string();
                        assert!((1..=lines + 1).contains(&complaint.line), "{shown}");
                        assert!(!shown.contains(['\0', '\t', '\u{1b}']), "{shown}");
                    }
                }
            }
        }
    }
}
