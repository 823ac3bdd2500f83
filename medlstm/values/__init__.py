"""Single values: text as it was received to numbers, times and units, whatever table it came from.

In: columns of text. Out: typed columns, with what could not be read marked and never lost.
Reviewed tables of variables, units and conversions are in reference/.
Begin with parsing.py, then `in_own_units` in units.py.
"""
