"""Landing files to canonical rows of text: one file per format.

In: the files of one date's landing folder, as the hospital sent them.
Out: batches of rows with canonical columns, every value still the text that was received, every file accounted for.
Begin with read_landing.py, which picks the format, then csv.py and mapping.py.

A source is one file, `medlstm/sources/<format>.py`, with one function, and its settings in
`medlstm/settings/source.py`:

    def read(landing: LandingFolder, config: Config) -> Iterator[Landed]

It yields, in an order that depends on the files alone (so that a rerun gives equal bytes):

- `RowBatch`: rows of one table, at most about `BATCH_ROWS` of them. Every canonical column is text exactly as
  received (Arrow string, or dictionary of string where values repeat); `source_file` is the path within the landing
  folder and `source_row` the row's number in it, from 1. A canonical column that is left out is null.
- `FilesRead` for the files read to their end, `UnreadableFile` for every file that was not, `LandingWarning` for
  what a person should know.

A source casts nothing, judges nothing and drops nothing: a line that it cannot split into columns is a row with the
text in `unparsed_line` (see `unparsed_rows`), a time counted from the admission is `minutes_after_admission`, a row
that the source marks as entered in error has text in `retracted`. It holds one batch at a time, and it never opens a
file outside `landing.folder`. The canonical columns are `raw_columns` in `medlstm/lake/schemas.py`.
"""
