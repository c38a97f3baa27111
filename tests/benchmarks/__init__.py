"""Measured work: each script runs as `python -m tests.benchmarks.NAME`, prints a line per figure and exits.

A line is `KEY ratio=X (ours ..., peer ...)` or `KEY value=X (...)`; larger is better.
"""
