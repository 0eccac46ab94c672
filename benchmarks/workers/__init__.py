"""One process for each contender: it takes orders as JSON lines and answers with measurements.

The modules import nothing of this project but `benchmarks.workers`, so that they also run in the
environment of the official client.
"""
