"""Links, directories, listings and names: what a drop touches besides the bytecode."""

from __future__ import annotations

import json

from .bytecode import modules, pyc
from .packages import (
    Directory,
    File,
    Hardlink,
    Symlink,
)
from .scenario import Scenario, for_311, paths

SITE = "lib/python3.11/site-packages"
CACHE = f"{SITE}/m/__pycache__"
CP311 = ("cpython-311",)
PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3" + "_placehold" * 8

OWN = modules(SITE, "m/a", tags=CP311)
STRAY = {f"{CACHE}/a.cpython-310.pyc": pyc("cpython-310", "a")}
ONE_DROP = frozenset({"lib/python3.11/site-packages/m/__pycache__/a.cpython-310.pyc"})
ONE_KIND = {"foreign-tag": 1}

FOREIGN_CACHE = "lib/python3.10/site-packages/m/__pycache__"
LONG = "deep/" * 22 + "leaf"
LONGER = "/".join(["d" * 60] * 4 + ["e" * 90, "leaf"])


def with_unknown_keys(listing: bytes) -> bytes:
    r"""The listing with keys nobody knows, an indent of three, \u and \/ escapes, a newline at the end."""
    document = json.loads(listing)
    for row in document["paths"]:
        row["x-origin"] = {"née": ["ü", None, 1.50]}
    document = {"x-first": True, **document}
    text = json.dumps(document, indent=3, ensure_ascii=True).replace("lib/python3.11", r"lib\/python3.11")
    return text.encode() + b"\n"


def on_one_line(listing: bytes) -> bytes:
    """The listing in the densest form, with Windows line ends around it."""
    return b"\r\n" + json.dumps(json.loads(listing), separators=(",", ":")).encode() + b"\r\n"


def edited(listing: bytes, *, drop: str = "", add: str = "", wrong: str = "") -> bytes:
    """The listing without one entry, with one more, or with one digest and size wrong."""
    document = json.loads(listing)
    rows = [row for row in document["paths"] if row["_path"] != drop]
    for row in rows:
        if row["_path"] == wrong:
            row.update(sha256="0" * 64, size_in_bytes=row["size_in_bytes"] + 1)
    if add:
        rows.append({"_path": add, "path_type": "hardlink", "sha256": "1" * 64, "size_in_bytes": 1})
    return json.dumps(document | {"paths": rows}, indent=2).encode()


