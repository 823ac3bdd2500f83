"""Landing to raw: every row as the text that was received, every file on record.

In: the batches that a source reads from a date's landing folder. Out: `lake/raw/<table>/extract_date=D`.
Which files belong to which date, so that a past night stays what it was, is delivered_files.py.
Begin with `ingest_date` in landing_to_raw.py.
"""
