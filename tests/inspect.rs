//! `luni inspect` on a Lunikernel that is whole, and on damaged ones.

mod support;

use fs_err as fs;
use serde_json::Value;
use support::small::Small;
use support::transcript;

/// Name, offset of the content and its size, of every entry of a zip that stores them.
fn entries(zip: &[u8]) -> Vec<(String, usize, usize)> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([zip[at], zip[at + 1]]));
    let mut found = Vec::new();
    let mut at = 0;
    while zip[at..].starts_with(b"PK\x03\x04") {
        let size = u16_at(at + 18) | u16_at(at + 20) << 16;
        let content = at + 30 + u16_at(at + 26) + u16_at(at + 28);
        let name = String::from_utf8(zip[at + 30..at + 30 + u16_at(at + 26)].to_vec()).unwrap();
        found.push((name, content, size));
        at = content + size;
    }
    found
}

#[test]
fn damage_anywhere_is_found_and_named() {
    let steps =
        "  - name: only\n    root: [base, shell]\n    run: echo made > out\n    outputs: [out]\n";
    let Some(small) = Small::new("inspect::damage_anywhere_is_found_and_named", steps) else {
        return;
    };
    let built = small.run("build", &[]);
    assert!(built.status.success(), "{}", transcript(&built));
    let zip = fs::read(small.path("small.luni.zip")).unwrap();
    let inspect = |bytes: &[u8]| {
        fs::write(small.path("some.luni.zip"), bytes).unwrap();
        let mut command = small.luni("inspect");
        command.args(["some.luni.zip", "--json"]).output().unwrap()
    };

    let whole = inspect(&zip);
    assert_eq!(whole.status.code(), Some(0), "{}", transcript(&whole));
    let answer: Value = serde_json::from_slice(&whole.stdout).unwrap();
    let text = answer.to_string();
    let all = entries(&zip);
    assert!(all.len() >= 6, "{all:?}");
    for (name, offset, size) in &all {
        let digest = lunikernel_cache::Sha256::of(&zip[*offset..offset + size]);
        let in_manifest = text.contains(&digest.hex().to_string());
        assert!(in_manifest || name == "lunikernel.json", "{name}: {text}");

        let mut damaged = zip.clone();
        damaged[offset + size / 2] ^= 1;
        let output = inspect(&damaged);
        assert_eq!(output.status.code(), Some(3), "{}", transcript(&output));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(name.as_str()), "{name}: {text}");
    }
    let cut = [1, zip.len() / 2, zip.len() - 1].map(|length| zip[..length].to_vec());
    for damaged in cut.into_iter().chain([[&zip[..], b"more"].concat()]) {
        let output = inspect(&damaged);
        assert_eq!(output.status.code(), Some(3), "{}", transcript(&output));
        assert!(output.stderr.starts_with(b"error: "));
    }
}
