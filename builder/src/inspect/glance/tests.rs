use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use lunikernel_cache::artefact::{
    Boot, Devices, EntrySource, Format, KERNEL, LOCK, Manifest, Overlay, Protocol, RECIPE, seal,
};
use lunikernel_cache::{Cache, Node, Rootfs, Silent};

use super::*;
use crate::assemble::cpio;
use crate::overlay::{HISTORY, Limits, Paths, prepare};

const BUILT_IN: &str = "lib/modules/6.1/modules.builtin";

struct Lab {
    folder: tempfile::TempDir,
    cache: Cache,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        Self { folder, cache }
    }

    /// A gzip member of these files.
    fn packed(&self, files: &[(&str, &str)]) -> Vec<u8> {
        let blobs = self.cache.blobs();
        let mut root = Rootfs::new();
        for (path, content) in files {
            let content = blobs.put(content.as_bytes()).unwrap();
            root.insert(path, Node::file(0o644, content)).unwrap();
        }
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        cpio::write(&root, blobs, 0, &mut packed).unwrap();
        packed.finish().unwrap()
    }

    /// A Lunikernel with these entries, built from a lock or not.
    fn sealed(&self, is_built: bool, entries: &[(&str, &[u8])]) -> Artefact {
        self.sealed_with(b"kernel", is_built, entries)
    }

    fn sealed_with(&self, kernel: &[u8], is_built: bool, entries: &[(&str, &[u8])]) -> Artefact {
        let blobs = self.cache.blobs();
        let of = |name: &str, bytes: &[u8]| {
            let digest = blobs.put(bytes).unwrap();
            EntrySource::of_blob(blobs, name, digest).unwrap()
        };
        let mut sources: Vec<EntrySource> = entries.iter().map(|it| of(it.0, it.1)).collect();
        sources.push(of(KERNEL, kernel));
        let from = is_built.then(|| [of(RECIPE, b"recipe"), of(LOCK, b"lock")]);
        let manifest = Manifest {
            format: Format::V1,
            name: "sample".to_owned(),
            version: "1".to_owned(),
            flavour: "debian".to_owned(),
            arch: "x86_64".to_owned(),
            boot: Boot {
                protocol: Protocol::Linux,
                cmdline: String::new(),
                min_memory_mib: 64,
            },
            devices: Devices::default(),
            overlay: Overlay::Initramfs {},
            entries: BTreeMap::new(),
            recipe: from.as_ref().map(|it| it[0].digest),
            lock: from.as_ref().map(|it| it[1].digest),
            inputs: Vec::new(),
        };
        sources.extend(from.into_iter().flatten());
        let sealed = seal(blobs, manifest, &sources, &Silent).unwrap();
        Artefact::open(&blobs.path(&sealed.digest.sha256)).unwrap()
    }

    /// As it is built: with the list of its paths.
    fn built(&self, packed: &[u8]) -> Artefact {
        self.sealed(true, &[(INITRAMFS, packed), (PATHS, &paths(packed))])
    }

    fn overlaid(&self, base: &Artefact, number: usize, files: &[(&str, &str)]) -> Artefact {
        let top = self.folder.path().join(format!("overlay-{number}"));
        for (path, content) in files {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let (limits, blobs) = (Limits::default(), self.cache.blobs());
        let prepared = prepare(base, &[top], &limits, blobs, &Silent).unwrap();
        let mut zip = Vec::new();
        prepared.write(&mut zip, &Silent).unwrap();
        Artefact::from_bytes(zip, "overlaid").unwrap()
    }
}

fn paths(packed: &[u8]) -> Vec<u8> {
    Paths::of_initramfs(packed).unwrap().to_json().unwrap()
}

fn unpacked(packed: &[u8]) -> u64 {
    let mut reader = flate2::read::MultiGzDecoder::new(packed);
    io::copy(&mut reader, &mut io::sink()).unwrap()
}

/// The initramfs, and what is found without reading all of it.
fn quick(artefact: &Artefact) -> Option<(u64, Option<Vec<String>>)> {
    let initramfs = Initramfs::of(artefact).unwrap();
    let members = initramfs.members()?;
    let found = initramfs.drivers(&members, |_| false)?;
    Some((initramfs.unpacked(&members)?, found.drivers.map(names)))
}

