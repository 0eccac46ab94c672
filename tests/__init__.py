"""Tests of the distribution; behaviour is written once and run in both flavours."""
