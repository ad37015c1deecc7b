use pgp::composed::SignedSecretKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, KeyDetails as _, Password, Timestamp};

use super::super::fuzz;
use super::super::test_archive::{
    DATE, TestSuite, clearsigned, key, old_fashioned_key, package, public, sign, sign_with, signer,
};
use super::*;

const JUDGEMENT: Judgement = Judgement {
    now: DATE + 3600,
    allow_expired: false,
};

fn text() -> String {
    TestSuite::new("calm", package("app", "1", "")).text()
}

fn keyring(keys: &[Vec<u8>]) -> Keyring {
    let mut keyring = Keyring::default();
    for key in keys {
        keyring.add(key);
    }
    keyring
}

fn ours() -> Keyring {
    keyring(&[public(signer())])
}

fn refusals(result: Result<Release, ReleaseError>) -> Vec<Refusal> {
    match result.unwrap_err() {
        ReleaseError::Unsigned { refusals } => refusals,
        other => panic!("{other}"),
    }
}

fn read(signed: &[u8], keyring: &Keyring) -> Result<Release, ReleaseError> {
    Release::from_inrelease(signed, keyring, JUDGEMENT)
}

#[test]
fn a_signed_release_is_read() {
    let text = text();
    let signed = clearsigned(&text, vec![sign(signer(), &text)]);
    let release = read(&signed, &ours()).unwrap();
    assert_eq!(release.codename.as_deref(), Some("calm"));
    assert_eq!(release.suite.as_deref(), Some("oldcalm"));
    assert_eq!(release.date.seconds(), DATE);
    assert!(release.by_hash && release.all_is_listed_with_each);
    assert_eq!(release.files.len(), 2);
    assert_eq!(release.keys, [format!("{:X}", signer().fingerprint())]);
    assert_eq!(release.digest, Digest::of(&signed));
}

#[test]
fn the_primary_key_may_sign_itself() {
    let text = text();
    let signature = sign_with(&signer().primary_key, HashAlgorithm::Sha512, DATE, &text);
    read(&clearsigned(&text, vec![signature]), &ours()).unwrap();
}

#[test]
fn a_changed_text_is_refused() {
    let text = text();
    let signed = String::from_utf8(clearsigned(&text, vec![sign(signer(), &text)])).unwrap();
    for (from, to) in [
        ("Codename: calm", "Codename: clam"),
        ("Origin: Test\n", ""),
        ("SHA256:\n", "SHA256:\nX: y\n"),
        ("\n\nOrigin", "\n\nMore: text\nOrigin"),
    ] {
        let changed = signed.replacen(from, to, 1);
        assert_ne!(changed, signed, "{from}");
        let found = refusals(read(changed.as_bytes(), &ours()));
        assert!(
            matches!(found[..], [Refusal::Bad { .. }]),
            "{from}: {found:?}"
        );
    }
}

#[test]
fn a_changed_signature_is_refused() {
    let text = text();
    let mut signature = sign(signer(), &text).to_bytes().unwrap();
    // The last bytes are the signature proper.
    *signature.last_mut().unwrap() ^= 1;
    let signature = Signature::try_from_reader(
        pgp::packet::PacketHeader::new_fixed(pgp::types::Tag::Signature, signature.len() as u32),
        signature.as_slice(),
    )
    .unwrap();
    let found = refusals(read(&clearsigned(&text, vec![signature]), &ours()));
    assert!(matches!(found[..], [Refusal::Bad { .. }]), "{found:?}");
}

#[test]
fn text_outside_what_is_signed_is_refused() {
    let text = text();
    let signed = String::from_utf8(clearsigned(&text, vec![sign(signer(), &text)])).unwrap();
    for changed in [
        format!("Codename: evil\n\n{signed}"),
        format!("\n{signed}"),
        format!("{signed}Codename: evil\n"),
        format!("{signed}{signed}"),
        signed.replacen("Hash: SHA256\n", "Hash: SHA256\nCodename: evil\n", 1),
        signed.replacen(
            "-----BEGIN PGP SIGNATURE-----",
            "-----BEGIN PGP MESSAGE-----",
            1,
        ),
        text.clone(),
        String::new(),
    ] {
        let error = read(changed.as_bytes(), &ours()).unwrap_err();
        assert!(matches!(error, ReleaseError::Form(_)), "{error}");
    }
}

#[test]
fn dashes_are_no_way_out_of_the_signed_text() {
    let text = format!("{}X: y\n-----BEGIN PGP SIGNATURE-----\n", text());
    let signed = clearsigned(&text, vec![sign(signer(), &text)]);
    let error = read(&signed, &ours()).unwrap_err();
    assert!(matches!(error, ReleaseError::Text(_)), "{error}");
    // The same without the escapes is another text, and another structure.
    let bare = String::from_utf8(signed)
        .unwrap()
        .replacen("- -----BEGIN", "-----BEGIN", 1);
    assert!(read(bare.as_bytes(), &ours()).is_err());
}

