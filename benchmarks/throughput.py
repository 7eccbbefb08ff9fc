"""Images a second and CPU an image: the peers side by side, without a rate limit.

    python benchmarks/throughput.py [--quick] [--json FILE]

Each peer has its own process (`peers.py`), and nginx is the service. They take turns, round after round;
ratios are taken within each round, and the figures are medians over the rounds.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from common import options_parser, write_pictures, write_results
from nginx import Nginx, nginx

IN_MEMORY = ("tutorial", "httpx", "httpx2", "aiohttp", "embed_images", "stream_images")
FROM_DISK = ("tutorial", "aiohttp", "embed_images", "stream_images", "job")
PEERS = Path(__file__).with_name("peers.py")
BASES = ("tutorial", "aiohttp", "stream_images")
"""What the others are compared with."""


class Peer:
    """A process that measures one client."""

    def __init__(
        self, name: str, service: Nginx, *, script: Path = PEERS, source: Path | None = None
    ) -> None:
        """Start the process; it imports the library from `source`, if that is given."""
        environment = {"SSL_CERT_FILE": str(service.ca_file), "REQUESTS_CA_BUNDLE": str(service.ca_file)}
        if source:
            environment["PYTHONPATH"] = str(source)
        self._process = subprocess.Popen(
            [sys.executable, script, name, service.ca_file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def measure(self, **case: Any) -> dict[str, float]:
        """Measure one case."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(case), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a client failed, see its error above: {self._process.args!r}")
        result: dict[str, float] = json.loads(line)
        return result

    def end(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.communicate()


def summary(
    runs: list[dict[str, dict[str, float]]], peer: str, bases: tuple[str, ...] = BASES
) -> dict[str, Any]:
    """Return a peer's medians, and the medians of its ratios to some others in the same round."""
    found: dict[str, Any] = {
        figure: median(run[peer][figure] for run in runs) for figure in ("images_per_s", "cpu_us")
    }
    for base in bases:
        if base in runs[0]:
            for figure in ("images_per_s", "cpu_us"):
                found[f"{figure}_to_{base}"] = median(run[peer][figure] / run[base][figure] for run in runs)
    return found


def main() -> None:
    """Measure every case, and print its line."""
    options = options_parser(__doc__).parse_args()
    rounds, seconds = (1, 0.5) if options.quick else (3, 1.3)
    results: list[dict[str, Any]] = []
    with ExitStack() as ending:
        service = ending.enter_context(nginx())
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory()), "images")
        write_pictures(folder, 4_000 if options.quick else 15_000)
        peers = {name: Peer(name, service) for name in {*IN_MEMORY, *FROM_DISK}}
        for peer in peers.values():
            ending.callback(peer.end)
        for (source, names), scheme, in_flight in itertools.product(
            (("bytes", IN_MEMORY), ("paths", FROM_DISK)), ("http", "https"), (32, 256)
        ):
            case = {
                "endpoint": getattr(service, scheme),
                "in_flight": in_flight,
                "input": source,
                "folder": str(folder),
                "seconds": seconds,
                "warm_up_s": 0.3,
            }
            runs = [{name: peers[name].measure(**case) for name in names} for _ in range(rounds)]
            print(f"{source}, {scheme}, {in_flight} in flight", file=sys.stderr)
            for name in names:
                found = summary(runs, name)
                results.append(
                    {"peer": name, "input": source, "scheme": scheme, "in_flight": in_flight, **found}
                )
                print(
                    f"  {name:14}{found['images_per_s']:8,.0f} /s{found['cpu_us']:8,.0f} µs"
                    f"{found['images_per_s_to_aiohttp']:7.2f} x the loop",
                    file=sys.stderr,
                    flush=True,
                )
    write_results(results, options.json)


if __name__ == "__main__":
    main()
