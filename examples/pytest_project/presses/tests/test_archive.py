"""The blocking archive, on a bucket of the embedded server."""

import pytest

from reduct_sync import Bucket, NotFoundError

from ..archive import Archive
from ..curve import Curve

CURVES = [Curve(1_000, (0.0, 950.5, 3.0)), Curve(2_000, (0.0, 1200.0)), Curve(3_000, ())]


@pytest.fixture
def archive(reduct_bucket: Bucket) -> Archive:
    """An archive with the curves of one press."""
    archive = Archive(reduct_bucket)
    archive.store("press-1", CURVES)
    return archive


def test_curves_come_back_as_they_were(archive: Archive) -> None:
    assert list(archive.overloads("press-1", -1)) == CURVES


def test_overloads(archive: Archive) -> None:
    assert [curve.peak for curve in archive.overloads("press-1", 1_000)] == [1200.0]


def test_curves_that_are_there_are_reported(archive: Archive) -> None:
    again = [Curve(2_000, (5.0,)), Curve(4_000, (7.0,))]
    assert archive.store("press-1", again) == [2_000]
    assert list(archive.overloads("press-1", -1)) == [*CURVES, Curve(4_000, (7.0,))]


def test_confirmed_overloads_are_done(archive: Archive) -> None:
    assert archive.unconfirmed("press-1", 900) == 2
    archive.confirm("press-1", 2_000, "Ada")
    assert archive.unconfirmed("press-1", 900) == 1


def test_an_unknown_curve_cannot_be_confirmed(archive: Archive) -> None:
    with pytest.raises(NotFoundError):
        archive.confirm("press-1", 5_000, "Ada")
