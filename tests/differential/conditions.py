"""Conditions and records to draw: a grammar over all operators, operands and directives."""

from typing import Any

from hypothesis import strategies as st

NAMES = ["a", "b", "n", "UP", "1", "1m"]
"""Labels that records may have; conditions refer to others, too."""

# What each kind of value looks like as a label, and what only looks like it.
LABEL_VALUES = [
    *("0", "1", "-1", "2", "3", "10", "-7", "007", "+5", "-0", "9007199254740993"),
    *("9223372036854775807", "-9223372036854775808", "9223372036854775808"),
    *("0.0", "-0.0", "0.5", "1.0", "-2.5", "2.", ".5", "1e3", "1E-2", "1e400", "2e19", "0.1"),
    *("0.12188601240559549", "0.1218860124055955", "28085205581.212402", "28085205581.2124"),
    *("inf", "-inf", "Infinity", "nan", "NaN", "+nan", "infinit", "1_0", "0x1", "1e", ".", "-"),
    *("true", "false", "True", "", "a", "abc", "b", "ab c", "A", "1m", "5s", "int", "duration"),
    *("UTC", "Europe/Berlin", "1700000000000000", "-1700000000000000", "$x", "&a"),
]

INTEGERS = [
    *(0, 1, -1, 2, 3, 7, 10, -7, 1000, 2**53, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)),
    *(2**64, -(2**63) - 1, 10**30, 1_700_000_000_000_000, -1_700_000_000_000_000),
]

# The last ones are rounded by the real server's JSON parser, not by that of labels.
DOUBLES = [
    *(0.0, -0.0, 0.5, 1.0, -2.5, 1e3, 1e19, -1e19, 1e300, 5e-324, 0.1, 1.5e-7, 1e16, 1e21),
    *(0.12188601240559549, 28085205581.212402),
]

TEXTS = [
    *("", "a", "abc", "b", "A", "c", "10", "1.5", "true", "nan", "inf", "1e3", "label", "ab c"),
    *("5s", "-2s", "m1", "us-1", "1h -30m", "0s", "2d 3h", "3us\t1ms", "1.5s", "+5s", "5 s"),
    *("9223372036854775807d", "99999999999999999999s", "s", "-s", "1us\x1f2us", "1us\u20032us"),
    *("$$x", "$$", "ä", "€uro", "int", "float", "bool", "string", "duration", "#x", "1m"),
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Monrovia", "US/Pacific"),
    *("Australia/Lord_Howe", "europe/berlin", "Nowhere/X", "Factory", "Pacific/Apia", "Etc/GMT+5"),
]

REFERENCES = [*(f"&{name}" for name in (*NAMES, "up", "missing", "")), "@a", "@", "&a b"]

BARE_OPERATORS = ["$timestamp", "$id", "$and", "$or", "$not", "$add"]
"""Operators that need no operands."""

REFUSED: list[Any] = ["$limit", "$unknown", "$", None, [], [1], {"$unknown": [1]}, {"a": 1}]
"""What is no operand."""

ARITIES = {
    **dict.fromkeys(["$and", "$all_of", "$or", "$any_of", "$not", "$none_of"], (0, 3)),
    **dict.fromkeys(["$xor", "$one_of", "$add", "$mult", "$has", "$exists"], (0, 3)),
    **dict.fromkeys(["$in", "$nin"], (2, 4)),
    **dict.fromkeys(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"], (2, 2)),
    **dict.fromkeys(["$sub", "$div", "$div_num", "$rem"], (2, 2)),
    **dict.fromkeys(["$contains", "$starts_with", "$ends_with", "$cast", "$gate"], (2, 2)),
    **dict.fromkeys(["$abs", "$ref", "$each_n", "$each_t", "$limit"], (1, 1)),
    **dict.fromkeys(["$second", "$minute", "$hour", "$day", "$month", "$year"], (1, 2)),
    **dict.fromkeys(["$weekday"], (1, 2)),
    **dict.fromkeys(["$timestamp", "$id"], (0, 0)),
}
"""Every operator with the numbers of operands that are drawn most of the time."""

constants = st.one_of(
    st.sampled_from(INTEGERS),
    st.integers(-5, 5),
    st.sampled_from(DOUBLES),
    st.booleans(),
    st.sampled_from(TEXTS),
    st.sampled_from(BARE_OPERATORS),
)
references = st.sampled_from(REFERENCES)
operands: st.SearchStrategy[Any] = st.one_of(references, constants, st.just("$timestamp"))

numbers: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([*INTEGERS, *DOUBLES, True, False, "5s", "-2s", "m1", "0s", "1h -30m"]),
    st.integers(-5, 5),
    references,
)

