"""What holds for every stream that was written with splices, for both codecs and for every writer of the original."""

from __future__ import annotations

import io
import shutil
import subprocess
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from hypothesis import strategies as st

from conda_prune.compression.byte_range import ByteRange
from conda_prune.compression.recompress import Rewritten, recompress
from conda_prune.compression.stream import CannotReuse, Stream
from conda_prune.compression.threads import ThreadBudget
from conda_prune.model import BlockInfo, CompressionSettings, Splice

from ..libarchive_or_skip import libarchive


@dataclass(frozen=True)
class Original:
    """A compressed stream, its content, the settings that it claims, and offsets in the content worth testing."""

    packed: bytes
    content: bytes
    settings: CompressionSettings
    boundaries: tuple[int, ...] = ()


def expected(content: bytes, splices: Sequence[Splice]) -> bytes:
    """The content with the splices applied, last one first."""
    for splice in reversed(splices):
        content = content[: splice.start] + splice.new + content[splice.stop :]
    return content


def open_range(directory: Path, packed: bytes) -> ByteRange:
    """A stream inside a file, with other bytes before and after it."""
    path = directory / "source"
    path.write_bytes(b"before" + packed + b"behind")
    return ByteRange(path.open("rb", buffering=0), 6, len(packed))


def edge_splices(size: int) -> list[list[Splice]]:
    """Splices at the edges of `size` bytes of content."""
    return [
        [],
        [Splice(0, 0, b"first")],
        [Splice(size, size, b"last")],
        [Splice(0, size)],
        [Splice(0, size, b"all of it")],
        [Splice(size // 2, size)],
        [Splice(0, size // 2), Splice(size // 2, size // 2, b"x" * 1000), Splice(size // 2, size - size // 3)],
    ]


def splice_lists(
    size: int, boundaries: Sequence[int], shifts: st.SearchStrategy[int], new: st.SearchStrategy[bytes]
) -> st.SearchStrategy[list[Splice]]:
    """Up to six splices anywhere in `size` bytes of content, often near a boundary or an end."""
    near = st.builds(
        lambda boundary, shift: min(max(boundary + shift, 0), size),
        st.sampled_from([*[boundary for boundary in boundaries if boundary <= size], 0, size]),
        shifts,
    )
    bounds = st.lists(st.one_of(st.integers(0, size), near), max_size=11).map(sorted)
    return bounds.flatmap(
        lambda found: st.tuples(
            *(
                st.builds(Splice, st.just(start), st.just(stop), new)
                for start, stop in zip(found[::2], [*found[1::2], size], strict=False)
            )
        ).map(list)
    )


def rewrite(
    source: ByteRange,
    old: Original,
    splices: Sequence[Splice],
    read: Callable[[bytes], bytes | None],
    threads: int = 2,
    blocks: Sequence[BlockInfo] = (),
    held: Mapping[int, bytes] = MappingProxyType({}),
) -> tuple[Rewritten, bytes]:
    """Rewrite a stream as `rewrite_package` does, and check what holds for every result.

    If copied blocks do not fit, which `read` or the CRC-32 detects, everything is compressed again.
    """
    content = expected(old.content, splices)
    stream = Stream(source, old.settings, len(old.content), blocks, held)
    for plain in (False, True):
        done_so_far: list[int] = []
        out = io.BytesIO()
        try:
            done = recompress(stream, splices, out, ThreadBudget(threads), done_so_far.append, plain)
        except CannotReuse:
            assert not plain
            continue
        assert done.crc == zlib.crc32(content)
        result = read(out.getvalue())
        if plain or not done.reused or (result is not None and zlib.crc32(result) == done.crc):
            break
    assert result == content
    assert done.size == len(content) == done.reused + done.recompressed
    assert sum(done_so_far) == len(old.content)
    return done, out.getvalue()


def check_other_readers(packed: bytes, content: bytes, filter_name: str, program: str, *options: str) -> None:
    """libarchive, and the codec's own program if there is one, read the stream to its end."""
    with libarchive.memory_reader(packed, format_name="raw", filter_name=filter_name) as archive:
        assert b"".join(block for entry in archive for block in entry.get_blocks()) == content
    if path := shutil.which(program):
        assert subprocess.run([path, "-dc", *options], input=packed, capture_output=True, check=True).stdout == content


class FullDisk(io.BytesIO):
    """A file on a disk that is full after `room` bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: object) -> int:
        if self.tell() >= self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)  # type: ignore[arg-type]
