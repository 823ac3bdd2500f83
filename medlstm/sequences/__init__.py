"""Who is in, and what was measured of them hour by hour, as a night may know it.

In: admitted stays and observations up to the night's date. Out: one sequence of bins a stay, and padded batches.
What becomes of every observation on the way is counted (row_ledger.py), and has to add up.
Begin with `load_cohort` in cohort.py, then `build_sequences` in build.py; batches.py is where tensors begin.
"""
