//! Every recipe in `tests/unreproducible/` is broken in one honest way. Verifying must
//! find each of them, and say why.

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use fs_err as fs;
use serde_json::Value;
use support::small::Small;
use support::{hello, project, transcript};

/// At least so many recipes there are, and so many causes are named rightly.
const RECIPES: usize = 16;
const NAMED: usize = 20;
/// How many recipes are verified at a time: each waits for the clock now and then.
const AT_ONCE: usize = 2;

/// What came of one recipe.
struct Row {
    recipe: String,
    expected: String,
    found: String,
    guilty: String,
    trials: usize,
    complaint: Option<String>,
}

#[test]
fn every_broken_recipe_is_found_and_its_cause_named() {
    let name = "gallery::every_broken_recipe_is_found_and_its_cause_named";
    let gallery = project("tests/unreproducible");
    let recipes = recipes(&gallery);
    assert!(recipes.len() >= RECIPES, "{} recipes", recipes.len());
    let cache = tempfile::tempdir().unwrap();
    let rest = Mutex::new(recipes.iter());
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(recipe) = rest.lock().unwrap().next() else {
                        break;
                    };
                    let packages = gallery.join("packages");
                    let Some(small) = Small::copy(name, recipe, &packages) else {
                        break;
                    };
                    let row = verify(recipe, &small, cache.path());
                    rows.lock().unwrap().push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    if rows.is_empty() {
        return;
    }
    rows.sort_by(|one, two| one.recipe.cmp(&two.recipe));
    println!("{}", table(&rows));
    let complaints: Vec<&String> = rows
        .iter()
        .filter_map(|row| row.complaint.as_ref())
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let named = rows.iter().filter(|row| row.expected == row.found).count();
    assert!(
        named >= NAMED,
        "{named} of {}\n{}",
        rows.len(),
        table(&rows)
    );
}

/// The recipes of the project that have a lock, and what their mirrors are called.
const SHIPPED: [(&str, &str); 3] = [
    ("debian/hello", "hello"),
    ("mirage/solo5-hello", "solo5-hello"),
    ("unikernel/hello", "unikernel-hello"),
];
/// How often each of them is built.
const ROUNDS: usize = 10;

#[test]
fn every_recipe_with_a_lock_is_shipped() {
    let mut folders: Vec<PathBuf> = support::recipes();
    folders.retain_mut(|recipe| recipe.pop() && recipe.join("recipe.lock").is_file());
    let shipped = SHIPPED.map(|(recipe, _)| project("recipes").join(recipe));
    assert_eq!(folders, shipped);
}

/// What is reproducible must not be called anything else, whatever varies. With `export`
/// the boot loaders, whose recipe is `exporters/pieces`, are made again in each round too.
fn is_good_over_ten_rounds(recipe: &str, export: bool) {
    let name = lunikernel_testing::this_test();
    let (_, called) = SHIPPED.iter().find(|(it, _)| *it == recipe).unwrap();
    let folder = project("recipes").join(recipe);
    let Some(mirror) = hello::mirror_of(&name, called, &folder) else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let mut command = hello::luni(cache.path());
    command.args(["--offline", "--mirror", &mirror]);
    if export {
        let Some(pieces) = hello::mirror_of(&name, "boot-pieces", &project("exporters/pieces"))
        else {
            return;
        };
        command.args(["--mirror", &pieces]);
    }
    command.args(["verify", "--json", "--rounds", &ROUNDS.to_string()]);
    if export {
        command.args(["--export", "raw"]);
    }
    let output = command.arg(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), ROUNDS);
    let golden = match recipe {
        "debian/hello" => format!("sha256:{}", hello::golden()).into(),
        _ => rounds[0]["artefact"]["sha256"].clone(),
    };
    for round in rounds {
        assert_eq!(round["artefact"]["sha256"], golden, "{report:#}");
        assert_eq!(round["exports"].is_object(), export, "{report:#}");
    }
    // Each variation that there is was had, or is named with the reason why not.
    for one in report["variations"].as_array().unwrap() {
        let had = one["state"] == "varied" && one["values"].as_array().unwrap().len() == ROUNDS;
        let named = one["state"] == "unable" && one["why"].is_string();
        assert!(had || named, "{one:#}");
    }
}

#[test]
fn debian_hello_is_good_over_ten_rounds() {
    is_good_over_ten_rounds("debian/hello", true);
}

#[test]
fn mirage_solo5_hello_is_good_over_ten_rounds() {
    is_good_over_ten_rounds("mirage/solo5-hello", false);
}

#[test]
fn unikernel_hello_is_good_over_ten_rounds() {
    is_good_over_ten_rounds("unikernel/hello", false);
}

/// The folders of all recipes but the one that only has packages.
fn recipes(gallery: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(gallery).unwrap();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("recipe.yaml").is_file() && !path.ends_with("packages"))
        .collect();
    folders.sort();
    folders
}

fn verify(recipe: &Path, small: &Small, cache: &Path) -> Row {
    let text = fs::read_to_string(recipe.join("recipe.yaml")).unwrap();
    let expected = text
        .lines()
        .find_map(|line| line.strip_prefix("# cause: "))
        .expect("each recipe says what is wrong with it")
        .to_owned();
    let output = small
        .luni("verify")
        .env("LUNI_CACHE", cache)
        .args(["recipe", "--json"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut row = Row {
        recipe: recipe.file_name().unwrap().to_string_lossy().into_owned(),
        expected,
        found: "-".to_owned(),
        guilty: String::new(),
        trials: 0,
        complaint: None,
    };
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if output.status.code() != Some(10) || report["verdict"] != "DIFFERS" {
        row.complaint = Some(format!("{}: {}", row.recipe, transcript(&output)));
        return row;
    }
    let cause = &report["causes"][0];
    row.found = cause["class"].as_str().unwrap_or("-").to_owned();
    let guilty = cause["guilty"].as_array().into_iter().flatten();
    let guilty: Vec<&str> = guilty.filter_map(Value::as_str).collect();
    row.guilty = guilty.join(" ");
    row.trials = report["bisection"]["trials"].as_array().map_or(0, Vec::len);
    if row.found != row.expected {
        println!("{}: {report:#}", row.recipe);
    }
    for (what, value) in [
        ("a hint", &cause["hint"]),
        ("the guilty step", &report["step"]),
    ] {
        if !value.is_string() {
            row.complaint = Some(format!("{}: no {what}: {report:#}", row.recipe));
        }
    }
    row
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<18} {:<14} {:<14} {:<22} trials\n",
        "recipe", "cause", "named", "guilty"
    );
    for row in rows {
        let mark = if row.expected == row.found {
            ""
        } else {
            "  <-"
        };
        text += &format!(
            "{:<18} {:<14} {:<14} {:<22} {}{mark}\n",
            row.recipe, row.expected, row.found, row.guilty, row.trials
        );
    }
    text
}
