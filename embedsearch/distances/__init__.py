"""Distances: metrics, and the distance scale, which gives a percentile, a label and a verdict."""
