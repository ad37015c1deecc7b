//! References, and documents that are not what they should be.

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn references_lead_to_where_registries_have_things() {
    let tagged = |text: &str| {
        let reference = Reference::parse(text).map_err(str::to_owned)?;
        reference.tagged().map(String::from)
    };
    for (text, url) in [
        (
            "r.example/a/b_c:1.0",
            "https://r.example/v2/a/b_c/manifests/1.0",
        ),
        (
            "r.example:5000/a:x",
            "https://r.example:5000/v2/a/manifests/x",
        ),
        (
            "localhost:5000/a:x",
            "http://localhost:5000/v2/a/manifests/x",
        ),
        ("127.0.0.1:80/a:x", "http://127.0.0.1/v2/a/manifests/x"),
        ("[::1]:81/a--b:x", "http://[::1]:81/v2/a--b/manifests/x"),
    ] {
        assert_eq!(tagged(text).as_deref(), Ok(url), "{text}");
    }
    let both = Reference::parse(&format!("r.example/a:1@sha256:{HEX}")).unwrap();
    let digest = both.digest().unwrap();
    assert_eq!(digest.hex(), HEX);
    let blob = format!("https://r.example/v2/a/blobs/sha256:{HEX}");
    assert_eq!(both.blob(&digest).unwrap().as_str(), blob);
}

#[test]
fn half_a_reference_and_a_trick_are_refused() {
    for text in [
        "",
        "app",
        "app:1",
        "team/app:1",
        "r.example/app",
        "r.example/App:1",
        "r.example/../app:1",
        "r.example//app:1",
        "r.example/app:-1",
        "r.example/app:1/x",
        "r.example/app:1?x=y",
        "me@r.example/app:1",
        "https://r.example/app:1",
        "r.example/app@sha512:00",
        "r.example/app@sha256:00",
        "r.example:port/app:1",
        "r.example/a...b:1",
        "r.example/-a:1",
    ] {
        assert!(Reference::parse(text).is_err(), "{text}");
    }
    let long = format!("r.example/{}:1", "a".repeat(256));
    assert!(Reference::parse(&long).is_err());
}

#[test]
fn what_is_wrong_with_a_document_is_said() {
    let says = |text: &str, expected: &str| {
        let [first, second] = fuzz(text.as_bytes()).unwrap_err();
        assert!(
            first.contains(expected) || second.contains(expected),
            "{first}; {second}"
        );
    };
    says("{\"schemaVersion\":1}", "version 1 of the format");
    says("{\"schemaVersion\":2}", "neither an image nor an index");
    let layer = |media_type: &str, digest: &str, size: u64| {
        format!("{{\"mediaType\":\"{media_type}\",\"digest\":\"{digest}\",\"size\":{size}}}")
    };
    let image = |config: &str, layers: &str| {
        format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{layers}]}}")
    };
    let digest = format!("sha256:{HEX}");
    let config = layer("application/vnd.oci.image.config.v1+json", &digest, 2);
    let tar = "application/vnd.oci.image.layer.v1.tar";
    assert_eq!(
        fuzz(image(&config, &layer(tar, &digest, 1)).as_bytes()),
        Ok(())
    );
    says(
        &image(&config, &layer(tar, "sha512:00", 1)),
        "`sha512:00` is no",
    );
    says(
        &image(&config, &layer(tar, &digest, 1 << 40)),
        "expected at most",
    );
    says(
        &image(&config, &layer("text/x", &digest, 1)),
        "a layer is `text/x`",
    );
    says(
        &image(&layer(tar, &digest, 1), ""),
        "not that of a container image",
    );
    let many = vec![layer(tar, &digest, 1); MAX_LAYERS + 1].join(",");
    says(&image(&config, &many), "it has 257 layers");
    let both = image(&config, "").replace("\"layers\"", "\"manifests\":[],\"layers\"");
    says(&both, "neither an image nor an index");
}
