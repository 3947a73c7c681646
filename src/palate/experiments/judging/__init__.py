"""Judging: samples → verdicts → pairs, by a function, a reward, a policy or a language model."""
