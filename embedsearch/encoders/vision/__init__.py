"""Image files to the pixels that a model reads."""
