"""Checks that take more than one look at one record: other rows, slow patterns, a tokenizer."""
