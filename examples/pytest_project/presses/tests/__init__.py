"""Tests of the archive; pytest finds its fixtures in `reduct_pytest`."""