fn names(drivers: BTreeSet<String>) -> Vec<String> {
    drivers.into_iter().collect()
}

/// What is found, which must be what reading all of it finds.
fn found(artefact: &Artefact) -> (u64, Option<Vec<String>>) {
    let found = glance(artefact, |_| false).unwrap();
    let (size, all) = Initramfs::of(artefact).unwrap().read_all().unwrap();
    assert_eq!((found.unpacked, &found.drivers), (size, &all.drivers));
    assert_eq!(found.without.is_some(), all.others_alone);
    let modules = glance(artefact, |_| true).unwrap();
    assert_eq!(modules.unpacked, size);
    assert_eq!(modules.drivers.is_some(), all.drivers.is_some());
    assert!(
        modules
            .drivers
            .unwrap_or_default()
            .is_subset(&all.drivers.unwrap_or_default())
    );
    (found.unpacked, found.drivers.map(names))
}

#[test]
fn drivers_are_modules_and_what_the_list_has() {
    let lab = Lab::new();
    let packed = lab.packed(&[
        (BUILT_IN, "kernel/drivers/nvme/nvme.ko\nkernel/fs/ext4.ko\n"),
        ("lib/modules/6.1/kernel/net/virtio-net.ko.xz", "module"),
        ("lib/other.ko", "elsewhere"),
        ("usr/bin/program", &"program ".repeat(1000)),
    ]);
    let expected = (
        unpacked(&packed),
        Some(["ext4", "nvme", "virtio_net"].map(str::to_owned).to_vec()),
    );
    let built = lab.built(&packed);
    assert_eq!(quick(&built).unwrap(), expected);
    assert_eq!(found(&built), expected);
    // Without the list of its paths, or a word of how it was built, all of it is read.
    let listed = paths(&packed);
    for artefact in [
        lab.sealed(true, &[(INITRAMFS, &packed)]),
        lab.sealed(false, &[(INITRAMFS, &packed), (PATHS, &listed)]),
    ] {
        assert_eq!(quick(&artefact), None);
        assert_eq!(found(&artefact), expected);
    }
}

#[test]
fn without_a_list_nothing_is_said_of_drivers() {
    let lab = Lab::new();
    let packed = lab.packed(&[("lib/modules/6.1/kernel/nvme.ko", "module")]);
    let expected = (unpacked(&packed), None);
    assert_eq!(found(&lab.built(&packed)), expected);
    // Nothing is unpacked for it: what is broken would not even be seen.
    let mut broken = packed.clone();
    broken[15..30].fill(0xff);
    let artefact = lab.sealed(true, &[(INITRAMFS, &broken), (PATHS, &paths(&packed))]);
    assert_eq!(quick(&artefact), Some(expected));
    let artefact = lab.sealed(true, &[(INITRAMFS, &broken)]);
    let error = glance(&artefact, |_| false).unwrap_err();
    assert!(matches!(error, InspectError::Initramfs { .. }), "{error}");
}

#[test]
fn lists_are_not_read_where_modules_are_enough() {
    let lab = Lab::new();
    let packed = lab.packed(&[
        (BUILT_IN, "kernel/nvme.ko\n"),
        ("lib/modules/6.1/kernel/gve.ko", "module"),
    ]);
    let mut broken = packed.clone();
    broken[15..30].fill(0xff);
    let artefact = lab.sealed(true, &[(INITRAMFS, &broken), (PATHS, &paths(&packed))]);
    let found = glance(&artefact, |it| it.contains("gve")).unwrap();
    assert_eq!(names(found.drivers.unwrap()), ["gve"]);
    assert!(glance(&artefact, |it| it.contains("nvme")).is_err());
}

#[test]
fn nothing_is_unpacked_behind_the_last_list() {
    let lab = Lab::new();
    // More than is read ahead, and not to be compressed.
    let mut state = 1u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b' ' + (state >> 58) as u8)
    };
    let long: String = (0..3 << 20).map(|_| noise()).collect();
    let packed = lab.packed(&[(BUILT_IN, "kernel/nvme.ko\n"), ("usr/bin/long", &long)]);
    let mut broken = packed.clone();
    let behind = broken.len() - 1000;
    broken[behind..behind + 900].fill(0xff);
    let artefact = lab.sealed(true, &[(INITRAMFS, &broken), (PATHS, &paths(&packed))]);
    let found = glance(&artefact, |_| false).unwrap();
    assert_eq!(found.unpacked, unpacked(&packed));
    assert_eq!(names(found.drivers.unwrap()), ["nvme"]);
}

