"""Conditions (`when`): parsed once, evaluated record by record with a state of their own.

condition = parse_condition({"&score": {"$gt": 10}})      # ApiError 422 when it is wrong
evaluation = condition.start(strict=False)                # one per entry
for record in records:
    selected = evaluation.select(record)                  # None: `$limit` is reached
"""

from reduct_local.conditions.condition import (
    Condition,
    Evaluation,
    check_syntax,
    parse_condition,
)
from reduct_local.conditions.directives import Directives
from reduct_local.conditions.fatal import EndsRealServerError
from reduct_local.conditions.nodes import LabelledRecord, LimitReachedError

__all__ = [
    "Condition",
    "Directives",
    "EndsRealServerError",
    "Evaluation",
    "LabelledRecord",
    "LimitReachedError",
    "check_syntax",
    "parse_condition",
]
