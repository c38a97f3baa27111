"""embedsearch for other programs: what it prints and answers as JSON."""