TYPED: dict[str, list[st.SearchStrategy[Any]]] = {
    **{name: [numbers, numbers] for name in ("$sub", "$div", "$div_num", "$rem")},
    **{name: [numbers, numbers, numbers] for name in ("$add", "$mult")},
    "$abs": [numbers],
    "$cast": [operands, st.sampled_from(["bool", "int", "float", "string", "duration", "&a", "x"])],
    "$gate": [st.sampled_from(["2us", 1, 1e-6, "&n", "-1s", 0, "1s"]), operands],
    "$each_n": [st.sampled_from([1, 2, 3, -2, 0, 1.5, "&n", True, "2us", "2"])],
    "$each_t": [st.sampled_from(["2us", 1e-6, "&n", 0, "-1s", True, 5e-6, "1s", 1])],
    "$limit": [st.sampled_from([0, 1, 2, 5, -1, "&n", 2.9, True, "3us", "2"])],
    "$has": [st.sampled_from([*NAMES, "missing", 1, "&a", "$$x"])],
    "$ref": [st.sampled_from([*NAMES, "missing", 1, "&a"])],
    **{
        name: [
            st.one_of(st.just("$timestamp"), st.integers(-(2**63), 2**63 - 1), operands),
            st.sampled_from([*TEXTS[-12:], "&a", "UTC"]),
        ]
        for name in ("$second", "$minute", "$hour", "$day", "$month", "$year", "$weekday")
    },
}
"""Operands that make sense for an operator, which chance would seldom find."""


@st.composite
def members(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Draw an operator with its operands, in one of the forms."""
    name = draw(st.sampled_from(sorted(ARITIES)))
    least, greatest = ARITIES[name]
    typed = TYPED.get(name)
    if typed is not None and draw(st.integers(0, 3)):
        count = draw(st.integers(least or 1, min(greatest, len(typed))))
        values = [draw(strategy) for strategy in typed[:count]]
    else:
        wrong = draw(st.integers(0, 19)) == 0
        count = draw(st.integers(0, 3) if wrong else st.integers(least, greatest))
        values = [draw(inner) for _ in range(count)]
    form = draw(st.sampled_from(["array", "array", "short"]))
    if form == "short" and len(values) == 1:
        return {name: values[0]}
    if form == "short" and len(values) == 2 and isinstance(values[0], str):
        return {values[0]: {name: values[1]}}
    return {name: values}


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one object with the members of several; the last of a name counts."""
    return {name: value for part in parts for name, value in part.items()}


@st.composite
def operations(draw: st.DrawFn) -> dict[str, Any]:
    """Draw one operator over leaves, or over one more operator."""
    inner = draw(st.sampled_from([operands, st.one_of(operands, members(operands))]))
    return draw(members(inner))


expressions: st.SearchStrategy[Any] = st.recursive(
    operands,
    lambda inner: st.one_of(
        *[members(inner)] * 4,
        st.lists(members(inner), max_size=2).map(merged),
        st.one_of(*[operands] * 4, st.sampled_from(REFUSED)),
    ),
    max_leaves=6,
)

paddings = st.sampled_from([0, 1, 2, 100, "2us", "10us", "1s", "-1us", -1, 1.7, True, "3", "x", []])
sizes = st.sampled_from([0, 3, 10, "4", "1KB", "1 kib", ".5k", "x", "-1", -1, 1.5, "1s", None])
timeouts = st.sampled_from([1, 5, "1s", "-1s", -1, 1.5, "x", True])

DIRECTIVES = {
    "#ctx_before": paddings,
    "#ctx_after": paddings,
    "#select_labels": st.sampled_from(["a", ["a", "b"], ["a", "5s"], [], 1, [1], "UP", ["x"]]),
    "#batch_size": sizes,
    "#batch_metadata_size": sizes,
    "#batch_records": st.sampled_from([0, 1, 2, 100, "2", 1.5, -1, 2**63, True]),
    "#batch_timeout": timeouts,
    "#record_timeout": timeouts,
    "#io_timeout": timeouts,
    "#unknown": st.just(1),
}
"""Every directive but `#ext`, with right and wrong values."""


@st.composite
def conditions(draw: st.DrawFn) -> Any:
    """Draw the value of a `when`: mostly an object, with directives now and then."""
    if draw(st.integers(0, 9)) == 0:
        return draw(expressions.filter(lambda value: value is not None))
    parts = draw(st.lists(members(expressions), max_size=2))
    if draw(st.integers(0, 3)) == 0:
        names = draw(st.lists(st.sampled_from(sorted(DIRECTIVES)), min_size=1, max_size=2))
        parts += [{name: draw(DIRECTIVES[name])} for name in names]
        draw(st.randoms(use_true_random=False)).shuffle(parts)
    return merged(parts)


labels = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(LABEL_VALUES), min_size=1, max_size=5
)

GAPS = [1, 1, 1, 2, 5, 60_000_000, 3_600_000_000, 10**13, 10**15]


@st.composite
def records(draw: st.DrawFn) -> dict[int, dict[str, str]]:
    """Draw up to 12 records: labels by timestamp, in ascending order."""
    timestamp = draw(st.sampled_from([0, 1, 1_700_000_000_000_000, 2**63 - 5, 2**64 - 10**17]))
    drawn = {}
    for names in draw(st.lists(labels, min_size=2, max_size=12)):
        drawn[timestamp] = names
        timestamp += draw(st.sampled_from(GAPS))
    return drawn
