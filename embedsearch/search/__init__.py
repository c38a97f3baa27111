"""A query to its results."""
