#!/usr/bin/env python3
"""Writes fuzz/seeds/overlay: zips that a tool could have made, and zips that none should.

    tests/overlay/make_bad.py      after a change, then UPDATE=1 cargo test --test overlay

The name of what must be refused begins with `bad-`. tests/overlay/errors.txt has what
`luni overlay` says of each.
"""

import pathlib
import struct
import zlib

SEEDS = pathlib.Path(__file__).resolve().parents[2] / "fuzz/seeds/overlay"
FILE, FOLDER, LINK = 0o100644, 0o040755, 0o120777
UNIX, DOS = 3, 0


def deflate(content, level=9):
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


class Entry:
    """One entry; whatever is given contradicts what would be right."""

    def __init__(self, name, content=b"", mode=FILE, system=UNIX, method=8, flags=0, **wrong):
        self.name = name if isinstance(name, bytes) else name.encode()
        self.content, self.mode, self.system = content, mode, system
        self.method, self.flags, self.wrong = method, flags, wrong
        self.packed = wrong.get("packed", deflate(content) if method == 8 else content)
        self.crc = wrong.get("crc", zlib.crc32(content))
        self.size = wrong.get("size", len(content))
        self.packed_size = wrong.get("packed_size", len(self.packed))
        self.extra = wrong.get("extra", b"")

    def local(self):
        described = self.flags & 8
        sums = (0, 0, 0) if described else (self.crc, self.packed_size, self.size)
        sums = self.wrong.get("local_sums", sums)
        name = self.wrong.get("local_name", self.name)
        flags = self.wrong.get("local_flags", self.flags)
        extra = self.wrong.get("local_extra", b"")
        head = struct.pack(
            "<4s5H3I2H", b"PK\x03\x04", 20, flags, self.method, 0, 0x21, *sums,
            len(name), len(extra),
        )
        tail = b""
        if described:
            tail = struct.pack("<4s3I", b"PK\x07\x08", self.crc, self.packed_size, self.size)
            tail = self.wrong.get("descriptor", tail)
        return head + name + extra + self.packed + tail

    def record(self, offset):
        attributes = self.wrong.get("attributes", self.mode << 16)
        return struct.pack(
            "<4s6H3I5H2I", b"PK\x01\x02", self.system << 8 | 30, 20, self.flags,
            self.method, 0, 0x21, self.crc, self.packed_size, self.size, len(self.name),
            len(self.extra), 0, self.wrong.get("disk", 0), 0, attributes,
            self.wrong.get("offset", offset),
        ) + self.name + self.extra


def zip_of(*entries, before=b"", gap=b"", comment=b"", after=b"", **end):
    body, directory = before, b""
    for entry in entries:
        directory += entry.record(len(body))
        body += entry.local() + gap
    count = end.get("count", len(entries))
    at = end.get("at", len(body))
    tail = struct.pack(
        "<4s4H2IH", b"PK\x05\x06", end.get("disk", 0), 0, count, count,
        end.get("size", len(directory)), at, len(comment),
    )
    return body + directory + end.get("locator", b"") + tail + comment + after


