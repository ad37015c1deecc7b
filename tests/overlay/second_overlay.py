#!/usr/bin/env python3
"""A second implementation of overlays, written from docs/format.md alone.

    second_overlay.py OUT BASE FOLDER…

Lays the folders over BASE, and compares every byte with OUT except for how the segment
is compressed, which the specification leaves open; then prints OUT's SHA-256. Where
nothing has to go from the base.
"""

import gzip
import json
import os
import pathlib
import stat
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "format"))
from second_reader import canonical, need, read, sha256  # noqa: E402

EPOCH = 315532800


def digest(content):
    return {"sha256": sha256(content), "size": len(content)}


# Archives ------------------------------------------------------------------


def members(data):
    """Name, mode, number of links and content of the members of archives in a row."""
    at = 0
    while at < len(data):
        if data[at : at + 4] == bytes(4):
            at += 4
            continue
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name_at, name_size, size = at + 110, fields[11], fields[6]
        name = data[name_at : name_at + name_size - 1].decode()
        content_at = (name_at + name_size + 3) // 4 * 4
        at = (content_at + size + 3) // 4 * 4
        if name != "TRAILER!!!":
            yield name, fields[1], fields[4], data[content_at : content_at + size]


def archive(nodes):
    """The archive of nodes: path to (mode with type, content, names of the same file)."""
    out, inodes = b"", {}
    for path in sorted(nodes, key=str.encode):
        mode, content, names = nodes[path]
        inode = inodes.setdefault(min(names, key=str.encode), len(inodes) + 1)
        links = 2 if stat.S_ISDIR(mode) else len(names)
        if path != max(names, key=str.encode):
            content = b""
        out += member(path, inode, mode, links, EPOCH, content)
    out += member("TRAILER!!!", 0, 0, 1, 0, b"")
    return out + bytes(-len(out) % 512)


def member(name, inode, mode, links, mtime, content):
    name = name.encode() + b"\0"
    fields = [inode, mode, 0, 0, links, mtime, len(content), 0, 0, 0, 0, len(name), 0]
    out = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    out += bytes(-len(out) % 4) + content
    return out + bytes(-len(out) % 4)


# Paths ---------------------------------------------------------------------


def resolve(paths, path, depth=40):
    """The real path of the folder at `path`; None where there is none."""
    real = ""
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            real = real.rpartition("/")[0]
            continue
        here = f"{real}/{part}".lstrip("/")
        found = paths.get(here)
        if isinstance(found, dict) and depth > 0:
            target = found["link"]
            start = "" if target.startswith("/") else real
            here = resolve(paths, f"{start}/{target}", depth - 1)
            if here is None:
                return None
        elif found != "folder":
            return None
        real = here
    return real


def land(paths, path):
    """Where something at `path` lands, and what is there."""
    folder, _, name = path.rpartition("/")
    real = resolve(paths, folder)
    need(real is not None, f"{path} leads nowhere")
    at = f"{real}/{name}".lstrip("/")
    return at, paths.get(at)


def unpacked_paths(data):
    paths = {}
    for name, mode, links, content in members(data):
        folder, _, last = name.rpartition("/")
        real = resolve(paths, folder)
        if real is None:
            continue
        at = f"{real}/{last}".lstrip("/")
        if stat.S_ISDIR(mode):
            value = "folder"
        elif stat.S_ISREG(mode):
            value = "name" if links > 1 or paths.get(at) == "name" else "file"
        elif stat.S_ISLNK(mode):
            value = {"link": content.decode()}
        else:
            value = "special"
        if paths.get(at) == "folder" and any(it.startswith(at + "/") for it in paths):
            continue
        paths[at] = value
    return paths


# Overlays ------------------------------------------------------------------


def content_of(top):
    """What a folder holds: path to (mode with type, content, names), and whiteouts."""
    nodes, whiteouts, inodes = {}, {}, {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            full = os.path.join(folder, name)
            path, info = os.path.relpath(full, top), os.lstat(full)
            content, mode = b"", info.st_mode
            names = [path]
            if stat.S_ISLNK(mode):
                content, mode = os.readlink(full).encode(), stat.S_IFLNK | 0o777
            elif stat.S_ISREG(mode):
                content = pathlib.Path(full).read_bytes()
                names = inodes.setdefault(info.st_ino, [])
                names.append(path)
            if name.startswith(".wh."):
                whiteouts[path] = (stat.S_IFREG | 0o644, b"", [path])
            else:
                nodes[path] = (mode, content, names)
    return nodes, whiteouts


def lay(paths, brought, nodes, whiteouts):
    for path in whiteouts:
        folder, _, name = path.rpartition("/")
        at, found = land(paths, f"{folder}/{name[4:]}")
        need(found is not None, f"{path} removes nothing")
        need(at in brought, f"{path} removes something of the base: not done here")
        for it in [it for it in paths if it == at or it.startswith(at + "/")]:
            del paths[it]
            brought.pop(it, None)
    landed = {path: land_all(paths, brought, path, node) for path, node in sorted(nodes.items())}
    for path, (mode, content, names) in nodes.items():
        if landed[path]:
            brought[landed[path]] = (mode, content, [landed[name] for name in names])


def land_all(paths, brought, path, node):
    at, found = land(paths, path)
    mode, content, names = node
    if stat.S_ISDIR(mode):
        if found is not None:
            need(resolve(paths, path) is not None, f"{path} is no folder there")
            return at if at in brought and found == "folder" else None
        paths[at] = "folder"
    else:
        need(found != "folder", f"{path} is a folder there")
        need(found != "name" or at in brought, f"{path} is one of several names there")
        if stat.S_ISLNK(mode):
            paths[at] = {"link": content.decode()}
        else:
            paths[at] = "name" if len(names) > 1 else "file"
    brought[at] = node
    return at


def main(out_path, base_path, *folders):
    base_bytes = pathlib.Path(base_path).read_bytes()
    base, before = read(base_bytes)
    out_bytes = pathlib.Path(out_path).read_bytes()
    out, after = read(out_bytes)

    paths, brought, contents = unpacked_paths(gzip.decompress(before["initramfs.gz"])), {}, []
    for folder in folders:
        nodes, whiteouts = content_of(folder)
        contents.append(digest(archive(nodes | whiteouts)))
        lay(paths, brought, nodes, whiteouts)

    packed = after["initramfs.gz"]
    need(packed.startswith(before["initramfs.gz"]), "the base's initramfs is not as it was")
    segment = packed[len(before["initramfs.gz"]) :]
    need(gzip.decompress(segment) == archive(brought), "the segment is another")
    need(struct.unpack("<I", segment[-4:])[0] == len(archive(brought)), "more than one member")
    need(after["initramfs.paths.json"] == canonical(paths), "the paths are others")
    need(paths == unpacked_paths(gzip.decompress(packed)), "unpacking gives other paths")
    run = {
        "base": digest(base_bytes), "content": contents, "segment": digest(segment),
        "rewritten": False, "removed": [],
    }
    history = {"format": "lunikernel-overlays/1", "overlays": [run]}
    need(after["overlays.json"] == canonical(history), "the history is another")

    new = ("initramfs.gz", "initramfs.paths.json", "overlays.json")
    for manifest, contents in ((base, before), (out, after)):
        for name in new:
            manifest["entries"].pop(name, None)
            contents.pop(name, None)
    need((base, before) == (out, after), "something else was changed")
    print(sha256(out_bytes).removeprefix("sha256:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
