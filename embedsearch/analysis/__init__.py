"""What an index is like as a whole: copies, neighbours, quality, and comparisons."""
