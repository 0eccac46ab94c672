"""The benchmark: its figures, ratios and table, and one small run on a real server."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report, rows
from benchmarks.contenders import Contender
from benchmarks.rows import QUICK, Data, Goals, Row
from benchmarks.run import Outcome, fresh_server, prepare, run_row

OURS = ("async", "blocking", "stock", "raw socket", "raw protocol")
"""The contenders that need no environment of their own."""


def turn(units: float, seconds: float = 1.0, **more: Any) -> dict[str, Any]:
    """Return what a worker answers."""
    defaults = {"bytes": 0, "cpu": 0.5, "peak": 3_000_000, "samples": [], "note": ""}
    return {"units": units, "seconds": seconds, **defaults, **more}


def outcome(measure: Any = "rate", **turns: list[dict[str, Any]]) -> Outcome:
    """Return an outcome with a goal of 2 for async, and at most 2 where less is better."""
    row = Row("key", "a row", "group", "rec", {}, Goals(2, 2, 0.8), measure=measure)
    return Outcome(row, {name.replace("_", " "): found for name, found in turns.items()})


def test_a_figure_is_the_median_of_the_turns() -> None:
    found = report.figure(outcome(**{"async": [turn(10), turn(30), turn(20, 2.0)]}), "async")
    assert found is not None
    assert (found.value, found.low, found.high) == (10, 10, 30)
    assert found.spread == 2.0
    assert found.cpu == pytest.approx(0.025)
    assert found.peak == 3_000_000


def test_failed_turns_have_no_figure_but_a_note() -> None:
    found = outcome(**{"async": [turn(10), {"failed": "TimeoutError: late"}], "stock": []})
    figure = report.figure(found, "async")
    assert figure is not None
    assert figure.value == 10
    assert found.note("async") == "TimeoutError: late"
    assert report.figure(found, "stock") is None


def test_the_table_compares_with_both_rivals() -> None:
    found = outcome(reduct_py=[turn(100)], **{"async": [turn(250)], "blocking": [turn(150)]})
    found.turns = {name.replace("reduct py", "reduct-py"): t for name, t in found.turns.items()}
    found.turns["raw protocol"] = [turn(500)]
    lines = report.table([found]).splitlines()
    assert "| a row | async | 250/s | 0% | 2.50 | yes (>= 2) | 0.50 |" in lines[3]
    assert "| a row | blocking | 150/s | 0% | 1.50 | no (>= 2) |  |" in lines[4]


@pytest.mark.parametrize(("value", "reached"), [(1.0, "yes (<= 2)"), (3.0, "no (<= 2)")])
def test_less_is_better_for_delays(value: float, reached: str) -> None:
    row = outcome("delay").row
    assert report.verdict(row, "async", value) == reached
    assert report.verdict(row, "stock", value) == ""


def test_values_of_delays_are_their_samples_and_of_memory_the_peak() -> None:
    delay, memory = outcome("delay").row, outcome("memory").row
    assert report.values_of(delay, turn(1, samples=[0.1, 0.3])) == [0.1, 0.3]
    assert report.values_of(memory, turn(1)) == [3_000_000]


def test_amounts_are_short() -> None:
    shown = [report.amount(*pair) for pair in [(0.25, "s"), (2e9, "B"), (12_345, "rec"), (5, "op")]]
    assert shown == ["250 ms", "2.00 GB", "12,345", "5.0"]


def test_a_run_leaves_table_json_and_charts(tmp_path: Path) -> None:
    found = outcome(**{"async": [turn(250)], "blocking": [turn(150)]})
    found.turns["reduct-py"] = [turn(100)]
    text = report.write([found], tmp_path)
    assert text in (tmp_path / "table.md").read_text()
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["rows"][0]["turns"]["async"][0]["units"] == 250
    assert (tmp_path / "group.png").read_bytes().startswith(b"\x89PNG")


def test_every_row_is_named_once_and_has_its_goals() -> None:
    every = rows.all_rows(QUICK)
    assert len({row.key for row in every}) == len(every)
    held = {row.key for row in every if row.goals.asynchronous is not None}
    assert {"query-1kB", "read", "read-x16", "write", "writer", "upload", "memory"} <= held


@pytest.mark.real
@pytest.mark.parametrize(
    "key", ["query-1kB", "query-head", "read", "write", "write-batch", "embedded-query"]
)
def test_a_row_runs(key: str) -> None:
    row = next(row for row in rows.all_rows(QUICK) if row.key == key)
    order = dict(row.order) | {"seconds": 0.01}
    data = None
    if row.data is not None:
        data = Data(100, 10, row.data.entries)
        order["count"] = 100
    names = [name for name in OURS if name in row.contenders]
    small = dataclasses.replace(row, order=order, data=data, contenders=tuple(names))
    found = run_row(small, rounds=1, file_size=1_000_000)
    assert {name: found.note(name) for name in names} == dict.fromkeys(names, "")
    assert all(found.good(name)[0]["units"] > 0 for name in names)


@pytest.mark.real
def test_a_wrong_answer_has_no_figure() -> None:
    """Negative control: a contender that finds too little fails instead of being fast."""
    order = {"op": "query", "entries": ["e0"], "count": 11, "seconds": 0.01}
    with fresh_server() as url:
        prepare(url, Data(10, 10))
        for name in OURS:
            with Contender(name, url) as contender:
                assert "10 records instead of 11" in contender.turn(order)["failed"]
