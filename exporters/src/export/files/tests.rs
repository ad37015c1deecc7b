//! Files of several exports in one folder.

use std::sync::mpsc::{Sender, channel};

use lunikernel_cache::{Silent, Task};

use super::*;

/// Says what it is told of.
struct Told(Sender<String>);

impl Progress for Told {
    fn start(&self, verb: &'static str, what: &str, total: Option<u64>) -> Box<dyn Task> {
        Silent.start(verb, what, total)
    }

    fn note(&self, text: &str) {
        self.0.send(text.to_owned()).unwrap();
    }
}

/// Two files and a manifest, which all hold `text`.
fn settled(folder: &Path, text: &str) -> Settled {
    let mut files = Files::new(folder, &Silent);
    files.add_bytes("a", text.as_bytes()).unwrap();
    files.add_program("b", text.as_bytes()).unwrap();
    files.settle("manifest", text.as_bytes()).unwrap()
}

fn texts(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
    paths.sort();
    let text = |path: &PathBuf| fs::read_to_string(path).unwrap();
    paths.iter().map(text).collect()
}

#[test]
fn who_comes_second_waits() {
    let folder = tempfile::tempdir().unwrap();
    let one = settled(folder.path(), "one");
    let claim = one.claim(&Silent).unwrap().unwrap();
    let (told, tells) = channel();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let two = settled(folder.path(), "two");
            let _claim = two.claim(&Told(told)).unwrap();
            two.name().unwrap();
        });
        // It waits from here on, and has named nothing.
        let told = tells.recv().unwrap();
        assert!(
            told.starts_with("waiting for another export into /"),
            "{told}"
        );
        assert!(texts(folder.path()).is_empty());
        one.name().unwrap();
        assert_eq!(texts(folder.path()), ["one"; 3]);
        drop(claim);
        other.join().unwrap();
    });
    assert_eq!(texts(folder.path()), ["two"; 3]);
}

#[test]
fn what_is_in_the_way_is_met_before_anything_is_named() {
    let folder = tempfile::tempdir().unwrap();
    settled(folder.path(), "old").name().unwrap();
    let new = settled(folder.path(), "new");
    let b = folder.path().join("b");
    fs::remove_file(&b).unwrap();
    fs::create_dir(&b).unwrap();
    let error = new.name().unwrap_err();
    assert!(matches!(
        error,
        ExportError::Output(OutputError::NotAFile { .. })
    ));
    fs::remove_dir(&b).unwrap();
    assert_eq!(texts(folder.path()), ["old"; 2]);
}

/// What fails in the middle leaves no manifest that would speak of other files.
#[test]
fn a_manifest_is_never_beside_files_of_another() {
    let folder = tempfile::tempdir().unwrap();
    settled(folder.path(), "old").name().unwrap();
    let mut new = settled(folder.path(), "new");
    let gone = folder.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let lost = Output::create(&gone.join("c"), Existing::Replace).unwrap();
    new.files.push(("c".to_owned(), lost));
    fs::remove_dir(&gone).unwrap();
    new.name().unwrap_err();
    assert_eq!(texts(folder.path()), ["new"; 2]);
}
