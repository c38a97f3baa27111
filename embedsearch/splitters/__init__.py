"""A record to the units that get a vector each."""
