"""A Parquet file of vectors and labels, read batch by batch; pyarrow is the extra ``linclass[parquet]``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.data.arrays import Stored, readable, sliced
from linclass_cli.data.labels import shown
from linclass_cli.data.tables import Table, role_of
from linclass_cli.errors import InputError, MissingError, how_to_install

_BATCH = 4096  # rows
# Columns that number the rows: no features.
_NUMBERS = {"id", "index", "__index_level_0__", "unnamed: 0"}


def parquet_table(path: Path, rows_key: str | None, labels_key: str | None) -> Table:
    """The table of a Parquet file: a column of lists, or all columns of numbers, and a column of labels.

    Raises:
        MissingError: pyarrow is not installed.
        InputError: it is no Parquet file, or has no such columns.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingError(
            f"{path}: Parquet needs pyarrow, which is not installed: {how_to_install('parquet')}"
        ) from None
    with readable(path, "Parquet"), parquet.ParquetFile(path) as file:
        schema, n = file.schema_arrow, file.metadata.num_rows
        labels, split, columns = _columns(path, schema, rows_key, labels_key)
        texts = file.read(columns=[labels]).column(0).to_pylist()
        parts = file.read(columns=[split]).column(0).to_pylist() if split else None
        width = _width(file, columns) if _is_list(schema.field(columns[0]).type) else len(columns)
    if any(text is None for text in texts):
        raise InputError(f"{path}:{labels}: row {texts.index(None)} has no label")
    return Table(
        "",
        Stored(str(path), (n, width), np.dtype(np.float64), lambda: _blocks(path, columns, width)),
        sliced(f"{path}:{labels}", np.array(texts)),
        None if parts is None else sliced(f"{path}:{split}", np.array([str(part) for part in parts])),
    )


def _columns(
    path: Path, schema: Any, rows_key: str | None, labels_key: str | None
) -> tuple[str, str, list[str]]:
    """The names of the columns: labels, split (or empty), and features."""
    roles = {name: role_of(name, rows_key, labels_key)[1] for name in schema.names}
    labels = [name for name, role in roles.items() if role == "labels"]
    split = [name for name, role in roles.items() if role == "split"]
    lists = [field.name for field in schema if _is_list(field.type)]
    named = [name for name in lists if roles[name] == "rows"]
    rows = named or ([] if rows_key else lists)
    if not rows and not rows_key:
        taken = {*labels, *split}
        rows = [f.name for f in schema if _is_number(f.type) and f.name not in taken | _NUMBERS]
    several = len(rows) > 1 and rows[0] in lists
    if len(labels) != 1 or len(split) > 1 or not rows or several:
        kinds = ", ".join(f"{shown(field.name)} {field.type}" for field in list(schema)[:8])
        raise InputError(
            f"{path}: expected a column of labels, and one of lists (or columns) of numbers, found {kinds}; "
            "name them with --labels-key and --rows-key"
        )
    return labels[0], split[0] if split else "", rows


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and _is_number(kind.value_type))


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _width(file: Any, columns: list[str]) -> int:
    for batch in file.iter_batches(batch_size=1, columns=columns):
        first = batch.column(0)[0].as_py()
        return len(first) if first is not None else 0
    return 0


def _blocks(path: Path, columns: list[str], width: int) -> Iterator[NDArray[Any]]:
    import pyarrow.parquet as parquet

    done = 0
    with readable(path, "Parquet"), parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
            if _is_list(batch.schema.field(0).type):
                yield _list_block(path, batch.column(0), width, done)
            else:
                block = [_plain(path, batch.column(name), name, done) for name in columns]
                yield np.stack(block, 1)
            done += len(batch)


def _list_block(path: Path, column: Any, width: int, done: int) -> NDArray[Any]:
    lengths = (
        [width] * len(column) if hasattr(column.type, "list_size") else column.value_lengths().to_pylist()
    )
    wrong = next((row for row, length in enumerate(lengths) if length != width), None)
    if column.null_count or wrong is not None:
        wrong = column.is_null().to_pylist().index(True) if column.null_count else wrong
        raise InputError(
            f"{path}: row {done + (wrong or 0)} has no list of {width} numbers, as the first has"
        )
    return _plain(path, column.flatten(), "its list", done, width).reshape(-1, width)


def _plain(path: Path, values: Any, name: str, done: int, width: int = 1) -> NDArray[Any]:
    if values.null_count:
        row = done + values.is_null().to_pylist().index(True) // max(width, 1)
        raise InputError(f"{path}: row {row} has nothing in {shown(name)}; every row wants a number")
    return np.asarray(values.to_numpy(zero_copy_only=False))
