"""What an operator asks of a lake: what lies in it, what changed, whether every file is sound.

In: a workspace's lake as it lies. Out: counts and findings, never a row; and a lake of an earlier format converted.
Begin with `verify_lake` in inspection.py.
"""
