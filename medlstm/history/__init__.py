"""Years of history before the first night: one export taken in at once, and what its last weeks would have brought.

In: files of an export, wherever they lie. Out: a landing folder of one date; predictions of past nights, from a lake
whose rows came all on one later date; or, as a replay, one landing folder for each date. Begin with place_export.py.
"""
