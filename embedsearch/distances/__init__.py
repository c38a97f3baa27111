"""Distances: metrics, and the distance scale, which gives a percentile and a label."""
