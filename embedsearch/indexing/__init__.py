"""A recipe to a published build: plan, run, finish."""
