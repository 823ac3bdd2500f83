"""The first day of a hospital: what its files seem to say, and years of history as if they arrived day by day.

In: files that no configuration describes yet, or a historical data set.
Out: a proposed medlstm.toml with reasons and questions, and what a night would make of the files; dated folders.
Begin with `propose` in propose_mapping.py, which reads top-down; try_mapping.py and replay.py are on their own.
"""
