"""A Parquet file of vectors and labels, read batch by batch; pyarrow is the extra ``linclass[parquet]``.

A few bytes of Parquet can stand for any number of equal values: rows, numbers in a row and letters in a text
are counted before they are unpacked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.data.arrays import Stored, readable, rows_at_once, sliced
from linclass_cli.data.info import MOST_VALUES
from linclass_cli.data.labels import shown
from linclass_cli.data.tables import Table, role_of
from linclass_cli.errors import InputError, MissingError, how_to_install
from linclass_cli.memory import require

_BATCH = 4096  # rows
_BUFFER = 1 << 20  # bytes of a column's pages that are read ahead
_LABEL = 24  # bytes that a label takes at the least: the places of two lists and an array
_LONGEST = 1 << 12  # characters
# Columns that number the rows: no features.
_NUMBERS = {"id", "index", "__index_level_0__", "unnamed: 0"}


def parquet_table(path: Path, rows_key: str | None, labels_key: str | None) -> Table:
    """The table of a Parquet file: a column of lists, or all columns of numbers, and a column of labels.

    Raises:
        MissingError: pyarrow is not installed.
        InputError: it is no Parquet file, or has no such columns.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise MissingError(
            f"{path}: Parquet needs pyarrow, which is not installed: {how_to_install('parquet')}"
        ) from None
    with _opened(path) as file:
        schema, n = file.schema_arrow, file.metadata.num_rows
        labels, split, columns = _columns(path, schema, rows_key, labels_key)
    require(f"reading {path}", {"labels": _LABEL * n})
    texts = _texts(path, schema.field(labels))
    parts = [str(part) for part in _texts(path, schema.field(split))] if split else None
    width = _width(path, columns[0]) if _is_list(schema.field(columns[0]).type) else len(columns)
    if any(text is None for text in texts):
        raise InputError(f"{path}:{labels}: row {texts.index(None)} has no label")
    return Table(
        "",
        Stored(str(path), (n, width), np.dtype(np.float64), lambda: _blocks(path, columns, width)),
        sliced(f"{path}:{labels}", _array(texts)),
        None if parts is None else sliced(f"{path}:{split}", _array(parts)),
    )


@contextmanager
def _opened(path: Path, **options: Any) -> Iterator[Any]:
    """The file, read as it is wanted: pyarrow would hold all that has been read, or a whole row group."""
    import pyarrow.parquet as parquet

    with (
        readable(path, "Parquet"),
        parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER, **options) as file,
    ):
        yield file


def _texts(path: Path, field: Any) -> list[Any]:
    """The values of a column, whatever they are. Raises InputError for texts that no label could be."""
    import pyarrow as pa

    values: list[Any] = []
    column, kind = field.name, field.type
    # As a dictionary: equal texts, however many and long, stand there once.
    packed = [column] if pa.types.is_string(kind) or pa.types.is_binary(kind) else None
    with _opened(path, read_dictionary=packed) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=[column]):
            found = batch.column(0)
            if pa.types.is_dictionary(found.type):
                if any(len(text or "") > _LONGEST for text in found.dictionary.to_pylist()):
                    raise InputError(f"{path}:{column}: it holds a text of over {_LONGEST:,} characters")
                # Not one Python text for each row: rows of a class share theirs.
                known = [*found.dictionary.to_pylist(), None]
                values += [known[index] for index in found.indices.fill_null(-1).to_pylist()]
            else:
                values += found.to_pylist()
    return values


def _array(values: list[Any]) -> NDArray[Any]:
    """Numbers as numbers, texts as objects: one long text would make all of them as long."""
    return np.array(values, object if any(isinstance(one, str | bytes) for one in values[:1]) else None)


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


def _width(path: Path, column: str) -> int:
    """The numbers in the list of the first row. Raises InputError for more than a vector may have."""
    with _opened(path) as file:
        about = file.metadata
        for group in map(about.row_group, range(about.num_row_groups)):
            for one in map(group.column, range(group.num_columns)):
                inside = one.path_in_schema.partition(".")[0] == column
                if inside and one.num_values > MOST_VALUES * max(1, group.num_rows):
                    raise InputError(
                        f"{path}: {shown(column)} has more than {MOST_VALUES:,} numbers in a row"
                    )
        for batch in file.iter_batches(batch_size=1, columns=[column]):
            first = batch.column(0)[0].as_py()
            return len(first) if first is not None else 0
    return 0


def _blocks(path: Path, columns: list[str], width: int) -> Iterator[NDArray[Any]]:
    done, most = 0, min(_BATCH, rows_at_once((1, width), np.dtype(np.float64)))
    with _opened(path) as file:
        for batch in file.iter_batches(batch_size=most, columns=columns):
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
