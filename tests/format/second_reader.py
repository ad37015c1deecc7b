#!/usr/bin/env python3
"""A second implementation of the Lunikernel zip, written from docs/format.md alone.

    second_reader.py check ZIP…         prints each zip's SHA-256, or says what is wrong
    second_reader.py rebuild ZIP OUT    writes OUT anew from the contents of ZIP's entries

It needs nothing but Python 3's standard library, and shares no code with the first
implementation: if both agree on every byte, the specification is exact enough.
"""

import hashlib
import json
import re
import struct
import sys
import zlib

MANIFEST = "lunikernel.json"
MAX_ENTRIES = 10_000
MAX_NAME = 255
MAX_ZIP = 0xFFFF_FFFE
MAX_MANIFEST = 8 << 20
PROTOCOLS = {
    "linux",
    "multiboot",
    "multiboot2",
    "solo5-hvt",
    "solo5-spt",
    "solo5-virtio",
    "solo5-muen",
    "xen-pvh",
}


class Refused(Exception):
    """The file is no Lunikernel zip."""


def need(condition, message):
    if not condition:
        raise Refused(message)


# The zip -------------------------------------------------------------------


def local_header(name, crc, size):
    return struct.pack(
        "<4s5H3I2H", b"PK\x03\x04", 10, 0, 0, 0, 0x21, crc, size, size, len(name), 0
    ) + name.encode("ascii")


def directory_record(name, crc, size, offset):
    return struct.pack(
        "<4s6H3I5H2I",
        b"PK\x01\x02", 0x0314, 10, 0, 0, 0, 0x21, crc, size, size,
        len(name), 0, 0, 0, 0, 0o100644 << 16, offset,
    ) + name.encode("ascii")


def end_record(count, size, offset):
    return struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, size, offset, 0)


def write_entries(entries):
    """The zip of (name, content) pairs, in the order given."""
    body, directory = b"", b""
    for name, content in entries:
        crc = zlib.crc32(content)
        directory += directory_record(name, crc, len(content), len(body))
        body += local_header(name, crc, len(content)) + content
    return body + directory + end_record(len(entries), len(directory), len(body))


def write(manifest, contents):
    """The Lunikernel zip of a manifest (its `entries` are filled in) and contents."""
    executable = {n for n, e in manifest.get("entries", {}).items() if "executable" in e}
    listed = {}
    for name, content in contents.items():
        listed[name] = {"sha256": sha256(content), "size": len(content)}
        if name in executable:
            listed[name]["executable"] = True
    text = canonical(dict(manifest, entries=listed))
    return write_entries([(MANIFEST, text)] + sorted(contents.items()))


def read(data):
    """The manifest and the contents of a Lunikernel zip; raises Refused."""
    need(22 <= len(data) <= MAX_ZIP, "its length")
    magic, _, _, count, _, size, offset, _ = struct.unpack("<4s4H2IH", data[-22:])
    need(data[-22:] == end_record(count, size, offset), "its end record")
    need(0 < count <= MAX_ENTRIES, "its number of entries")
    need(offset + size + 22 == len(data), "the place of its directory")
    at, place, found = offset, 0, {}
    for index in range(count):
        record = data[at : at + 46]
        need(len(record) == 46, "a directory record that is cut off")
        (crc,) = struct.unpack("<I", record[16:20])
        (length,) = struct.unpack("<I", record[24:28])
        (name_length,) = struct.unpack("<H", record[28:30])
        name = data[at + 46 : at + 46 + name_length]
        need(is_name(name), f"the name {name!r}")
        name = name.decode("ascii")
        need((index == 0) == (name == MANIFEST), f"the place of {name}")
        need(index < 2 or list(found)[-1] < name, f"the order of {name}")
        expected = directory_record(name, crc, length, place)
        need(data[at : at + len(expected)] == expected, f"the directory record of {name}")
        at += len(expected)
        header = local_header(name, crc, length)
        content = data[place + len(header) : place + len(header) + length]
        need(data[place : place + len(header)] == header, f"the local header of {name}")
        need(len(content) == length and zlib.crc32(content) == crc, f"the content of {name}")
        found[name] = content
        place += len(header) + length
    need(at == offset + size, "the size of its directory")
    need(place == offset, "bytes between its entries and its directory")
    for name in found:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            need("/".join(parts[:depth]) not in found, f"{name} is inside another entry")
    manifest = parse_manifest(found.pop(MANIFEST))
    listed = manifest["entries"]
    need(set(listed) == set(found), "entries other than those of the manifest")
    for name, content in found.items():
        need(listed[name]["size"] == len(content), f"the size of {name}")
        need(listed[name]["sha256"] == sha256(content), f"the SHA-256 of {name}")
    initramfs = found.get("initramfs.gz", b"\x1f\x8b\x08")
    need(initramfs[:3] == b"\x1f\x8b\x08", "initramfs.gz is no gzip")
    return manifest, found


def is_name(name):
    return (
        0 < len(name) <= MAX_NAME
        and re.fullmatch(rb"[A-Za-z0-9._+/\-@,=]+", name) is not None
        and not any(part in (b"", b".", b"..") for part in name.split(b"/"))
    )


# The manifest --------------------------------------------------------------


