use super::*;

fn entry(content: &[u8]) -> Entry {
    Entry {
        sha256: Sha256::of(content),
        size: content.len() as u64,
        executable: false,
    }
}

fn unikernel() -> Manifest {
    Manifest {
        format: Format::V1,
        name: "mirror".to_owned(),
        version: "2024~rc.1".to_owned(),
        flavour: "mirage".to_owned(),
        arch: "x86_64".to_owned(),
        boot: Boot {
            protocol: Protocol::Solo5Hvt,
            cmdline: String::new(),
            min_memory_mib: 32,
        },
        devices: Devices::default(),
        overlay: Overlay::Block {
            device: "storage".to_owned(),
        },
        entries: BTreeMap::from([("kernel".to_owned(), entry(b"k"))]),
        recipe: None,
        lock: None,
        inputs: Vec::new(),
    }
}

#[test]
fn what_is_written_is_read() {
    let text = unikernel().to_canonical().unwrap();
    assert_eq!(Manifest::parse(&text), Ok(unikernel()));
    assert!(text.starts_with(br#"{"arch":"x86_64","boot":{"cmdline":"","#));
}

#[test]
fn protocols_have_the_names_of_the_specification() {
    for (protocol, name) in [
        (Protocol::Linux, "linux"),
        (Protocol::Multiboot, "multiboot"),
        (Protocol::Multiboot2, "multiboot2"),
        (Protocol::Solo5Hvt, "solo5-hvt"),
        (Protocol::Solo5Spt, "solo5-spt"),
        (Protocol::Solo5Virtio, "solo5-virtio"),
        (Protocol::Solo5Muen, "solo5-muen"),
        (Protocol::XenPvh, "xen-pvh"),
    ] {
        assert_eq!(serde_json::to_value(protocol).unwrap(), name);
        assert_eq!(protocol.name(), name);
    }
}

/// The pointer of the value that is complained about after `change`.
fn complaint(change: impl FnOnce(&mut Manifest)) -> String {
    let mut manifest = unikernel();
    change(&mut manifest);
    match manifest.to_canonical() {
        Err(ManifestError::Value { pointer, .. }) => pointer,
        other => format!("{other:?}"),
    }
}

#[test]
fn a_wrong_value_cannot_be_written() {
    let input = |name: &str, size| Input {
        kind: "deb".to_owned(),
        name: name.to_owned(),
        version: None,
        sha256: Sha256::of(b""),
        size,
        licence: None,
    };
    assert_eq!(complaint(|it| it.name = "-a".to_owned()), "/name");
    assert_eq!(complaint(|it| it.name = "a".repeat(129)), "/name");
    assert_eq!(complaint(|it| it.version = "1 0".to_owned()), "/version");
    assert_eq!(complaint(|it| it.flavour = "Ä".to_owned()), "/flavour");
    assert_eq!(complaint(|it| it.arch = "x86-64".to_owned()), "/arch");
    let long = "x".repeat(2048);
    assert_eq!(complaint(|it| it.boot.cmdline = long), "/boot/cmdline");
    let memory = "/boot/min_memory_mib";
    assert_eq!(complaint(|it| it.boot.min_memory_mib = 0), memory);
    let device = |length| Overlay::Block {
        device: "a".repeat(length),
    };
    // The longest that a manifest of Solo5's has room for.
    assert!(complaint(|it| it.overlay = device(67)).starts_with("Ok("));
    assert_eq!(complaint(|it| it.overlay = device(68)), "/overlay/device");
    assert_eq!(
        complaint(|it| it.overlay = Overlay::Initramfs {}),
        "/overlay/kind"
    );
    assert_eq!(complaint(|it| it.entries.clear()), "/entries");
    assert_eq!(
        complaint(|it| it.boot.protocol = Protocol::Linux),
        "/entries"
    );
    assert_eq!(
        complaint(|it| {
            it.entries.insert("a/../b".to_owned(), entry(b""));
        }),
        "/entries/a~1..~1b"
    );
    assert_eq!(
        complaint(|it| {
            it.entries.insert("kernel/x".to_owned(), entry(b""));
        }),
        "/entries/kernel~1x"
    );
    assert_eq!(
        complaint(|it| {
            it.entries.insert("recipe.yaml".to_owned(), entry(b""));
        }),
        "/recipe"
    );
    assert_eq!(
        complaint(|it| it.inputs = vec![input("a", 1 << 53)]),
        "/inputs/0/size"
    );
    assert_eq!(
        complaint(|it| it.inputs = vec![input("b", 0), input("a", 0)]),
        "/inputs/1"
    );
    assert_eq!(
        complaint(|it| it.inputs = vec![input("a\n", 0)]),
        "/inputs/0/name"
    );
}
