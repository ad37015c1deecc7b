#!/usr/bin/env python3
"""Makes good.zip and the folder bad/, where each zip has one flaw.

Both are committed; run this again after a change of the format.
"""

import copy
import pathlib
import struct
import zlib

import second_reader as second

HERE = pathlib.Path(__file__).parent


def gzip_stored(content):
    """A gzip whose bytes no version of zlib can change: one stored block."""
    length = struct.pack("<HH", len(content), len(content) ^ 0xFFFF)
    end = struct.pack("<II", zlib.crc32(content), len(content))
    return bytes.fromhex("1f8b08000000000000ff01") + length + content + end


CONTENTS = {
    "kernel": b"a kernel, as far as a zip can tell\n",
    "initramfs.gz": gzip_stored(b"an initramfs, likewise\n"),
    "recipe.yaml": b"name: sample\n",
    "recipe.lock": b"{}\n",
    "files/etc/motd": "Grüße\n".encode(),
    "files/run.sh": b"#!/bin/sh\n",
    "empty": b"",
}


def digest_of(content):
    return {"sha256": second.sha256(content), "size": len(content)}


def manifest():
    entries = {name: digest_of(content) for name, content in CONTENTS.items()}
    entries["files/run.sh"]["executable"] = True
    return {
        "format": "lunikernel/1",
        "name": "sample",
        "version": "1.0",
        "flavour": "debian",
        "arch": "x86_64",
        "boot": {"protocol": "linux", "cmdline": "console=ttyS0", "min_memory_mib": 64},
        "devices": {"net": True, "block": False},
        "overlay": {"kind": "initramfs"},
        "entries": entries,
        "recipe": digest_of(CONTENTS["recipe.yaml"]),
        "lock": digest_of(CONTENTS["recipe.lock"]),
        "inputs": [
            {"kind": "deb", "name": "busybox", "version": "1:1.35.0-4", **digest_of(b"b"),
             "licence": "GPL-2.0-only"},
            {"kind": "file", "name": "Grüße", **digest_of(b"g")},
        ],
    }


GOOD = second.write(manifest(), CONTENTS)
TEXT = second.canonical(manifest())
ORDER = [(second.MANIFEST, TEXT)] + sorted(CONTENTS.items())
END = len(GOOD) - 22
(DIRECTORY,) = struct.unpack("<I", GOOD[END + 16 : END + 20])


def patch(at, replacement, data=GOOD):
    assert data[at : at + len(replacement)] != replacement
    return data[:at] + replacement + data[at + len(replacement) :]


def record(name):
    """Where the directory record of `name` begins."""
    at = DIRECTORY
    for other, _ in ORDER:
        if other == name:
            return at
        at += 46 + len(other)
    raise KeyError(name)


def local(name):
    """Where the local header of `name` begins."""
    return struct.unpack("<I", GOOD[record(name) + 42 : record(name) + 46])[0]


def in_record(name, at, replacement):
    return patch(record(name) + at, replacement)


def with_manifest(change):
    value = manifest()
    change(value)
    text = second.canonical(value)
    return second.write_entries([(second.MANIFEST, text)] + ORDER[1:])


def with_text(text):
    return second.write_entries([(second.MANIFEST, text)] + ORDER[1:])


def with_entries(change):
    """Entries that the zip's list and the manifest's agree on."""
    contents = dict(CONTENTS)
    change(contents)
    value = manifest()
    value["entries"] = {name: digest_of(content) for name, content in contents.items()}
    text = second.canonical(value)
    return second.write_entries([(second.MANIFEST, text)] + sorted(contents.items()))


def content_changed(name, in_headers):
    at = local(name) + 30 + len(name)
    data = patch(at, b"X")
    if in_headers:
        size = len(CONTENTS[name])
        crc = struct.pack("<I", zlib.crc32(data[at : at + size]))
        data = patch(local(name) + 14, crc, data)
        data = patch(record(name) + 16, crc, data)
    return data


