"""Fixtures for pytest: an embedded ReductStore server, and buckets on it.

They are there as soon as the package is installed with `pip install 'reduct-httpx[local]'`; see
`reduct_pytest.plugin`.
"""
