"""What the champion says tonight: days that remain for every open stay, between which bounds, and why.

In: the sequences of open stays and the champion of the date. Out: `lake/predictions/as_of=D`, and exports of it.
Begin with `score_night` in score_night.py; occlusion.py finds the reasons.
"""
