"""Fixtures for pytest: an embedded ReductStore and clients of it."""