#[test]
fn a_size_is_believed_where_it_can_be_the_whole_one_alone() {
    let lab = Lab::new();
    // Stored, so that its own size is known.
    let built = |size: u64| {
        let content = lab.cache.blobs().put(&vec![b'x'; size as usize]).unwrap();
        let mut root = Rootfs::new();
        root.insert("it", Node::file(0o644, content)).unwrap();
        let mut packed = GzEncoder::new(Vec::new(), Compression::none());
        cpio::write(&root, lab.cache.blobs(), 0, &mut packed).unwrap();
        packed.finish().unwrap()
    };
    let (small, large) = (built(LARGEST - 4096), built(LARGEST));
    assert!((small.len() as u64) < LARGEST && large.len() as u64 > LARGEST);
    const { assert!(LARGEST * MAX_RATIO < 1 << 32 && (LARGEST + 1) * MAX_RATIO >= 1 << 32) };
    let (small, large) = (lab.built(&small), lab.built(&large));
    assert!(quick(&small).is_some());
    assert_eq!(quick(&large), None);
    assert_eq!(found(&large).0, found(&small).0 + 4096);
}

#[test]
fn overlays_count_and_the_last_list_of_a_path_is_the_one() {
    let lab = Lab::new();
    let packed = lab.packed(&[
        (BUILT_IN, "kernel/nvme.ko\n"),
        ("lib/modules/6.1/kernel/ena.ko", "module"),
        ("etc/old", "old"),
    ]);
    let base = lab.built(&packed);
    let of = |names: &[&str]| Some(names.iter().map(|it| (*it).to_owned()).collect());

    let first = lab.overlaid(&base, 1, &[("lib/modules/6.1/kernel/gve.ko", "module")]);
    let (size, drivers) = found(&first);
    assert_eq!(Some((size, drivers.clone())), quick(&first));
    assert_eq!(drivers, of(&["ena", "gve", "nvme"]));
    assert!(size > unpacked(&packed));

    let second = lab.overlaid(&first, 2, &[(BUILT_IN, "kernel/virtio_blk.ko\n")]);
    assert_eq!(Some(found(&second)), quick(&second));
    assert_eq!(found(&second).1, of(&["ena", "gve", "virtio_blk"]));

    // Written anew, the archives are one member, in which the last list is the one.
    let third = lab.overlaid(&second, 3, &[("etc/.wh.old", "")]);
    let fourth = lab.overlaid(&third, 4, &[("etc/new", "new")]);
    for artefact in [&third, &fourth] {
        assert_eq!(quick(artefact), None);
        assert_eq!(found(artefact).1, of(&["ena", "gve", "virtio_blk"]));
    }
    let anew = lab.overlaid(&base, 5, &[("etc/.wh.old", "")]);
    assert_eq!(Some(found(&anew)), quick(&anew));
    assert_eq!(found(&anew).1, of(&["ena", "nvme"]));
}

