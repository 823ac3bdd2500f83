"""The rows of a chunk as the tables that are written: admitted ones typed, quarantined ones as received."""

import numpy as np
import pyarrow as pa

from medlstm.contracts.text_column import Column, TextColumn
from medlstm.contracts.typed_columns import MISSING_TIME, Cast, Finding
from medlstm.lake.schemas import PROVENANCE


def admitted_rows(schema: pa.Schema, typed: Cast, raw: pa.Table, rows: np.ndarray) -> pa.Table:
    """The typed `rows` of a chunk with where they came from."""
    taken = raw.select([one.name for one in PROVENANCE]).take(pa.array(rows))
    columns = [
        taken.column(one.name) if one.name in taken.column_names else _for_arrow(typed.columns[one.name], rows, one)
        for one in schema
    ]
    return pa.table(columns, names=schema.names)


def _for_arrow(column: Column, rows: np.ndarray, name: pa.Field) -> pa.Array:
    if isinstance(column, TextColumn):
        return column.take(rows).to_arrow()
    values = column[rows]
    if values.dtype == np.int64:
        return pa.array(values, pa.int64(), mask=values == MISSING_TIME).cast(name.type)
    if values.dtype == np.int8:
        return pa.array(values == 1, pa.bool_(), mask=values < 0)
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def quarantined_rows(raw: pa.Table, kept: np.ndarray, findings: list[Finding], quarantine: np.ndarray) -> pa.Table:
    """The raw text of the `kept` rows that are quarantined [bool], with the first rule they broke and all reasons."""
    findings = [one for one in findings if one.rows.any()]
    rows = np.flatnonzero(quarantine)
    hits = np.array([finding.rows[rows] for finding in findings], dtype=bool).reshape(len(findings), len(rows)).T
    patterns, pattern = np.unique(hits, axis=0, return_inverse=True)
    named = [[finding for finding, hit in zip(findings, row, strict=True) if hit] for row in patterns]
    rule = [one[0].rule if one else "" for one in named]
    reason = ["; ".join(finding.description for finding in one) for one in named]
    taken = raw.take(pa.array(kept[rows]))
    taken = taken.append_column("rule", _coded(rule, pattern.reshape(-1)))
    return taken.append_column("reason", _coded(reason, pattern.reshape(-1)))


def _coded(texts: list[str], codes: np.ndarray) -> pa.DictionaryArray:
    """texts[codes]; `texts` may repeat, the dictionary does not, so that equal rows become equal bytes."""
    distinct = pa.array(texts, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(distinct.indices.take(pa.array(codes)), distinct.dictionary)
