"""Arrow tables whose text columns are dictionaries: each distinct text is held, read and written once."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def joined(tables: list[pa.Table]) -> pa.Table:
    """One table with one dictionary a text column. Columns that some tables lack are null in their rows."""
    table = pa.concat_tables(tables, promote_options="default").unify_dictionaries()
    columns = [one_chunk(table.column(name)) for name in table.column_names]
    return pa.table(columns, names=table.column_names)


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; its chunks share a dictionary."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def compacted(table: pa.Table) -> pa.Table:
    """The same rows, each dictionary sorted and without texts that no row has: equal rows become equal bytes."""
    return _with_dictionaries(table, in_order=True)


def pruned(table: pa.Table) -> pa.Table:
    """The same rows, each dictionary without texts that no row has."""
    return _with_dictionaries(table, in_order=False)


def _with_dictionaries(table: pa.Table, in_order: bool) -> pa.Table:
    columns = [
        _renumbered(one_chunk(column), in_order) if pa.types.is_dictionary(column.type) else one_chunk(column)
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _renumbered(column: pa.DictionaryArray, in_order: bool) -> pa.DictionaryArray:
    codes = column.indices.to_numpy() if not column.null_count else column.indices.fill_null(-1).to_numpy()
    place = np.full(len(column.dictionary) + 1, -1, dtype=np.int32)
    place[codes] = 0
    used = np.flatnonzero(place[:-1] == 0)
    texts = column.dictionary.take(pa.array(used))
    if in_order:
        order = pc.array_sort_indices(texts).to_numpy()
        texts, used = texts.take(pa.array(order)), used[order]
    place[used] = np.arange(len(used), dtype=np.int32)
    place[-1] = -1
    renumbered = place[codes]
    missing = renumbered < 0 if column.null_count else None
    return pa.DictionaryArray.from_arrays(pa.array(renumbered, mask=missing), texts)