#[test]
fn one_good_signature_is_enough() {
    let text = text();
    let (stranger, two) = (key(7), key(2));
    let signatures = vec![
        sign(&stranger, &text),
        sign(signer(), &text),
        sign(&two, &text),
    ];
    let signed = clearsigned(&text, signatures);
    assert_eq!(read(&signed, &ours()).unwrap().keys.len(), 1);
    let both = keyring(&[public(signer()), public(&two)]);
    assert_eq!(read(&signed, &both).unwrap().keys.len(), 2);
    let found = refusals(read(&signed, &Keyring::default()));
    assert_eq!(found.len(), 3);
}

#[test]
fn a_strange_key_is_refused_and_named() {
    let text = text();
    let signed = clearsigned(&text, vec![sign(&key(7), &text)]);
    let error = read(&signed, &ours()).unwrap_err();
    let named = format!("{:X}", key(7).secret_subkeys[0].key.fingerprint());
    assert!(error.to_string().contains(&named), "{error}");
    assert!(matches!(
        refusals(Err(error))[..],
        [Refusal::UnknownKey { .. }]
    ));
}

#[test]
fn hashes_that_can_be_forged_are_refused() {
    let text = text();
    let old = old_fashioned_key();
    let ring = keyring(&[public(&old)]);
    let signed = |hash| clearsigned(&text, vec![sign_with(&old.primary_key, hash, DATE, &text)]);
    read(&signed(HashAlgorithm::Sha256), &ring).unwrap();
    let found = refusals(read(&signed(HashAlgorithm::Sha1), &ring));
    assert!(matches!(found[..], [Refusal::WeakHash { .. }]), "{found:?}");
}

#[test]
fn a_signature_from_the_future_or_before_its_key_is_refused() {
    let text = text();
    for made in [DATE + 3 * 86_400, DATE - 400 * 86_400] {
        let signature = sign_with(&signer().primary_key, HashAlgorithm::Sha256, made, &text);
        let found = refusals(read(&clearsigned(&text, vec![signature]), &ours()));
        assert!(matches!(found[..], [Refusal::Date { .. }]), "{found:?}");
    }
}

/// A signature by a key over itself or its subkey.
fn own_signature(
    key: &SignedSecretKey,
    kind: SignatureType,
    made: u64,
    more: Vec<SubpacketData>,
) -> SignatureConfig {
    let primary = &key.primary_key;
    let mut config = SignatureConfig::v4(kind, primary.algorithm(), HashAlgorithm::Sha256);
    let time = SubpacketData::SignatureCreationTime(Timestamp::from_secs(made as u32));
    config.hashed_subpackets = [
        time,
        SubpacketData::IssuerFingerprint(primary.fingerprint()),
    ]
    .into_iter()
    .chain(more)
    .map(|data| Subpacket::regular(data).unwrap())
    .collect();
    config
}

#[test]
fn a_revoked_key_is_refused() {
    let text = text();
    let signed = clearsigned(&text, vec![sign(signer(), &text)]);
    let config = own_signature(signer(), SignatureType::KeyRevocation, DATE, Vec::new());
    let public_key = signer().primary_key.public_key();
    let revocation = config
        .sign_key(&signer().primary_key, &Password::empty(), public_key)
        .unwrap();
    let mut revoked = pgp::composed::SignedPublicKey::from(signer().clone());
    revoked
        .details
        .revocation_signatures
        .push(revocation.clone());
    let ring = keyring(&[revoked.to_bytes().unwrap()]);
    let found = refusals(read(&signed, &ring));
    assert!(matches!(found[..], [Refusal::Revoked { .. }]), "{found:?}");
    // Nobody else can revoke it.
    let stranger = key(7);
    let config = own_signature(&stranger, SignatureType::KeyRevocation, DATE, Vec::new());
    let forged = config
        .sign_key(&stranger.primary_key, &Password::empty(), public_key)
        .unwrap();
    revoked.details.revocation_signatures = vec![forged];
    read(&signed, &keyring(&[revoked.to_bytes().unwrap()])).unwrap();
}

#[test]
fn a_revoked_subkey_is_refused() {
    let text = text();
    let signed = clearsigned(&text, vec![sign(signer(), &text)]);
    let mut revoked = pgp::composed::SignedPublicKey::from(signer().clone());
    let config = own_signature(signer(), SignatureType::SubkeyRevocation, DATE, Vec::new());
    let revocation = config
        .sign_subkey_binding(
            &signer().primary_key,
            signer().primary_key.public_key(),
            &Password::empty(),
            &revoked.public_subkeys[0].key,
        )
        .unwrap();
    revoked.public_subkeys[0].signatures.push(revocation);
    let found = refusals(read(&signed, &keyring(&[revoked.to_bytes().unwrap()])));
    assert!(matches!(found[..], [Refusal::Revoked { .. }]), "{found:?}");
}

