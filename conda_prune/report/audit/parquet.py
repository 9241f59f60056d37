"""The results of an audit as Parquet, one row per package, for DuckDB and other tools that read columns.

pyarrow writes it, an extra of this project (`conda-prune[parquet]`), in groups of rows, so that memory does not grow
with the results. The rows are in no particular order.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, BinaryIO

from ...errors import PruneError
from .row import Row
from .totals import packed

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 20_000
_FINDINGS = 200_000
"""Rows of a group, and findings in it; what comes first ends the group."""


class ParquetWriter:
    """Writes results to a binary stream. Raises PruneError if pyarrow is not installed."""

    def __init__(self, stream: BinaryIO) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise PruneError("Parquet needs pyarrow", "install conda-prune[parquet], or pyarrow with conda") from error
        self._schema = _schema(pa)
        self._arrow: Any = pa
        self._writer: Any = parquet.ParquetWriter(_Sink(stream), self._schema, compression="zstd")
        self._rows: list[tuple[Any, ...]] = []
        self._findings = 0

    def add(self, value: dict[str, Any], row: Row) -> None:
        """Write a result, or keep it for the next group. Raises what a result of another shape raises."""
        self._rows.append(_record(value, row))
        self._findings += len(value["findings"])
        if len(self._rows) >= _ROWS or self._findings >= _FINDINGS:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            columns = [
                self._column(column, field)
                for column, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
            ]
            self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))
        self._rows.clear()
        self._findings = 0

    def _column(self, values: tuple[Any, ...], field: Any) -> Any:
        try:
            return self._arrow.array(values, field.type)
        except (ValueError, TypeError, OverflowError) as error:
            raise PruneError(f"the column {field.name} cannot be written as Parquet: {error}") from error


class _Sink:
    """What pyarrow needs of a stream, which may be a pipe."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._written = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def _schema(arrow: Any) -> pa.Schema:
    text = arrow.string()
    finding = arrow.struct([("kind", text), ("path", text), ("size", arrow.int64()), ("action", text)])
    return arrow.schema(
        [
            ("channel", text), ("subdir", text), ("file_name", text), ("sha256", text), ("path", text),
            ("uploaded", arrow.timestamp("s", "UTC")), ("status", text), ("name", text), ("version", text),
            ("build", text), ("feedstock", text), ("python", text), ("variant", text), ("judged_from", text),
            ("rules_version", text), ("packed_size", arrow.int64()), ("files", arrow.int64()),
            ("stray_files", arrow.int64()), ("stray_bytes", arrow.int64()),
            ("stray_packed_bytes_estimate", arrow.int64()), ("findings", arrow.list_(finding)), ("error", text),
        ]
    )  # fmt: skip


def _record(value: dict[str, Any], row: Row) -> tuple[Any, ...]:
    """Return a row of the schema, in its order."""
    package, variant = value["package"] or {}, value["variant"] or {}
    before = value["before"]
    findings = [
        {"kind": finding["kind"], "path": _text(finding["path"]), "size": finding["size"], "action": finding["action"]}
        for finding in value["findings"]
    ]
    return (
        _text(row.channel or None), _text(row.subdir or None), _text(row.file_name or None), row.sha256,
        _text(row.path), _moment(value["uploaded"]), row.status, _text(row.name), _text(package.get("version")),
        _text(package.get("build")), _text(row.feedstock), _text(variant.get("python") or None),
        _text(variant.get("kind")), row.judged_from, _text(value.get("rules_version")),
        before["size"] if before else None, value["summary"]["members"], row.stray, row.size, packed(row.size),
        findings, _text(row.reason or None),
    )  # fmt: skip


def _text(text: str | None) -> str | None:
    """Return a text that is UTF-8: a lone surrogate, for a byte of a path that is not, is written as an escape."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment.astimezone(timezone.utc) if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None
