"""Read a parquet file as cells."""

import io
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ironore_lightning.errors import DataError, missing_extra
from ironore_lightning.reading.cells import RawTable, header_text
from ironore_lightning.reading.raw_bytes import MAX_BYTES, one_line, require_few_cells
from ironore_lightning.settings.files import FileSettings

MAX_STORED_CELLS = 50_000_000
"""Most cells of a parquet file, whose numbers take eight bytes each."""

_UNNAMED_INDEX = r"__index_level_[0-9]+__"


def read_parquet(file: str, raw: bytes, settings: FileSettings) -> RawTable:
    """Read a parquet file; the index of pandas is a column, an unnamed one without a header.

    Raises:
        DataError: If the bytes are no parquet file, or too large a one.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{file}: {missing_extra('pyarrow', 'parquet')}") from None
    try:
        metadata = parquet.read_metadata(io.BytesIO(raw))
        num_cells = metadata.num_rows * metadata.num_columns
        require_few_cells(file, num_cells, at_most=MAX_STORED_CELLS)
        stored = metadata.schema.to_arrow_schema()
        fields = [*stored]
        index = _index(stored)
        odd = {field.name: one_line(field.type) for field in fields if not _is_plain(field.type)}
        plain = [number for number, field in enumerate(fields) if field.name not in odd]
        frame = _stored_columns(file, raw, [fields[number] for number in plain])
    except (DataError, MemoryError):
        raise
    except Exception as error:
        # Arrow and pandas raise many kinds of errors for a broken file.
        raise DataError(f"{file}: is not a readable parquet file: {one_line(error)}") from error
    return RawTable(
        file,
        headers=tuple(
            "" if re.fullmatch(_UNNAMED_INDEX, field.name) else header_text(field.name)
            for field in fields
        ),
        cells=frame.set_axis(plain, axis=1).reindex(columns=range(len(fields))),
        settings=settings,
        row_noun="row",
        row_numbers=range(1, len(frame) + 1),
        index=index,
        unreadable={
            number: f"holds {odd[field.name]}, expected numbers, text or dates"
            for number, field in enumerate(fields)
            if field.name in odd
        },
    )


def _index(stored: Any) -> int | None:  # noqa: ANN401 - a schema of pyarrow
    """Return the number of the column that is the index; None if there is none, or several."""
    names = (stored.pandas_metadata or {}).get("index_columns", [])
    is_column = len(names) == 1 and isinstance(names[0], str) and names[0] in stored.names
    return stored.names.index(names[0]) if is_column else None


def _is_plain(kind: Any) -> bool:  # noqa: ANN401 - a type of pyarrow, which is an extra
    """Whether a cell of a type is one number, text or date."""
    from pyarrow import types

    tests = (types.is_primitive, types.is_decimal, types.is_null, _is_text)
    return any(test(kind) for test in tests)


def _is_text(kind: Any) -> bool:  # noqa: ANN401 - a type of pyarrow
    """Whether a type is text, possibly dictionary-encoded."""
    from pyarrow import types

    values = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(values) or types.is_large_string(values))


def _stored_columns(file: str, raw: bytes, fields: Sequence[Any]) -> pd.DataFrame:
    """Read columns of a parquet file; texts stay dictionary-encoded to save memory."""
    import pyarrow
    from pyarrow import parquet

    stored = parquet.ParquetFile(
        io.BytesIO(raw),
        page_checksum_verification=True,
        read_dictionary=[field.name for field in fields if _is_text(field.type)],
    )
    names = [field.name for field in fields]
    num_bytes = 0
    batches = []
    for batch in stored.iter_batches(columns=names):
        num_bytes += batch.nbytes
        if num_bytes > MAX_BYTES:
            raise DataError(f"{file}: unpacks to {num_bytes} bytes or more, may have {MAX_BYTES}")
        batches.append(batch)
    read = [field for field in stored.schema_arrow if field.name in names]
    table = pyarrow.Table.from_batches(batches, pyarrow.schema(read))
    return pd.DataFrame(table.to_pandas())
