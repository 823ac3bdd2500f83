"""Raw to admitted: what the data contracts let through, what they hold back and why; not one row is lost.

In: raw rows of text, and the reviewed suites of data_contracts/. Out: admitted and quarantined rows, counts by rule.
What the night itself makes (sequences, predictions) is held to a contract too: output_checks.py.
Begin with `validate_date` in raw_to_admitted.py, then `judge` in check_rows.py.
"""
