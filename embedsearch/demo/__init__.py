"""The demo: three indexes of what every machine has, and what they are made of."""
