"""How many examples a test draws: some minutes in all with `make check`, hours if wanted."""

from hypothesis import settings

USUAL = 100
"""What hypothesis draws by itself; a profile with a multiple of it multiplies all tests here."""


def examples(number: int) -> settings:
    """Return settings for a test that usually draws that many examples."""
    return settings(max_examples=number * settings().max_examples // USUAL)
