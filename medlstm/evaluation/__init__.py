"""How good predictions are: pure functions of what was predicted and what came true.

In: predictions and actual days, as arrays. Out: errors, intervals that hold, both again by group.
Begin with metrics.py; conformal_intervals.py makes the bounds that every prediction carries.
"""