def canonical(value):
    """RFC 8785, for what a manifest can hold: no fractions, keys in ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def keys(value, pointer, required, optional=()):
    need(isinstance(value, dict), f"{pointer} is no object")
    for key in required:
        need(key in value, f"{pointer}/{key} is missing")
    for key in value:
        need(key in required or key in optional, f"{pointer}/{key} is unknown")


def matches(pattern, value, most, pointer):
    need(isinstance(value, str), f"{pointer} is no text")
    need(len(value.encode()) <= most and re.fullmatch(pattern, value), pointer)


def integer(value, least, most, pointer):
    need(type(value) is int and least <= value <= most, pointer)


def truth(value, pointer):
    need(isinstance(value, bool), pointer)


def digest(value, pointer, most=2**53 - 1):
    matches(r"sha256:[0-9a-f]{64}", value["sha256"], 71, pointer + "/sha256")
    integer(value["size"], 0, most, pointer + "/size")


def parse_manifest(text):
    need(len(text) <= MAX_MANIFEST, "the size of the manifest")
    try:
        value = json.loads(text.decode("utf-8"))
        need(canonical(value) == text, "the manifest is not canonical")
    except (ValueError, RecursionError) as error:
        raise Refused(f"the manifest is no JSON: {error}") from error
    keys(
        value, "",
        ["format", "name", "version", "flavour", "arch", "boot", "devices", "overlay",
         "entries", "inputs"],
        ["recipe", "lock"],
    )
    need(value["format"] == "lunikernel/1", "/format")
    matches(r"[a-z][a-z0-9-]*", value["name"], 128, "/name")
    matches(r"[A-Za-z0-9.+~:_-]+", value["version"], 128, "/version")
    matches(r"[a-z][a-z0-9-]*", value["flavour"], 64, "/flavour")
    matches(r"[a-z][a-z0-9_]*", value["arch"], 32, "/arch")
    boot = value["boot"]
    keys(boot, "/boot", ["protocol", "cmdline", "min_memory_mib"])
    need(boot["protocol"] in PROTOCOLS, "/boot/protocol")
    matches(r"[\x20-\x7e]*", boot["cmdline"], 2047, "/boot/cmdline")
    integer(boot["min_memory_mib"], 1, 1 << 20, "/boot/min_memory_mib")
    keys(value["devices"], "/devices", ["net", "block"])
    truth(value["devices"]["net"], "/devices/net")
    truth(value["devices"]["block"], "/devices/block")
    linux = boot["protocol"] == "linux"
    overlay = value["overlay"]
    need(isinstance(overlay, dict) and isinstance(overlay.get("kind"), str), "/overlay")
    need(overlay["kind"] in ("initramfs", "block", "none"), "/overlay/kind")
    need(linux or overlay["kind"] != "initramfs", "/overlay/kind")
    keys(overlay, "/overlay", ["kind"] + ["device"] * (overlay["kind"] == "block"))
    if overlay["kind"] == "block":
        matches(r"[A-Za-z0-9.+~:_-]+", overlay["device"], 67, "/overlay/device")
    entries = value["entries"]
    keys(entries, "/entries", ["kernel"], entries)
    need(("initramfs.gz" in entries) == linux, "/entries: initramfs.gz")
    for name, entry in entries.items():
        pointer = f"/entries/{name}"
        need(is_name(name.encode()) and name != MANIFEST, pointer)
        keys(entry, pointer, ["sha256", "size"], ["executable"])
        digest(entry, pointer, MAX_ZIP)
        if "executable" in entry:
            need(entry["executable"] is True and name.startswith("files/"), pointer)
    for key, name in (("recipe", "recipe.yaml"), ("lock", "recipe.lock")):
        need((key in value) == (name in entries), f"/{key}")
        if key in value:
            keys(value[key], f"/{key}", ["sha256", "size"])
            need(value[key] == entries[name], f"/{key}")
    inputs = value["inputs"]
    need(isinstance(inputs, list), "/inputs")
    order = []
    for index, item in enumerate(inputs):
        pointer = f"/inputs/{index}"
        keys(item, pointer, ["kind", "name", "sha256", "size"], ["version", "licence"])
        matches(r"[a-z][a-z0-9-]*", item["kind"], 32, pointer + "/kind")
        digest(item, pointer)
        for key in ("name", "version", "licence"):
            if key in item:
                matches(r"[^\x00-\x1f\x7f-\x9f]+", item[key], 1024, f"{pointer}/{key}")
        order.append((
            item["kind"].encode(), item["name"].encode(),
            item.get("version", "").encode(), item["sha256"], item["size"],
            item.get("licence", "").encode(),
        ))
    need(all(a < b for a, b in zip(order, order[1:])), "/inputs: their order")
    return value


def check(path):
    """Whether the zip at `path` is sound; says so."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        read(data)
    except Refused as refused:
        print(f"refused: {refused}")
        return False
    print(sha256(data))
    return True


def rebuild(path, out):
    with open(path, "rb") as file:
        manifest, contents = read(file.read())
    with open(out, "wb") as file:
        file.write(write(manifest, contents))


def main(arguments):
    match arguments:
        case ["check", _, *_]:
            sys.exit(0 if all([check(path) for path in arguments[1:]]) else 1)
        case ["rebuild", path, out]:
            rebuild(path, out)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