#[test]
fn what_does_not_add_up_is_read() {
    let lab = Lab::new();
    let files = [(BUILT_IN, "kernel/nvme.ko\n"), ("init", "init")];
    let packed = lab.packed(&files);
    let drivers = Some(vec!["nvme".to_owned()]);
    let expected = (unpacked(&packed), drivers.clone());
    let list = paths(&packed);

    // Two members where one is expected, the last of them smaller than what is packed.
    let large: String = (0..20_000).map(|it| format!("{it:x}")).collect();
    let two = [lab.packed(&[("large", &large)]), packed.clone()].concat();
    let artefact = lab.built(&two);
    assert_eq!(quick(&artefact), None);
    assert_eq!(found(&artefact), (unpacked(&two), drivers));

    // Lists of paths that are none, or name what is not there.
    let absent = br#"{"lib/modules/6.2/modules.builtin":"file"}"#;
    for lie in [b"[]".as_slice(), b"{", b"", absent] {
        let artefact = lab.sealed(true, &[(INITRAMFS, &packed), (PATHS, lie)]);
        assert_eq!(quick(&artefact), None);
        assert_eq!(found(&artefact), expected);
    }

    // Overlays that cannot be: larger than all, and beginning in the middle of a member.
    for size in [u64::from(u32::MAX), 40, packed.len() as u64 - 3, 0] {
        let history = format!(
            r#"{{"format":"lunikernel-overlays/1","overlays":[{{"base":{it},"content":[{it}],"removed":[],"rewritten":false,"segment":{it}}}]}}"#,
            it = format_args!(r#"{{"sha256":"sha256:{}","size":{size}}}"#, "0".repeat(64))
        );
        let entries = [
            (INITRAMFS, packed.as_slice()),
            (PATHS, &list),
            (HISTORY, history.as_bytes()),
        ];
        let artefact = lab.sealed(true, &entries);
        assert!(History::of(&artefact).is_ok_and(|it| it.overlays.len() == 1));
        assert_eq!(quick(&artefact), None, "{size}");
        assert_eq!(found(&artefact), expected, "{size}");
    }

    // A size that cannot be is not believed, and the member is broken then.
    for said in [0u32, 10, u32::MAX] {
        let mut lie = packed.clone();
        let at = lie.len() - 4;
        lie[at..].copy_from_slice(&said.to_le_bytes());
        let artefact = lab.sealed(true, &[(INITRAMFS, &lie), (PATHS, &list)]);
        assert!(glance(&artefact, |_| false).is_err(), "{said}");
    }
}

/// The start of a bzImage that says it is of `version`.
fn kernel(version: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
    bytes[0x300..0x300 + version.len()].copy_from_slice(version);
    bytes
}

#[test]
fn modules_of_another_release_are_none() {
    let lab = Lab::new();
    let of = |kernel: &[u8], files: &[&str]| {
        let files: Vec<_> = files
            .iter()
            .map(|path| (*path, "kernel/nvme.ko\n"))
            .collect();
        let packed = lab.packed(&files);
        let listed = paths(&packed);
        let quickly = [(INITRAMFS, packed.as_slice()), (PATHS, &listed)];
        // From the list of its paths, and by reading all of it.
        let [quick, slow] = [&quickly[..], &quickly[..1]].map(|entries| {
            let artefact = lab.sealed_with(kernel, true, entries);
            found(&artefact);
            let found = glance(&artefact, |_| false).unwrap();
            (found.drivers.map(names), found.without)
        });
        assert_eq!(quick, slow);
        quick
    };
    let own = kernel(b"6.1 (builder@host) #1\0");
    let list = "usr/lib/modules/6.1/modules.builtin";
    let foreign = "lib/modules/5.10-other/kernel/virtio_net.ko";
    let named = |names: &[&str]| Some(names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
    assert_eq!(of(&own, &[list, foreign]), (named(&["nvme"]), None));
    let elsewhere = "srv/modules/6.1/kernel/virtio_net.ko";
    assert_eq!(of(&own, &[list, elsewhere]), (named(&["nvme"]), None));
    let module = "lib/modules/6.1/kernel/virtio-net.ko";
    let both = named(&["nvme", "virtio_net"]);
    assert_eq!(of(&own, &[list, foreign, module]), (both.clone(), None));
    let others = ["lib/modules/5.10-other/modules.builtin", foreign];
    assert_eq!(of(&own, &others), (None, Some("6.1".to_owned())));
    // A list beside the folders is of the one kernel there is.
    assert_eq!(
        of(&own, &["usr/lib/modules/modules.builtin"]),
        (named(&["nvme"]), None)
    );
    // Whose release nobody knows, it is of any.
    assert_eq!(of(b"kernel", &[list, foreign]), (both, None));
}

/// A history of overlays, by the sizes of what they put behind, and whether each of them
/// was written anew.
fn history(overlays: &[(usize, bool)]) -> String {
    let overlays: Vec<String> = overlays
        .iter()
        .map(|(size, rewritten)| {
            let it = format!(r#"{{"sha256":"sha256:{}","size":{size}}}"#, "0".repeat(64));
            format!(
                r#"{{"base":{it},"content":[{it}],"removed":[],"rewritten":{rewritten},"segment":{it}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"format":"lunikernel-overlays/1","overlays":[{}]}}"#,
        overlays.join(",")
    )
}

#[test]
fn what_was_written_anew_behind_an_overlay_is_read() {
    let lab = Lab::new();
    let [base, one, two] = ["base", "one", "two"].map(|name| lab.packed(&[(name, name)]));
    let packed = [base, one.clone(), two.clone()].concat();
    let list = paths(&packed);
    for (first, second) in [(false, false), (true, false), (false, true), (true, true)] {
        let history = history(&[(one.len(), first), (two.len(), second)]);
        let entries = [
            (INITRAMFS, packed.as_slice()),
            (PATHS, &list),
            (HISTORY, history.as_bytes()),
        ];
        let artefact = lab.sealed(true, &entries);
        assert_eq!(quick(&artefact).is_none(), second, "{first} {second}");
        assert_eq!(found(&artefact), (unpacked(&packed), None));
    }
}

#[test]
fn what_is_no_member_is_not_taken_for_one() {
    let lab = Lab::new();
    let packed = lab.packed(&[("file", "text")]);
    let list = paths(&packed);
    let overlaid = |packed: &[u8], last: usize| {
        let history = history(&[(last, false)]);
        let entries = [
            (INITRAMFS, packed),
            (PATHS, &list),
            (HISTORY, history.as_bytes()),
        ];
        quick(&lab.sealed(true, &entries))
    };
    let whole = [packed.as_slice(), packed.as_slice()].concat();
    let size = unpacked(&whole);
    assert_eq!(overlaid(&whole, packed.len()), Some((size, None)));
    // It says a size that may be, and begins with nothing that a member begins with.
    let mut other = whole.clone();
    other[packed.len()] = 0;
    assert_eq!(overlaid(&other, packed.len()), None);
    // It begins as one, and is too short to say a size.
    let short = [&MAGIC, packed.as_slice()].concat();
    assert_eq!(overlaid(&short, packed.len()), None);
}

/// What cannot be made smaller is stored, and is larger by the header and some bytes.
#[test]
fn a_member_may_be_larger_than_what_it_unpacks_to() {
    let lab = Lab::new();
    let archive = lab.packed(&[("file", "text")]);
    let mut archive = flate2::read::GzDecoder::new(archive.as_slice());
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    let size = io::copy(&mut archive, &mut packed).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() as u64 > size + size / 512);
    assert_eq!(quick(&lab.built(&packed)), Some((size, None)));
}

#[test]
fn lists_are_read_to_a_limit() {
    let lab = Lab::new();
    let line = "kernel/nvme.ko\n";
    let long = line.repeat(MAX_LISTS as usize / line.len() + 1);
    let packed = lab.packed(&[(BUILT_IN, &format!("{long}kernel/gve.ko\n"))]);
    let artefact = lab.built(&packed);
    assert_eq!(found(&artefact).1, Some(vec!["nvme".to_owned()]));
    // In all, not each.
    let half = &long[..long.len() / line.len() / 2 * line.len()];
    let lists = [
        (BUILT_IN, format!("{half}kernel/ena.ko\n")),
        (
            "lib/modules/6.2/modules.builtin",
            format!("{half}kernel/gve.ko\n"),
        ),
    ];
    let packed = lab.packed(&lists.each_ref().map(|(path, list)| (*path, list.as_str())));
    let drivers = found(&lab.built(&packed)).1;
    assert_eq!(drivers, Some(["ena", "nvme"].map(str::to_owned).to_vec()));
}

#[test]
fn an_archive_without_anything_is_one() {
    let lab = Lab::new();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let mut archive = Vec::new();
    cpio::write(&Rootfs::new(), lab.cache.blobs(), 0, &mut archive).unwrap();
    packed.write_all(&archive).unwrap();
    let artefact = lab.built(&packed.finish().unwrap());
    assert_eq!(found(&artefact), (archive.len() as u64, None));
}

#[test]
fn modules_are_known_by_their_files() {
    let found = |path: &str| module(path);
    let path = "usr/lib/modules/6.1/kernel/drivers/net/virtio-net.ko.xz";
    assert_eq!(found(path).as_deref(), Some("virtio_net"));
    assert_eq!(found("kernel/nvme.ko").as_deref(), Some("nvme"));
    assert_eq!(found("usr/lib/modules/6.1/modules.dep"), None);
    assert_eq!(found("nvme.ko/readme"), None);
}
