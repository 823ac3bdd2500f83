"""Landing files to canonical rows of text: one file per format.

In: the files of one date's landing folder, as the hospital sent them.
Out: batches of rows with canonical columns, every value still the text that was received, every file accounted for.
Begin with read_landing.py, which picks the format, then source_batch.py: what a source owes.
"""
