"""The demo: three indexes of what most machines have, and their sources."""
