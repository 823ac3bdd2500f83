"""The LSTM family: raw values go in, days remaining come out at each step.

In: padded batches of raw values, NaN where nothing was measured. Out: at each step the days that remain, the
probability of still being in at the edge of each day bin, and the risk of dying in hospital where that is trained.
Begin with gates.py (the six equations), inputs.py, step_network.py and heads.py; one model is one file in family/.
"""
