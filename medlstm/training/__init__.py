"""Sequences to a fitted model that has been judged on stays it has never seen.

In: the sequences of all stays that a night knows, open ones as censored. Out: weights, intervals, errors.
Begin with `train_model` in fit_and_evaluate.py, then fit_ensemble.py, fit_member.py and train_loop.py, downwards.
"""