LINKS = (
    Scenario(
        "hard-link-to-dropped",
        for_311(
            "linked",
            files=OWN
            | {
                f"{FOREIGN_CACHE}/a.cpython-311.pyc": pyc("cpython-311", "shared"),
                f"{CACHE}/b.cpython-311.pyc": Hardlink(f"{FOREIGN_CACHE}/a.cpython-311.pyc"),
                f"{CACHE}/b.cpython-311.opt-1.pyc": Hardlink(f"{FOREIGN_CACHE}/a.cpython-311.pyc"),
                f"{SITE}/m/b.py": "",
            },
        ),
        "compileall --hardlink-dupes: the dropped name comes first, two kept names link to it. "
        "The first takes over the content; the other becomes a link to it or a file of its own.",
        drops=frozenset({"lib/python3.10/site-packages/m/__pycache__/a.cpython-311.pyc"}),
        kinds={"foreign-path": 1},
        promoted=paths("lib/python3.11/site-packages/m/__pycache__/", "b.cpython-311.opt-1.pyc", "b.cpython-311.pyc"),
    ),
    Scenario(
        "hard-link-dropped",
        for_311(
            "linked",
            files=OWN
            | {
                f"{SITE}/m/__pycache__/c.cpython-311.pyc": pyc("cpython-311", "shared"),
                "lib/python3.12/site-packages/m/__pycache__/c.cpython-311.pyc": Hardlink(
                    f"{SITE}/m/__pycache__/c.cpython-311.pyc"
                ),
            },
        ),
        "The link goes, the file it leads to stays as it is; its inode_paths lose a name.",
        drops=frozenset({"lib/python3.12/site-packages/m/__pycache__/c.cpython-311.pyc"}),
        kinds={"foreign-path": 1},
    ),
    Scenario(
        "symlink-that-is-bytecode",
        for_311(
            "linked",
            files=OWN | STRAY | {f"{CACHE}/b.cpython-311.pyc": Symlink("a.cpython-310.pyc")},
        ),
        "A bytecode link of the right tag to a dropped file goes with it.",
        drops=paths("lib/python3.11/site-packages/m/__pycache__/", "a.cpython-310.pyc", "b.cpython-311.pyc"),
    ),
    Scenario(
        "symlink-foreign-by-itself",
        for_311("linked", files=OWN | {f"{CACHE}/a.cpython-310.pyc": Symlink("a.cpython-311.pyc")}),
        "A link with a foreign tag goes, the file it leads to stays.",
        drops=ONE_DROP,
        kinds=ONE_KIND,
    ),
    Scenario(
        "symlink-keeps-target",
        for_311(
            "linked",
            files=OWN | STRAY | {"share/sample.bin": Symlink(f"../{CACHE}/a.cpython-310.pyc")},
        ),
        "A link that is no bytecode would dangle: its target stays.",
    ),
    Scenario(
        "softlinks",
        for_311(
            "soft",
            files=OWN
            | STRAY
            | {
                "lib/libfoo.so.1": b"\x7fELF",
                "lib/libfoo.so": Symlink("libfoo.so.1"),
                "lib/dangling": Symlink("nowhere/at/all"),
                "lib/dir": Symlink("python3.11"),
            },
        ),
        "The builders record different sizes and digests for links: their entries stay as they are.",
        drops=ONE_DROP,
        kinds=ONE_KIND,
    ),
    Scenario(
        "empty-directories",
        for_311(
            "dirs",
            files=OWN
            | {
                "lib/python3.10": Directory(),
                "lib/python3.10/site-packages": Directory(),
                "lib/python3.10/site-packages/m": Directory(),
                FOREIGN_CACHE: Directory(),
                f"{FOREIGN_CACHE}/a.cpython-310.pyc": pyc("cpython-310", "dir"),
                CACHE: Directory(),
                "share/empty-on-purpose": Directory(),
            },
        ),
        "Directory entries that held only dropped members go, one that was empty before stays.",
        drops=frozenset({"lib/python3.10/site-packages/m/__pycache__/a.cpython-310.pyc"}),
        kinds={"foreign-path": 1},
        emptied=frozenset(
            {
                "lib/python3.10",
                "lib/python3.10/site-packages",
                "lib/python3.10/site-packages/m",
                "lib/python3.10/site-packages/m/__pycache__",
            }
        ),
    ),
)

