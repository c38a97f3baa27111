"""Analyses of a whole index: duplicates, neighbours, diagnostics, evaluation, comparisons."""
