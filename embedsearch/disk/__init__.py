"""Files that survive: NumPy arrays, checksums, the cache folder of this machine, and locks."""
