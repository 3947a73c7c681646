"""Thrifty twins of stock pieces: the same numbers with fewer passes over memory and less kept.

One file a piece. `fitting.fit` puts them into a model once, when it is loaded, each only where it
has been seen to agree with the module that it stands for; nothing needs them for being right. A
piece is set on the module itself (`module.forward`), so that weights, names and folders stay what
they are.
"""
