//! Overlays of unikernels.

use std::io::Read as _;

use super::*;

/// The files on the disk of a unikernel, as another reader of tar sees them.
fn on_disk(artefact: &Artefact) -> Vec<(String, String)> {
    let mut disk = Vec::new();
    artefact
        .entry(BLOCK)
        .unwrap()
        .read_to_end(&mut disk)
        .unwrap();
    assert_eq!(disk.len() % 512, 0, "a disk has whole sectors");
    let mut archive = tar::Archive::new(disk.as_slice());
    let file = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(
            header.as_ustar().map(|_| header.mtime().unwrap()),
            Some(315_532_800)
        );
        let mut content = String::new();
        let path = entry.path().unwrap().display().to_string();
        entry.read_to_string(&mut content).unwrap();
        (path, content)
    };
    archive.entries().unwrap().map(file).collect()
}

#[test]
fn overlays_of_a_unikernel_become_its_disk() {
    let bench = Bench::new();
    let device = "storage".to_owned();
    let base = bench.sealed(Protocol::Multiboot, Overlay::Block { device }, None);
    let one = bench.overlay("one", &[("www/index.html", "one"), ("b", "2"), ("a", "1")]);
    let laid = bench.lay(&base, std::slice::from_ref(&one)).unwrap();
    let files = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = |(path, content): &(&str, &str)| ((*path).to_owned(), (*content).to_owned());
        list.iter().map(owned).collect()
    };
    let expected = [("a", "1"), ("b", "2"), ("www/index.html", "one")];
    assert_eq!(on_disk(&laid.artefact), files(&expected));
    assert_eq!(History::of(&laid.artefact).unwrap().overlays.len(), 1);

    let two = bench.overlay(
        "two",
        &[("www/index.html", "two"), (".wh.a", ""), ("c", "3")],
    );
    let again = bench
        .lay(&laid.artefact, std::slice::from_ref(&two))
        .unwrap();
    let expected = [("b", "2"), ("c", "3"), ("www/index.html", "two")];
    assert_eq!(on_disk(&again.artefact), files(&expected));
    let history = History::of(&again.artefact).unwrap();
    assert_eq!(history.overlays.len(), 2);
    assert_eq!(history.overlays[1].removed, ["a"]);
    // Both at once give the same disk.
    let both = bench.lay(&base, &[one, two.clone()]).unwrap();
    assert_eq!(on_disk(&both.artefact), files(&expected));

    // What is there already changes nothing, and what is not there cannot be removed.
    let same = bench.overlay("same", &[("c", "3")]);
    assert!(matches!(
        bench.lay(&again.artefact, &[same]),
        Err(OverlayError::Nothing)
    ));
    assert!(matches!(
        bench.lay(&again.artefact, &[two]),
        Err(OverlayError::NothingToRemove { .. })
    ));
    let long = bench.overlay("long", &[(&"x".repeat(101), "")]);
    assert!(matches!(
        bench.lay(&base, &[long]),
        Err(OverlayError::Disk { .. })
    ));
}
