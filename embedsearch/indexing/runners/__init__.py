"""Who maps batches to vectors."""
