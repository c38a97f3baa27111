"""One index on disk: its builds, their manifests, items and source state, and which build is current."""
