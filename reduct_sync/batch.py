"""Batches of this flavour: their records are this flavour's records."""

from reduct_core.batches import MultiEntryBatch, SingleEntryBatch

from .record import Record


class Batch(SingleEntryBatch[Record]):
    """Records of one entry, to be written, updated or removed together.

    May be larger than one request: the batch calls split it.
    """

    _record = Record


class RecordBatch(MultiEntryBatch[Record]):
    """Records of several entries, to be written, updated or removed together.

    May be larger than one request: the batch calls split it.
    """

    _record = Record
