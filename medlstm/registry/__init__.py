"""Model versions, and which of them may speak.

In: a newly trained model. Out: a version on disk, and the decision whether it becomes the champion of its date.
Begin with `train_night` in nightly_training.py, then promotion.py and versions.py.
"""
