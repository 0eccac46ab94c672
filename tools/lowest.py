"""Print the dependencies of pyproject.toml pinned to their lower bounds, one a line.

Those are the runtime dependencies and the extra `local`, whose parts the tests need as well.
"""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def lowest(requirement: str) -> str:
    """Pin one requirement to its lower bound: `httpx>=0.27,<1` gives `httpx==0.27`."""
    found = re.fullmatch(r"([A-Za-z0-9._-]+)>=([0-9.]+)(,.*)?", requirement)
    if found is None:
        raise SystemExit(f"{requirement!r} has no lower bound of the form name>=version")
    return f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    project = tomllib.loads(PROJECT.read_text())["project"]
    requirements = project["dependencies"] + project["optional-dependencies"]["local"]
    # A set, since a package may be in both.
    for pin in sorted(set(map(lowest, requirements))):
        print(pin)
