"""What is known of a model without loading it: the catalogue, its files, its specification. No torch."""
