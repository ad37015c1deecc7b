//! Repositories of which a bit is flipped: on their disk, and on the way.

use super::http::smart_http;
use super::*;
use crate::fetch::test_server::Server;

/// The file that has the object `id` of the repository.
fn loose(repository: &Repository, id: Oid) -> PathBuf {
    let hex = id.to_string();
    let (folder, name) = hex.split_at(2);
    repository.path().join("objects").join(folder).join(name)
}

/// An error of a damaged repository, or else the very content that was locked.
fn judge(found: Result<LockedGit, GitError>, honest: &LockedGit, what: &str) -> bool {
    match found {
        Ok(locked) => {
            assert_eq!(&locked, honest, "{what} made another tree");
            false
        }
        Err(error) => {
            let (text, hint) = (error.to_string(), error.hint().unwrap_or_default());
            assert!(text.contains(".git"), "{what}: {text}");
            let clear = hint.contains("damaged") || matches!(error, GitError::Rev { .. });
            assert!(clear, "{what}: {text}: {hint}");
            true
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_of_an_object_is_no_other_content() {
    let site = site();
    let honest = site.lock(&site.url(), "main").await.unwrap();
    let main = Repository::open(site.repos().join("main.git")).unwrap();
    let commit = main.find_commit(site.second).unwrap();
    let tree = commit.tree().unwrap();
    let blob = tree.get_name("unix.txt").unwrap().id();
    let folder = tree.get_name("bin").unwrap().id();
    for (what, id) in [
        ("a blob", blob),
        ("a tree", folder),
        ("the top tree", tree.id()),
        ("a commit", commit.id()),
    ] {
        let path = loose(&main, id);
        let bytes = fs_err::read(&path).unwrap();
        // Git makes its objects read-only.
        fs_err::remove_file(&path).unwrap();
        let mut refused = 0;
        let positions: Vec<usize> = (0..bytes.len()).step_by(5).collect();
        for at in &positions {
            let mut flipped = bytes.clone();
            flipped[*at] ^= 0x08;
            fs_err::write(&path, flipped).unwrap();
            let cache = format!("{id}-{at}");
            let fetcher = site.empty(&cache, FetchOptions::default());
            let source = GitSource {
                url: site.url(),
                rev: "main".to_owned(),
            };
            let found = lock(&fetcher, &source).await;
            let name = format!("{what}, byte {at}");
            refused += usize::from(judge(found, &honest, &name));
            fs_err::remove_dir_all(site.path(&cache)).unwrap();
        }
        // Of the frame of compressed data some bits mean nothing.
        let harmless = positions.len() - refused;
        assert!(harmless <= 2, "{what}: {harmless} of {}", positions.len());
        fs_err::write(&path, bytes).unwrap();
    }
    assert_eq!(site.lock(&site.url(), "main").await.unwrap(), honest);
}

#[tokio::test]
async fn a_bit_that_flips_on_the_way_is_no_other_content() {
    let site = site();
    let (mut refused, mut all) = (0, 0);
    let Some(server) = smart_http(site.repos(), None) else {
        return;
    };
    let of = |server: &Server| GitSource {
        url: server.url("main.git").to_string(),
        rev: "main".to_owned(),
    };
    let source = of(&server);
    let honest = lock(&site.fetcher, &source).await.unwrap();
    // Behind the word `PACK` come the version, the count, the objects and their SHA-1.
    for at in (4..400).step_by(23) {
        let Some(server) = smart_http(site.repos(), Some(at)) else {
            return;
        };
        let cache = format!("flipped-{at}");
        let fetcher = site.empty(&cache, FetchOptions::default());
        let found = lock(&fetcher, &of(&server)).await;
        let found = found.map(|found| LockedGit {
            url: honest.url.clone(),
            ..found
        });
        all += 1;
        match found {
            Ok(found) => assert_eq!(found, honest, "byte {at} made another tree"),
            Err(error) => {
                assert!(error.hint().is_some(), "{error}");
                refused += 1;
            }
        }
    }
    // A byte that lies behind the end of the pack is not flipped.
    assert!(refused * 4 > all * 3, "{refused} of {all}");
}