def gap():
    """Bytes between the last entry and the directory."""
    end = second.end_record(len(ORDER), END - DIRECTORY, DIRECTORY + 4)
    return GOOD[:DIRECTORY] + b"gap!" + GOOD[DIRECTORY:END] + end


def leading():
    return b"#!/bin/sh\n" + GOOD


def shorter_directory():
    cut = GOOD[: END - 1]
    return cut + second.end_record(len(ORDER), END - 1 - DIRECTORY, DIRECTORY)


def setter(*path):
    *folders, key, value = path

    def change(manifest):
        for folder in folders:
            manifest = manifest[folder]
        manifest[key] = value

    return change


BAD = {
    # The zip as a whole
    "empty": b"",
    "no-zip": b"This is a text that is long enough to hold an end record.\n",
    "no-entries": second.write_entries([]),
    "cut-off": GOOD[:-1],
    "trailing-bytes": GOOD + b"\0",
    "comment": patch(END + 20, b"\x04\x00") + b"hello"[:4],
    "comment-missing": patch(END + 20, b"\x04\x00"),
    "leading-bytes": leading(),
    "zip64-end": patch(END + 16, b"\xff\xff\xff\xff"),
    "volumes": patch(END + 4, b"\x01\x00"),
    "count-on-disk": patch(END + 8, b"\x01\x00"),
    "too-many": patch(END + 8, struct.pack("<HH", 10_001, 10_001)),
    "count-less": patch(END + 8, struct.pack("<HH", len(ORDER) - 1, len(ORDER) - 1)),
    "count-more": patch(END + 8, struct.pack("<HH", len(ORDER) + 1, len(ORDER) + 1)),
    "directory-damaged": patch(DIRECTORY, b"XX"),
    "directory-short": shorter_directory(),
    "directory-oversized": second.write_entries(ORDER[:1])[:-22] + bytes(400)
    + second.end_record(1, 61 + 400, 30 + 15 + len(TEXT)),
    "gap": gap(),
    # Entries
    "not-first": second.write_entries(ORDER[1:] + ORDER[:1]),
    "no-manifest": second.write_entries(ORDER[1:]),
    "twice": second.write_entries(ORDER + ORDER[-1:]),
    "manifest-twice": second.write_entries(ORDER[:-3] + ORDER[:1] + ORDER[-3:]),
    "order": second.write_entries([ORDER[0], ORDER[2], ORDER[1]] + ORDER[3:]),
    "name-parent": second.write_entries(ORDER[:1] + [("../evil", b"x")] + ORDER[1:]),
    "name-absolute": second.write_entries(ORDER[:1] + [("/etc/passwd", b"x")] + ORDER[1:]),
    "name-folder": second.write_entries(ORDER[:2] + [("files/", b"")] + ORDER[2:]),
    "name-space": second.write_entries(ORDER[:1] + [("a b", b"x")] + ORDER[1:]),
    "name-backslash": second.write_entries(ORDER[:1] + [("..\\evil", b"x")] + ORDER[1:]),
    "name-escape": second.write_entries(ORDER[:1] + [("\x1b[31mred", b"x")] + ORDER[1:]),
    "name-empty": second.write_entries(ORDER[:1] + [("", b"x")] + ORDER[1:]),
    "name-long": second.write_entries(ORDER[:1] + [("a" * 256, b"x")] + ORDER[1:]),
    "inside-entry": second.write_entries(ORDER + [("recipe.yaml/x", b"x")]),
    "encrypted": in_record("kernel", 8, b"\x01"),
    "descriptor": in_record("kernel", 8, b"\x08"),
    "utf8-flag": in_record("kernel", 9, b"\x08"),
    "deflated": in_record("kernel", 10, b"\x08"),
    "extra-field": in_record("kernel", 30, b"\x04"),
    "entry-comment": in_record("kernel", 32, b"\x04"),
    "zip64-entry": in_record("kernel", 24, b"\xff\xff\xff\xff"),
    "symlink": in_record("kernel", 38, struct.pack("<I", 0o120777 << 16)),
    "mode": in_record("kernel", 38, struct.pack("<I", 0o100755 << 16)),
    "dos-attributes": in_record("kernel", 38, b"\x20"),
    "time": in_record("kernel", 14, b"\x22"),
    "made-by": in_record("kernel", 4, b"\x1e"),
    "two-sizes": in_record("kernel", 20, b"\x01"),
    "size-lie": in_record("recipe.yaml", 20, struct.pack("<II", 1 << 30, 1 << 30)),
    "offset": in_record("kernel", 42, b"\xff"),
    "local-name": patch(local("kernel") + 30, b"c"),
    "local-size": patch(local("kernel") + 18, b"\x01"),
    "local-extra": patch(local("kernel") + 28, b"\x01"),
    # Contents
    "content": content_changed("kernel", False),
    "content-and-crc": content_changed("kernel", True),
    "manifest-content": patch(45, b"["),
    "no-gzip": with_entries(lambda it: it.update({"initramfs.gz": b"no gzip"})),
    # The manifest
    "unlisted": second.write_entries(ORDER + [("zzz", b"x")]),
    "missing": second.write_entries(ORDER[:-1]),
    "missing-between": second.write_entries(ORDER[:1] + ORDER[2:]),
    "size-differs": second.write_entries(ORDER[:-1] + [("recipe.yaml", b"x")]),
    "manifest-no-json": with_text(b"{"),
    "manifest-spaces": with_text(TEXT.replace(b":", b": ", 1)),
    "manifest-newline": with_text(TEXT + b"\n"),
    "manifest-twice-a-key": with_text(TEXT.replace(b'"net":true', b'"net":true,"net":true')),
    "manifest-twice-an-entry": with_text(
        TEXT.replace(b'"entries":{', b'"entries":{"empty":'
                     + second.canonical(digest_of(b"")) + b",")),
    "manifest-upper-case": with_text(
        TEXT.replace(second.sha256(CONTENTS["kernel"]).encode(),
                     b"sha256:" + second.sha256(CONTENTS["kernel"])[7:].upper().encode())),
    "manifest-escape": with_text(TEXT.replace(b"console", b"\\u0063onsole")),
    "manifest-deep": with_text(b"[" * 100_000),
    "unknown-key": with_manifest(setter("extra", 1)),
    "unknown-key-deep": with_manifest(setter("boot", "extra", 1)),
    "unknown-key-overlay": with_manifest(setter("overlay", "extra", 1)),
    "missing-key": with_manifest(lambda it: it.pop("arch")),
    "format": with_manifest(setter("format", "lunikernel/2")),
    "name-value": with_manifest(setter("name", "Sample!")),
    "version-value": with_manifest(setter("version", "")),
    "protocol": with_manifest(setter("boot", "protocol", "uefi")),
    "cmdline": with_manifest(setter("boot", "cmdline", "a\nb")),
    "memory": with_manifest(setter("boot", "min_memory_mib", 0)),
    "memory-fraction": with_manifest(setter("boot", "min_memory_mib", 1.5)),
    "not-linux": with_manifest(setter("boot", "protocol", "multiboot")),
    "executable": with_manifest(setter("entries", "kernel", "executable", True)),
    "executable-false": with_manifest(setter("entries", "files/run.sh", "executable", False)),
    "entry-name": with_manifest(setter("entries", "../x", digest_of(b""))),
    "recipe-digest": with_manifest(setter("recipe", digest_of(b"other"))),
    "recipe-missing": with_manifest(lambda it: it.pop("recipe")),
    "inputs-order": with_manifest(lambda it: it["inputs"].reverse()),
    "input-twice": with_manifest(lambda it: it["inputs"].append(copy.copy(it["inputs"][1]))),
    "input-size": with_manifest(setter("inputs", 0, "size", 1 << 53)),
}


def main():
    (HERE / "good.zip").write_bytes(GOOD)
    folder = HERE / "bad"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.zip"):
        old.unlink()
    for name, data in BAD.items():
        (folder / f"{name}.zip").write_bytes(data)


if __name__ == "__main__":
    main()
