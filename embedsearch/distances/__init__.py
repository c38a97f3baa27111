"""Distances and what they say: metrics, and the scale that turns one into a percentile and a word."""
