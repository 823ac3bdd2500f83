"""A synthetic hospital whose faults are known, for the demo and the tests.

In: a start date, a number of days, a seed. Out: dated landing folders as a hospital would send them.
Begin with `simulate_hospital` in hospital.py, then case_mix.py, course.py and feed.py.
"""
