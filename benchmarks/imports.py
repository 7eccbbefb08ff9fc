"""What it costs to import the library, beside httpx and numpy: fresh interpreters, in turn.

python benchmarks/imports.py [--quick] [--json FILE]
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from common import options_parser, write_results

STATEMENTS = (
    "import semart_vectors",
    "from semart_vectors import AsyncVisionEmbedder",
    "import httpx, numpy",
)
BASE = "import httpx, numpy"
TIMED = "from time import perf_counter as now; begun = now(); {}; print(now() - begun)"


def seconds_of(statement: str) -> float:
    """Return how long a statement takes in a fresh interpreter."""
    printed = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement)], check=True, capture_output=True, text=True
    )
    return float(printed.stdout)


def main() -> None:
    """Measure all in turn."""
    options = options_parser(__doc__).parse_args()
    for statement in STATEMENTS:  # so that all is compiled and in the page cache
        seconds_of(statement)
    rounds = [
        {statement: seconds_of(statement) for statement in STATEMENTS}
        for _ in range(3 if options.quick else 11)
    ]
    results = [
        {
            "statement": statement,
            "ms": 1000 * median(each[statement] for each in rounds),
            "ratio": median(each[statement] / each[BASE] for each in rounds),
        }
        for statement in STATEMENTS
    ]
    write_results(results, options.json)


if __name__ == "__main__":
    main()
