"""The first day of a hospital: what its files seem to say, and years of history as if they arrived day by day.

In: files that no configuration describes yet, or a historical data set.
Out: a proposed [source] with what it could not decide; dated landing folders.
Begin with `propose` in propose_mapping.py; replay.py is on its own.
"""