def seeds():
    hello = Entry("etc/motd", b"hello\n")
    zeros = bytes(2 << 20)
    nested = zip_of(Entry("inner", b"inner\n"))
    yield "good", zip_of(Entry("etc/", mode=FOLDER), hello, Entry("lib/a", b"../b", LINK))
    yield "good-comment", zip_of(hello, comment=b"made by hand")
    yield "good-described", zip_of(Entry("etc/motd", b"hello\n", flags=8))
    yield "good-dos", zip_of(Entry("bin/run", b"#!", system=DOS, mode=0))
    yield "good-stored", zip_of(Entry("etc/motd", b"hello\n", method=0))
    yield "good-nested", zip_of(Entry("inner.zip", nested, method=0))
    yield "good-utf8", zip_of(Entry("etc/\u00e9", b"x", flags=0x800))
    yield "good-whiteout", zip_of(Entry("etc/.wh.motd"))

    # Names.
    yield "bad-absolute", zip_of(Entry("/etc/motd", b"x"))
    yield "bad-parent", zip_of(Entry("etc/../../motd", b"x"))
    yield "bad-dot", zip_of(Entry("etc/./motd", b"x"))
    yield "bad-backslash", zip_of(Entry("etc\\motd", b"x", system=DOS, mode=0))
    yield "bad-cp437", zip_of(Entry(b"etc/caf\x82", b"x"))
    yield "bad-unmarked", zip_of(Entry("etc/\u00e9", b"x", system=DOS, mode=0))
    yield "bad-two-names", zip_of(Entry("etc/a", b"x", extra=unicode_path(b"etc/b")))
    yield "bad-twice", zip_of(hello, hello)
    yield "bad-below-file", zip_of(Entry("etc", b"x"), hello)
    yield "bad-below-link", zip_of(Entry("etc", b"/root", LINK), hello)
    yield "bad-nul", zip_of(Entry("etc/a\0b", b"x"))
    yield "bad-long-name", zip_of(Entry("x" * 300, b"x"))

    # Kinds.
    yield "bad-device", zip_of(Entry("dev/null", mode=0o020666))
    yield "bad-pipe", zip_of(Entry("run/pipe", mode=0o010644))
    yield "bad-folder-with-content", zip_of(Entry("etc/", b"x", FOLDER))
    yield "bad-folder-as-file", zip_of(Entry("etc/", b"", FILE))
    yield "bad-link-empty", zip_of(Entry("lib/a", b"", LINK))
    yield "bad-link-nul", zip_of(Entry("lib/a", b"b\0c", LINK))
    yield "bad-whiteout-content", zip_of(Entry("etc/.wh.motd", b"x"))
    yield "bad-whiteout-dots", zip_of(Entry("etc/.wh..."))
    yield "bad-whiteout-opaque", zip_of(Entry("etc/.wh..wh..opq"))

    yield "bad-trailer", zip_of(Entry("TRAILER!!!", b"x"))

    # What it is packed with.
    yield "bad-encrypted", zip_of(Entry("etc/motd", b"x", flags=1))
    yield "bad-aes", zip_of(Entry("etc/motd", b"x", method=99))
    yield "bad-bzip2", zip_of(Entry("etc/motd", b"x", method=12))
    yield "bad-flags", zip_of(Entry("etc/motd", b"x", flags=1 << 5))
    yield "bad-deflate", zip_of(Entry("etc/motd", b"hello\n", packed=b"\xff\xff\xff"))
    yield "bad-cut-deflate", zip_of(Entry("etc/motd", b"hello\n", packed=deflate(b"hello\n")[:-2]))
    yield "bad-crc", zip_of(Entry("etc/motd", b"hello\n", crc=1))
    yield "bad-size-less", zip_of(Entry("etc/motd", b"hello\n", size=5))
    yield "bad-size-more", zip_of(Entry("etc/motd", b"hello\n", size=7))
    yield "bad-size-stored", zip_of(Entry("etc/motd", b"hello\n", method=0, size=5))
    yield "bad-packed-more", zip_of(Entry("etc/motd", b"hello\n", packed=deflate(b"hello\n") + b"x"))
    yield "bad-bomb", zip_of(Entry("zeros", zeros))
    yield "bad-bomb-of-many", zip_of(*(Entry(f"z{n}", bytes(1 << 20)) for n in range(17)))
    yield "bad-bomb-of-folders", zip_of(*(Entry(f"{n}/{'d/' * 2040}f", b"") for n in range(9)))
    yield "bad-total", zip_of(*(Entry(f"z{n}", b"x", size=0xfffffffe) for n in range(3)))

    # Headers that say two things.
    yield "bad-local-name", zip_of(Entry("etc/motd", b"x", local_name=b"etc/mot2"))
    yield "bad-local-sums", zip_of(Entry("etc/motd", b"x", local_sums=(0, 3, 1)))
    yield "bad-local-flags", zip_of(Entry("etc/motd", b"x", local_flags=2))
    yield "bad-descriptor", zip_of(Entry("etc/motd", b"x", flags=8, descriptor=bytes(16)))
    yield "bad-no-descriptor", zip_of(Entry("etc/motd", b"x", flags=8, descriptor=b""))
    yield "bad-overlap", zip_of(hello, Entry("etc/other", b"x", offset=0))
    yield "bad-overlap-next", zip_of(Entry("a", b"xx", method=0, packed_size=4, size=4), hello)
    yield "bad-offset", zip_of(Entry("etc/motd", b"x", offset=0x7fffffff))

    # The zip as a whole.
    yield "bad-before", zip_of(hello, before=b"#!/bin/sh\n")
    yield "bad-gap", zip_of(hello, gap=b"hidden")
    yield "bad-after", zip_of(hello, after=b"more")
    yield "bad-two-ends", zip_of(hello, comment=zip_of(hello)[-22:])
    yield "bad-cut", zip_of(hello)[:-30]
    yield "bad-empty", zip_of()
    yield "bad-no-zip", b"this is no zip\n"
    yield "bad-nothing", b""
    yield "bad-volumes", zip_of(hello, disk=1)
    yield "bad-volume-entry", zip_of(Entry("etc/motd", b"x", disk=1))
    yield "bad-count", zip_of(hello, count=2)
    yield "bad-count-less", zip_of(hello, Entry("b", b"x"), count=1)
    yield "bad-directory-size", zip_of(hello, size=10)
    yield "bad-zip64", zip_of(hello, locator=b"PK\x06\x07" + bytes(16))
    yield "bad-zip64-count", zip_of(hello, count=0xffff)
    yield "bad-zip64-size", zip_of(Entry("etc/motd", b"x", size=0xffffffff))


def unicode_path(name):
    return struct.pack("<HHBI", 0x7075, 5 + len(name), 1, 0) + name


def main():
    SEEDS.mkdir(parents=True, exist_ok=True)
    for old in SEEDS.iterdir():
        old.unlink()
    for name, content in seeds():
        (SEEDS / f"{name}.zip").write_bytes(content)


if __name__ == "__main__":
    main()