#[test]
fn an_expired_key_is_refused_unless_it_signed_in_its_time() {
    let text = text();
    let signed = clearsigned(&text, vec![sign(signer(), &text)]);
    // The key was made a year before the release, and is given another day beyond it.
    let lives = Duration::from_secs(366 * 86_400);
    let config = own_signature(
        signer(),
        SignatureType::Key,
        DATE,
        vec![SubpacketData::KeyExpirationTime(lives)],
    );
    let signature = config
        .sign_key(
            &signer().primary_key,
            &Password::empty(),
            signer().primary_key.public_key(),
        )
        .unwrap();
    let mut mortal = pgp::composed::SignedPublicKey::from(signer().clone());
    // Key signatures are judged by the newest; those that the key was made with are of
    // the time at which the test runs.
    mortal.details.users.clear();
    mortal.details.direct_signatures = vec![signature];
    let ring = keyring(&[mortal.to_bytes().unwrap()]);
    read(&signed, &ring).unwrap();
    let late = Judgement {
        now: DATE + 2 * 86_400,
        ..JUDGEMENT
    };
    let found = refusals(Release::from_inrelease(&signed, &ring, late));
    assert!(matches!(found[..], [Refusal::Expired { .. }]), "{found:?}");
    let frozen = Judgement {
        allow_expired: true,
        ..late
    };
    Release::from_inrelease(&signed, &ring, frozen).unwrap();
    // What an expired key signs after its end never counts.
    let signature = sign_with(
        &signer().primary_key,
        HashAlgorithm::Sha256,
        DATE + 3 * 86_400,
        &text,
    );
    let signed = clearsigned(&text, vec![signature]);
    let frozen = Judgement {
        now: DATE + 9 * 86_400,
        allow_expired: true,
    };
    assert!(Release::from_inrelease(&signed, &ring, frozen).is_err());
}

#[test]
fn a_subkey_that_did_not_agree_is_refused() {
    let text = text();
    let victim = key(7);
    let signed = clearsigned(&text, vec![sign(&victim, &text)]);
    // The keyring's key claims the victim's subkey for itself.
    let mut thief = pgp::composed::SignedPublicKey::from(signer().clone());
    let mut claimed = pgp::composed::SignedPublicKey::from(victim)
        .public_subkeys
        .remove(0);
    let mut flags = pgp::packet::KeyFlags::default();
    flags.set_sign(true);
    let config = own_signature(
        signer(),
        SignatureType::SubkeyBinding,
        DATE,
        vec![SubpacketData::KeyFlags(flags)],
    );
    let binding = config
        .sign_subkey_binding(
            &signer().primary_key,
            signer().primary_key.public_key(),
            &Password::empty(),
            &claimed.key,
        )
        .unwrap();
    claimed.signatures = vec![binding];
    thief.public_subkeys.push(claimed);
    let found = refusals(read(&signed, &keyring(&[thief.to_bytes().unwrap()])));
    assert!(
        matches!(found[..], [Refusal::NotForSigning { .. }]),
        "{found:?}"
    );
}

#[test]
fn a_detached_signature_is_verified() {
    let text = text();
    let detached = pgp::composed::DetachedSignature::new(sign(signer(), &text));
    let armored = detached.to_armored_bytes(Default::default()).unwrap();
    let read = |text: &str, signature: &[u8]| {
        Release::from_detached(text.as_bytes(), signature, &ours(), JUDGEMENT)
    };
    assert_eq!(
        read(&text, &armored).unwrap().codename.as_deref(),
        Some("calm")
    );
    assert!(read(&text.replace("calm", "clam"), &armored).is_err());
    for nothing in [&b""[..], b"nonsense", b"-----BEGIN PGP SIGNATURE-----\n"] {
        assert!(read(&text, nothing).is_err());
    }
}

#[test]
fn what_is_no_release_file_is_refused() {
    for (from, to) in [
        ("Date: Sat, 11 Jul 2026 10:16:37 UTC\n", ""),
        ("Date: Sat, 11 Jul", "Date: once"),
        ("Label: Test", "origin: Evil"),
        ("Label: Test", "no colon"),
        ("Label: Test", ""),
        ("main/binary", "../binary"),
        ("main/binary", "/main/binary"),
        (" main/binary", ""),
    ] {
        let text = text().replacen(from, to, 1);
        let error = fuzz::release(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ReleaseError::Text(_)), "{to}: {error}");
    }
    fuzz::release(text().as_bytes()).unwrap();
}

#[test]
fn nothing_that_is_fed_in_makes_a_panic() {
    let text = text();
    let signed = clearsigned(&text, vec![sign(signer(), &text)]);
    let public = public(signer());
    let whole = fuzz::inrelease(&signed, &public, DATE).unwrap();
    for at in 0..signed.len() {
        // Without its last line end it still is whole.
        let cut = fuzz::inrelease(&signed[..at], &public, DATE);
        assert!(cut.is_err() || cut.unwrap() == whole, "{at}");
        let _ = fuzz::signatures(&signed[at..]);
    }
    for at in 0..public.len() {
        let mut changed = public.clone();
        changed[at] ^= 0x55;
        let _ = fuzz::keyring(&changed);
        let _ = fuzz::keyring(&public[..at]);
    }
}