LISTINGS = (
    Scenario(
        "prefix-and-no-link",
        for_311(
            "listed",
            legacy_listings=True,
            files=OWN
            | {
                f"{CACHE}/a.cpython-310.pyc": File(
                    pyc("cpython-310", "p") + PLACEHOLDER.encode() + b"\0", prefix_placeholder=PLACEHOLDER
                ),
                f"{CACHE}/b.cpython-310.pyc": File(pyc("cpython-310", "q"), no_link=True),
                "bin/m": File(f"#!{PLACEHOLDER}/bin/python\n".encode(), 0o755, prefix_placeholder=PLACEHOLDER),
                "etc/m.conf": File(b"x=1\n", no_link=True),
            },
        ),
        "Lines of info/files, has_prefix and no_link go with the entries of paths.json.",
        drops=paths("lib/python3.11/site-packages/m/__pycache__/", "a.cpython-310.pyc", "b.cpython-310.pyc"),
        kinds={"foreign-tag": 2},
    ),
    Scenario(
        "style-of-2014",
        for_311(
            "old",
            paths_json=None,
            legacy_listings=True,
            files=OWN
            | STRAY
            | {
                "bin/m": File(f"#!{PLACEHOLDER}/bin/python\n".encode(), 0o755, prefix_placeholder=PLACEHOLDER),
                "etc/m.conf": File(b"x=1\n", no_link=True),
            },
        ),
        "No paths.json: the older listings are updated and nothing is invented.",
        drops=ONE_DROP,
        kinds=ONE_KIND,
    ),
    Scenario(
        "no-listing-at-all",
        for_311("bare", paths_json=None, legacy_listings=False, files=OWN | STRAY),
        "Nothing lists the files: only the member goes.",
        drops=ONE_DROP,
        kinds=ONE_KIND,
    ),
    Scenario(
        "unknown-keys",
        for_311("keys", paths_json=with_unknown_keys, files=OWN | STRAY),
        "Keys, order, indent, escapes and the final newline stay.",
        drops=ONE_DROP,
        kinds=ONE_KIND,
    ),
    Scenario(
        "dense-listing",
        for_311("dense", paths_json=on_one_line, files=OWN | STRAY),
        "A listing on one line.",
        drops=ONE_DROP,
        kinds=ONE_KIND,
    ),
    Scenario(
        "stale-listing",
        for_311(
            "stale",
            files=OWN | {"etc/unlisted": "u", "etc/changed": "c"},
            legacy_listings=False,
            paths_json=lambda true: edited(true, drop="etc/unlisted", add="etc/absent", wrong="etc/changed"),
        ),
        "A file without entry, an entry without file, a wrong digest and size.",
        stale=frozenset({"etc/unlisted", "etc/absent", "etc/changed"}),
        payload=True,
    ),
    Scenario(
        "licenses-in-pkg",
        for_311(
            "licensed",
            files=OWN | STRAY,
            info_in_pkg={"info/licenses/LICENSE": b"Permission is granted\n"},
        ),
        "conda-package-handling #316: info/ members in the pkg component stay there and need no entry.",
        drops=ONE_DROP,
        kinds=ONE_KIND,
    ),
    Scenario(
        "renamed-file",
        for_311("named", files=OWN | STRAY),
        "The file was renamed: the inner names stay byte for byte.",
        drops=ONE_DROP,
        kinds=ONE_KIND,
        stem="renamed-9-py311_9",
    ),
)

NAMES = (
    Scenario(
        "long-names",
        for_311("long", files=modules(f"{SITE}/{LONG}", "a", tags=("cpython-311", "cpython-310"))),
        "More than 100 characters: LongLink, PAX path, or USTAR's prefix.",
        drops=frozenset({f"lib/python3.11/site-packages/{LONG}/__pycache__/a.cpython-310.pyc"}),
        kinds=ONE_KIND,
    ),
    Scenario(
        "longer-names",
        for_311("longer", files=modules(f"{SITE}/{LONGER}", "a", tags=("cpython-311", "cpython-310"))),
        "More than 255 characters: beyond USTAR.",
        drops=frozenset({f"lib/python3.11/site-packages/{LONGER}/__pycache__/a.cpython-310.pyc"}),
        kinds=ONE_KIND,
    ),
    Scenario(
        "non-ascii-names",
        for_311(
            "unicode",
            files=modules(f"{SITE}/módulo", "ñandú", "模块", "e\u0301", tags=("cpython-311", "cpython-310")),
        ),
        "Composed, decomposed and wide characters, never normalised.",
        drops=paths(
            "lib/python3.11/site-packages/módulo/__pycache__/",
            "ñandú.cpython-310.pyc",
            "模块.cpython-310.pyc",
            "e\u0301.cpython-310.pyc",
        ),
        kinds={"foreign-tag": 3},
    ),
    Scenario(
        "control-characters",
        for_311(
            "control",
            legacy_listings=False,
            files=modules(
                SITE, "c/a\x1b[31mred", "c/b\n::error::x", "c/\u202ertl", tags=("cpython-311", "cpython-310")
            ),
        ),
        "Escape sequences, a line end before a CI command, a bidi override: never printed raw.",
        drops=paths(
            "lib/python3.11/site-packages/c/__pycache__/",
            "a\x1b[31mred.cpython-310.pyc",
            "b\n::error::x.cpython-310.pyc",
            "\u202ertl.cpython-310.pyc",
        ),
        kinds={"foreign-tag": 3},
    ),
)

ARCHIVE = LINKS + LISTINGS + NAMES
