"""Findings: what is wrong with a run, by name, from its metrics alone.

`curves.py` holds a run's metrics, one file a family of diseases looks at them, `rules.py` is the
table of all rules. Pure Python: the same code looks at a run in training and at its folder later.
"""
