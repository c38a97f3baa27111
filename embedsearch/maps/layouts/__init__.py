"""Layouts: vectors to two dimensions."""
