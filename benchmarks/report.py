"""What a run leaves: a table, JSON, and one chart for each group of rows."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.rows import Row
from benchmarks.run import Outcome

RIVAL = "reduct-py"

RAW_OF = {"async": "raw protocol", "stock": "raw protocol", "blocking": "raw socket"}


@dataclass(frozen=True)
class Figure:
    """What one contender did in one row: medians over its turns."""

    value: float
    low: float
    high: float
    cpu: float
    peak: int

    @property
    def spread(self) -> float:
        """The distance between the worst and the best turn, relative to the median."""
        return (self.high - self.low) / self.value if self.value else 0.0


def figure(outcome: Outcome, contender: str) -> Figure | None:
    """Return the figures of a contender, or None if no turn of it succeeded."""
    turns = outcome.good(contender)
    if not turns:
        return None
    values = [value for turn in turns for value in values_of(outcome.row, turn)]
    cpu = [turn["cpu"] / max(1, turn["units"]) for turn in turns]
    return Figure(
        statistics.median(values),
        min(values),
        max(values),
        statistics.median(cpu),
        max(turn["peak"] for turn in turns),
    )


def values_of(row: Row, turn: dict[str, Any]) -> list[float]:
    """Return the values of one turn."""
    if row.measure == "rate":
        return [turn["units"] / turn["seconds"]]
    if row.measure == "memory":
        return [turn["peak"]]
    samples: list[float] = turn["samples"]
    return samples


def ratio(ours: Figure | None, theirs: Figure | None) -> float | None:
    """Return our value over theirs."""
    return ours.value / theirs.value if ours and theirs and theirs.value else None


def verdict(row: Row, contender: str, against_rival: float | None) -> str:
    """Return whether a ratio reaches its goal: "yes", "no", or "" where there is none."""
    goals = {"async": row.goals.asynchronous, "blocking": row.goals.blocking}
    goal = goals.get(contender)
    if goal is None or against_rival is None:
        return ""
    reached = against_rival >= goal if row.measure == "rate" else against_rival <= goal
    return f"{'yes' if reached else 'no'} ({'>=' if row.measure == 'rate' else '<='} {goal:g})"


def amount(value: float, unit: str) -> str:
    """Return a value in a width that people read."""
    if unit == "s":
        return f"{value * 1000:,.0f} ms"
    for factor, prefix in ((1e9, "G"), (1e6, "M")):
        if unit == "B" and value >= factor:
            return f"{value / factor:,.2f} {prefix}B"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the table as Markdown: one line for each row and contender."""
    lines = [
        "| row | client | median | spread | of reduct-py | goal | of raw | CPU us | peak MB |",
        "| --- | --- | --: | --: | --: | --- | --: | --: | --: |",
    ]
    for outcome in outcomes:
        lines += [table_line(outcome, contender) for contender in outcome.turns]
    return "\n".join(lines)


def table_line(outcome: Outcome, contender: str) -> str:
    """Return one line of the table."""
    row = outcome.row
    found = figure(outcome, contender)
    note = outcome.note(contender)
    if found is None:
        return f"| {row.title} | {contender} | {note} | | | | | | |"
    against_rival = ratio(found, figure(outcome, RIVAL)) if contender != RIVAL else None
    raw = RAW_OF.get(contender)
    against_raw = ratio(found, figure(outcome, raw)) if raw in outcome.turns else None
    suffix = "/s" if row.measure == "rate" else ""
    cells = [
        row.title,
        contender,
        f"{amount(found.value, row.unit)}{suffix}{f' ({note})' if note else ''}",
        f"{found.spread:.0%}",
        f"{against_rival:.2f}" if against_rival else "",
        verdict(row, contender, against_rival),
        f"{against_raw:.2f}" if against_raw else "",
        f"{found.cpu * 1e6:,.1f}" if row.unit != "B" else f"{found.cpu * 1e9:,.3f} /kB",
        f"{found.peak / 1e6:,.0f}" if found.peak else "",
    ]
    return f"| {' | '.join(cells)} |"


def machine() -> dict[str, Any]:
    """Return what a reader must know of the machine."""
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else ""
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def document(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Return all turns of a run and the machine it ran on."""
    rows = [
        {
            "key": outcome.row.key,
            "title": outcome.row.title,
            "group": outcome.row.group,
            "unit": outcome.row.unit,
            "measure": outcome.row.measure,
            "turns": outcome.turns,
        }
        for outcome in outcomes
    ]
    return {"machine": machine(), "rows": rows}


def write(outcomes: Sequence[Outcome], folder: Path) -> str:
    """Write table, JSON and charts into `folder`; return the table."""
    folder.mkdir(parents=True, exist_ok=True)
    text = table(outcomes)
    about = machine()
    heading = f"{about['processor']}, {about['cores']} cores, {about['system']}, " + (
        f"Python {about['python']}, {about['date']}"
    )
    (folder / "table.md").write_text(f"{heading}\n\n{text}\n")
    (folder / "results.json").write_text(json.dumps(document(outcomes), indent=1) + "\n")
    for group in dict.fromkeys(outcome.row.group for outcome in outcomes):
        of_group = [outcome for outcome in outcomes if outcome.row.group == group]
        if any(RIVAL in outcome.turns for outcome in of_group):
            chart(of_group, folder / f"{group}.png", group)
    return text


def chart(outcomes: Sequence[Outcome], path: Path, title: str) -> None:
    """Draw the ratios of a group against reduct-py, one bar for each client."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    clients = ("async", "blocking", "stock")
    figure_, axes = pyplot.subplots(figsize=(8, 1 + 0.6 * len(outcomes)))
    for place, client in enumerate(clients):
        ratios = [ratio(figure(o, client), figure(o, RIVAL)) or 0.0 for o in outcomes]
        spots = [number + (place - 1) * 0.27 for number in range(len(outcomes))]
        bars = axes.barh(spots, ratios, 0.25, label=f"{client} / {RIVAL}")
        axes.bar_label(bars, [f"{value:.2g}x" if value else "" for value in ratios], fontsize=7)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(outcomes)), [o.row.title for o in outcomes], fontsize=8)
    axes.invert_yaxis()
    axes.set_title(f"{title}: ratio to reduct-py")
    axes.legend(fontsize=7)
    figure_.tight_layout()
    figure_.savefig(path, dpi=120)
    pyplot.close(figure_)
