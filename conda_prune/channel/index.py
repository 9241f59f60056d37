"""All the files of a directory that list its packages: found, read, and written back where records changed.

CEP 36: every file that matches `*repodata*.json` is an index, and so is its compressed form; conda-index writes
repodata.json, current_repodata.json and repodata_from_packages.json. CEP 16: so is `repodata_shards.msgpack.zst`, next
to which conda-index writes `repodata_shards_from_packages.msgpack.zst`. Each of them may list packages that the others
do not, so each is read and refreshed by itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import BadMetadata
from ..model import Identity, IndexRecord
from . import compressed, files
from .records import PackageFile
from .repodata import REPODATA, Repodata
from .shards import ShardIndex

Document: TypeAlias = Repodata | ShardIndex

_JSON = re.compile(r"((?!\.).*repodata.*\.json|run_exports\.json)(\.zst|\.bz2|)")
_SHARDS = re.compile(r"(?!\.).*repodata_shards.*\.msgpack\.zst")
_REQUIRED = re.compile(
    r"((current_)?repodata|repodata_from_packages)\.json.*|repodata_shards(_from_packages)?\.msgpack.*"
)
"""Files that must be an index. Others with such a name are left alone when they are not."""

_SUBDIR = re.compile(r"noarch|(?=.{3,32}$)[a-z0-9]+-[a-z0-9]+")


@dataclass(frozen=True)
class Form:
    """One file of an index: which version of it was read, what it holds, and how that is compressed."""

    path: str
    identity: Identity
    document: Document
    ending: str

    @property
    def name(self) -> str:
        """The file's name."""
        return os.path.basename(self.path)


class Index:
    """The index of a directory: every file of it, in the order in which they are replaced."""

    def __init__(self, directory: str, forms: Sequence[Form]) -> None:
        self.directory = directory
        # Whatever else reads an index while it is replaced: repodata.json comes last.
        self.forms = sorted(forms, key=lambda form: (form.name == REPODATA, form.name))

    @property
    def name(self) -> str:
        """The name of the file that stands for the index in messages."""
        return _representative([form.name for form in self.forms])

    @property
    def subdir(self) -> str:
        """The subdir that the index is of; see `subdir_of`."""
        infos = [form.document.value.get("info") for form in self.forms]
        return subdir_of([info for info in infos if isinstance(info, dict)], self.directory)

    def listing(self, file: str) -> list[Form]:
        """Return the forms that say something of a package's bytes, by the name of its file."""
        names = self._names_of(file)
        return [
            form for form in self.forms if any(records.describes(file) for records in form.document.find(file, names))
        ]

    def renew(self, file: str, package: PackageFile, removed: set[tuple[str, str]]) -> IndexRecord | None:
        """Make every record of a file true; see `Records.renew`."""
        names = self._names_of(file)
        found = {id(records): records for form in self.forms for records in form.document.find(file, names)}
        renewed = [records.renew(file, package, removed) for records in found.values()]
        return next(filter(None, reversed(renewed)), None)

    def write(self) -> None:
        """Write the forms with records that changed; see `replacements` and `files.replace`."""
        files.replace(self.replacements(), self.unchanged())

    def replacements(self) -> list[files.Replacement]:
        """Return the new contents of the forms with records that changed, after new shards were written.

        New shards stay, whatever happens to the index: nothing refers to them then, and another indexer that needs a
        shard with the same content may have found it there.
        """
        changed = [form for form in self.forms if form.document.changed]
        contents: dict[int, bytes] = {}
        for form in changed:
            if id(form.document) not in contents:
                if isinstance(form.document, ShardIndex):
                    for path, (content, model) in form.document.new_shards().items():
                        files.add(path, content, model)
                contents[id(form.document)] = form.document.encode()
        return [
            files.Replacement(
                form.path, compressed.compress(contents[id(form.document)], form.ending), form.identity, form.path
            )
            for form in changed
        ]

    def unchanged(self) -> list[tuple[str, Identity]]:
        """Return the paths of the other forms, and which version of each was read."""
        return [(form.path, form.identity) for form in self.forms if not form.document.changed]

    def _names_of(self, file: str) -> list[str]:
        """Return the names that JSON documents give to the package in a file: shards are found by them."""
        documents = [form.document for form in self.forms if isinstance(form.document, Repodata)]
        records = [record for document in documents for record in document.records.find(file)]
        return sorted({record["name"] for record in records if isinstance(record.get("name"), str)})


def form_names(directory: str) -> list[str]:
    """Return the names of the regular files in a directory that may be an index, sorted."""
    names = [name for name in os.listdir(directory) if _JSON.fullmatch(name) or _SHARDS.fullmatch(name)]
    return sorted(name for name in names if os.path.isfile(os.path.join(directory, name)))


def index_name(directory: str) -> str:
    """Return the name of the file that stands for the index of a directory in messages, without reading it."""
    try:
        return _representative(form_names(directory))
    except OSError:
        return REPODATA


def _representative(names: Sequence[str]) -> str:
    return names[0] if names and REPODATA not in names else REPODATA


def subdir_of(infos: Iterable[Mapping[str, Any]], directory: str) -> str:
    """Return the subdir of an index: what it says itself, or else the name of its directory; "" if neither is one.

    It becomes the name of a directory where packages are indexed, and so is nothing but a subdir's name (CEP 26).
    """
    candidates = (*(info.get("subdir") for info in infos), os.path.basename(os.path.realpath(directory)))
    return next((name for name in candidates if isinstance(name, str) and _SUBDIR.fullmatch(name)), "")


def read_index(directory: str, names: Iterable[str] | None = None) -> Index:
    """Read a directory's index: every form, or those of `names`; each file once, under whatever names it has.

    Raises PruneError when a form cannot be read or is not in the directory, and Changed when it is being written.
    """
    forms: dict[str, Form] = {}
    parsed: dict[bytes, Repodata] = {}
    for name in form_names(directory) if names is None else names:
        path = files.inside(directory, name)
        if path in forms:
            continue
        content, identity = files.read(path)
        try:
            forms[path] = _read_form(path, identity, content, name, parsed)
        except BadMetadata:
            if _REQUIRED.fullmatch(name):
                raise
    return Index(directory, list(forms.values()))


def _read_form(path: str, identity: Identity, content: bytes, name: str, parsed: dict[bytes, Repodata]) -> Form:
    if _SHARDS.fullmatch(name):
        return Form(path, identity, ShardIndex(content, name, os.path.dirname(path)), "")
    ending = os.path.splitext(name)[1].replace(".json", "")
    text = compressed.decompress(content, ending, name, files.LARGEST)
    # Compressed forms usually hold the same text, which is then read and written once.
    document = parsed.get(text) or Repodata(text, name)
    parsed[text] = document
    return Form(path, identity, document, ending)
