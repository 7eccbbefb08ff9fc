"""Takes all measurements, one after the other, and writes their tables into docs/: `make bench`.

    python benchmarks/run.py [--only NAME …] [--quick] [--full]

It takes about 20 minutes. `--full` adds what takes longer: a million images, and limits that the client has
to find. `--quick` is rough, and only prints. What is not measured this time keeps its figures in
results.json. A measurement that fails leaves the others alone, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import report
from common import machine
from nginx import command


class Step(NamedTuple):
    """A script to run."""

    limit_s: int
    """It is stopped when it takes longer."""
    usual: tuple[str, ...] = ()
    quick: tuple[str, ...] = ("--quick",)
    full: tuple[str, ...] = ()


STEPS = {
    "imports": Step(60),
    "disk": Step(60),
    "stall": Step(90),
    "throughput": Step(500),
    "transports": Step(200),
    "parts": Step(120),
    "pacing": Step(
        1200,
        usual=("known", "compared", "changing"),
        quick=("known", "compared", "--rates", "30", "--kinds", "sliding", "--seconds", "5"),
        full=("known", "compared", "auto", "changing"),
    ),
    "search": Step(
        600,
        usual=("--vectors", "11206"),
        quick=("--vectors", "11206", "--searches", "5"),
        full=("--vectors", "11206", "1000000"),
    ),
    "tutorial": Step(300),
    "scale": Step(
        3000,
        usual=("--images", "10000", "100000"),
        quick=("--images", "2000"),
        full=("--images", "10000", "100000", "1000000"),
    ),
}
"""In this order; their scripts are of the same names."""


def measure(name: str, arguments: tuple[str, ...]) -> Any:
    """Run a script, and return its results; None if it failed."""
    with tempfile.TemporaryDirectory() as temporary:
        found = Path(temporary, "results.json")
        script = Path(__file__).with_name(f"{name}.py")
        with subprocess.Popen([sys.executable, script, *arguments, "--json", found]) as process:
            try:
                process.wait(STEPS[name].limit_s)
            except subprocess.TimeoutExpired:
                print(f"{name} took longer than {STEPS[name].limit_s} s: stopped", file=sys.stderr)
                process.send_signal(signal.SIGINT)  # so that it ends the processes it started
        if process.returncode:
            print(f"{name} failed: see above", file=sys.stderr)
            return None
        return json.loads(found.read_text())


def main() -> int:
    """Measure, keep the results, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(STEPS), default=list(STEPS))
    much = parser.add_mutually_exclusive_group()
    much.add_argument("--quick", action="store_const", dest="much", const="quick", default="usual")
    much.add_argument("--full", action="store_const", dest="much", const="full")
    options = parser.parse_args()
    command(Path())  # if nginx is missing, say so before the first measurement
    kept = options.much != "quick"
    results: dict[str, Any] = {}
    if kept and report.RESULTS.exists():
        results = json.loads(report.RESULTS.read_text())
    took_s: dict[str, float] = {}
    failed = []
    for name in options.only:
        print(f"== {name}", file=sys.stderr, flush=True)
        begun = time.monotonic()
        step = STEPS[name]
        measured = measure(name, getattr(step, options.much) or step.usual)
        took_s[name] = time.monotonic() - begun
        if measured is None:
            failed.append(name)
            continue
        # Sizes that were not measured this time keep their figures.
        results[name] = {**results.get(name, {}), **measured} if name in {"search", "scale"} else measured
        results["machine"] = machine()
        if kept:
            report.RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(
        "".join(f"{name:12}{seconds:7.0f} s\n" for name, seconds in took_s.items()), end="", file=sys.stderr
    )
    print(f"{'in all':12}{sum(took_s.values()):7.0f} s", file=sys.stderr)
    print(report.what_counts(results))
    if kept and report.RESULTS.exists():
        report.main()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
