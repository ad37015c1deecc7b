//! Indexes of other times.

use fs_err as fs;
use lunikernel_testing::apk::{self as testing, Apk, Hash, SIGNER};

use super::super::pin_tests::{Place, hello};
use super::super::{Asked, choose};
use super::*;
use crate::recipe::Arch;

#[test]
fn what_is_called_so_has_a_place_in_time() {
    let order = [
        "v3.7.0",
        "v3.7.0-9-g18457f49f1",
        "v3.7.0-47-g08457f49f1",
        "v3.7.1",
        "v3.20.3-1-gabc",
        "v20240807-12-gabc",
        "v20240807-100-g0",
    ];
    let places: Vec<Described> = order
        .iter()
        .filter_map(|text| Described::of(text))
        .collect();
    assert_eq!(places.len(), order.len());
    assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
    for text in ["", "of a test", "3.7.0", "v", "v3.7.0-x-gabc", "vx-1-gabc"] {
        assert_eq!(Described::of(text), None, "{text}");
    }
}

#[tokio::test]
async fn an_index_that_goes_back_in_time_needs_consent() {
    let place = Place::new(&hello(), &["hello"]);
    let entries: String = hello().iter().map(Apk::entry).collect();
    let call = |text: &str, description: &str| {
        let signer = testing::signer();
        let index = testing::described(text, description, signer, SIGNER, Hash::Sha1);
        fs::write(place.file("APKINDEX.tar.gz"), index).unwrap();
    };
    let lock = |before: (Vec<VouchedIndex>, Vec<LockedApk>)| {
        let place = &place;
        async move {
            let asked = Asked {
                source: &place.source,
                arch: Arch::X86_64,
                folder: place.folder.path(),
                base: None,
                keep: &[],
                before: Before {
                    indexes: &before.0,
                    packages: &before.1,
                },
            };
            choose(&place.fetcher, asked).await.map(drop)
        }
    };
    call(&entries, "v3.20.3-47-g18457f49f1");
    let locked = place.lock(&[]).await.unwrap();
    lock(locked.clone()).await.unwrap();
    call(&entries, "v3.20.3-48-g0");
    lock(locked.clone()).await.unwrap();
    call(&entries, "v3.20.3-9-g0");
    let error = lock(locked.clone()).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("is of v3.20.3-9-g0, and the lock was made by that of v3.20.3-47-g"),
        "{said}"
    );
    assert!(error.hint().unwrap().contains("--allow-downgrade"));
    // What has no such name is known by a package that has gone back.
    call(&entries.replace("V:2.1-r3", "V:2.1-r2"), "of a test");
    let said = lock(locked.clone()).await.unwrap_err().to_string();
    assert!(
        said.contains("the lock has libgreet 2.1-r3")
            && said.contains("the newest that is there now is 2.1-r2"),
        "{said}"
    );
    // A newer one beside it is enough, and a repository may drop what it had.
    let newer = entries.replace("V:2.1-r3", "V:2.2-r0");
    call(&format!("{newer}{entries}"), "of a test");
    lock(locked.clone()).await.unwrap();
    lock((Vec::new(), Vec::new())).await.unwrap();
}
