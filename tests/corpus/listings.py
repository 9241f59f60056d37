"""The files under info/ that conda-build and rattler-build write, each in its own style."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from .entries import (
    BUILD_TIME,
    Directory,
    Entry,
    File,
    Hardlink,
    PackageSpec,
    Symlink,
    file_at,
    inode_paths,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PLATFORMS = {"linux": "linux", "osx": "osx", "win": "win", "emscripten": "emscripten"}
ARCHITECTURES = {"64": "x86_64", "32": "x86", "aarch64": "aarch64", "arm64": "arm64", "wasm32": "wasm32"}


def sha256(data: bytes) -> str:
    """The hexadecimal digest that paths.json records."""
    return hashlib.sha256(data).hexdigest()


def text_or_binary(data: bytes) -> str:
    """The `file_mode` with which the prefix is replaced: a NUL byte makes a file binary."""
    return "binary" if b"\0" in data else "text"


def component_order(path: str) -> list[str]:
    """Sort key of Rust's `Path`: by component, so that a/b comes before a-b."""
    return path.split("/")


def index_json(spec: PackageSpec, rattler: bool) -> bytes:
    """info/index.json (CEP 34)."""
    numbers = [part for part in spec.build.split("_") if part.isdigit()]
    system, _, machine = spec.subdir.partition("-")
    index: dict[str, Any] = {
        "arch": ARCHITECTURES.get(machine),
        "build": spec.build,
        "build_number": int(numbers[-1]) if numbers else 0,
        "depends": sorted(spec.depends),
        "license": "BSD-3-Clause",
        "name": spec.name,
        "platform": PLATFORMS.get(system),
        "subdir": spec.subdir,
        "timestamp": BUILD_TIME * 1000,
        "version": spec.version,
    }
    index.update(spec.index_extra)
    index = {key: value for key, value in index.items() if value is not None}
    return json.dumps(index, indent=2, sort_keys=True, ensure_ascii=not rattler).encode()


def rattler_paths_json(entries: Mapping[str, Entry]) -> bytes:
    """info/paths.json as rattler writes it: its own key order, pretty, no newline at the end.

    The size of a symbolic link is the length of its text; its hash is that of the file it leads to, or of
    nothing (paths_json in rattler-build's packaging/metadata.rs).
    """
    paths: list[dict[str, Any]] = []
    for path in sorted(entries, key=component_order):
        entry = entries[path]
        if isinstance(entry, Directory):
            paths.append({"_path": path, "path_type": "directory"})
            continue
        found = file_at(entries, path)
        data = found.data if found else b""
        row: dict[str, Any] = {"_path": path}
        if isinstance(entry, File) and entry.no_link:
            row["no_link"] = True
        row["path_type"] = "softlink" if isinstance(entry, Symlink) else "hardlink"
        if isinstance(entry, File) and entry.prefix_placeholder:
            row["file_mode"] = text_or_binary(data)
            row["prefix_placeholder"] = entry.prefix_placeholder
        row["sha256"] = sha256(data)
        row["size_in_bytes"] = len(entry.target.encode()) if isinstance(entry, Symlink) else len(data)
        paths.append(row)
    return json.dumps({"paths": paths, "paths_version": 1}, indent=2, ensure_ascii=False).encode()


def conda_build_paths_json(entries: Mapping[str, Entry]) -> bytes:
    """info/paths.json as conda-build writes it: keys sorted, ASCII, `inode_paths` on hard-linked files.

    The size of a symbolic link is that of the file it leads to, or 0 (build_info_files_json_v1).
    """
    paths: list[dict[str, Any]] = []
    for path in sorted(entries):
        entry = entries[path]
        if isinstance(entry, Directory):
            paths.append({"_path": path, "path_type": "directory", "sha256": sha256(b"")})
            continue
        found = file_at(entries, path)
        data = found.data if found else b""
        row: dict[str, Any] = {
            "_path": path,
            "path_type": "softlink" if isinstance(entry, Symlink) else "hardlink",
            "sha256": sha256(data),
            "size_in_bytes": len(data),
        }
        if found and found.no_link:
            row["no_link"] = True
        if isinstance(entry, (File, Hardlink)):
            if found and found.prefix_placeholder:
                row["file_mode"] = text_or_binary(data)
                row["prefix_placeholder"] = found.prefix_placeholder
            names = inode_paths(entries, path)
            if len(names) > 1:
                row["inode_paths"] = names
        paths.append(row)
    return json.dumps({"paths": paths, "paths_version": 1}, indent=2, sort_keys=True).encode()


def legacy_listings(entries: Mapping[str, Entry]) -> dict[str, bytes]:
    """info/files, and info/has_prefix and info/no_link where they would not be empty (CEP 34)."""
    files = sorted(path for path, entry in entries.items() if not isinstance(entry, Directory))
    regular = [(path, entry) for path in files if isinstance(entry := entries[path], File)]
    lines = {
        "info/files": files,
        "info/has_prefix": [
            f"{entry.prefix_placeholder} {text_or_binary(entry.data)} {path}"
            for path, entry in regular
            if entry.prefix_placeholder
        ],
        "info/no_link": [path for path, entry in regular if entry.no_link],
    }
    return {
        name: "".join(f"{line}\n" for line in rows).encode("utf-8", "surrogateescape")
        for name, rows in lines.items()
        if rows
    }


def info_files(spec: PackageSpec, *, rattler: bool, legacy: bool) -> dict[str, bytes]:
    """Everything that goes into the info component, by path."""
    entries = spec.entries
    files: dict[str, bytes | None] = {
        "info/about.json": b'{\n  "home": "https://example.org",\n  "license": "BSD-3-Clause"\n}',
        "info/hash_input.json": json.dumps({"target_platform": spec.subdir}).encode(),
        "info/index.json": index_json(spec, rattler),
    }
    if spec.paths_json is not None:
        true_listing = rattler_paths_json(entries) if rattler else conda_build_paths_json(entries)
        if isinstance(spec.paths_json, bytes):
            files["info/paths.json"] = spec.paths_json
        elif callable(spec.paths_json):
            files["info/paths.json"] = spec.paths_json(true_listing)
        else:
            files["info/paths.json"] = true_listing
    if legacy if spec.legacy_listings is None else spec.legacy_listings:
        files.update(legacy_listings(entries))
    files.update(spec.info)
    return {path: data for path, data in files.items() if data is not None}
