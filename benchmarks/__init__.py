"""Measurements against the official client and against raw sockets; run by `make bench`."""
