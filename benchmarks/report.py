"""Writes the tables of docs/performance.md and docs/from-the-tutorial.md, and the plots, from results.json.

    python benchmarks/report.py

It measures nothing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RESULTS = Path(__file__).with_name("results.json")
PAGES = (ROOT / "docs" / "performance.md", ROOT / "docs" / "from-the-tutorial.md")
PLOTS = ROOT / "docs" / "performance"

Results = dict[str, Any]
Cases = list[dict[str, Any]]

UNKNOWN = "not measured"
MILLION = "1000000"
LOADS = [(scheme, in_flight) for in_flight in (32, 256) for scheme in ("http", "https")]
PEERS = {
    "tutorial": "`requests.post`, 4 threads",
    "httpx": "`httpx.AsyncClient`",
    "httpx2": "`httpx2.AsyncClient`",
    "aiohttp": "hand-written `aiohttp` loop",
    "embed_images": "**`embed_images`**",
    "stream_images": "**`stream_images`**",
    "job": "**`EmbeddingJob`**",
}
OURS = ("embed_images", "stream_images")
LIMITS = {"fixed": "fixed window", "sliding": "sliding window", "bucket": "bucket"}
LIMITERS = {
    "steady": "`SteadyLimiter(limit)`",
    "fractional": "`AsyncLimiter(b, b / r)`",
    "plain": "`AsyncLimiter(limit, 1)`",
}


class Row(NamedTuple):
    """A line of "What counts"."""

    what: str
    goal: str
    figure: str = UNKNOWN
    reached: bool | None = None


def table(head: Iterable[str], rows: Iterable[Iterable[str]], *, text_columns: int = 1) -> str:
    """Return a Markdown table whose first columns are text and whose others are numbers."""
    head = list(head)
    rules = ["---"] * text_columns + ["--:"] * (len(head) - text_columns)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rules, *rows))


def span(values: list[float], form: str) -> str:
    """Return the least and the greatest of some figures, or the one that they all are."""
    least, most = form.format(min(values)), form.format(max(values))
    return least if least == most else f"{least} to {most}"


# -- what counts


def ratio_row(
    what: str, goal: float, figure: str, cases: Cases, peers: Iterable[str], *, at_most: bool = False
) -> Row:
    """Compare the ratios of some peers with a goal, which all of them have to reach."""
    goal_text = f"{'≤' if at_most else '≥'} {goal:g} ×"
    values = [case[figure] for case in cases if case["peer"] in peers and figure in case]
    if not values:
        return Row(what, goal_text)
    reached = max(values) <= goal if at_most else min(values) >= goal
    return Row(what, goal_text, span(values, "{:.2f}") + " ×", reached)


def throughput_rows(results: Results) -> list[Row]:
    """Return the rows on speed and CPU."""
    cases: Cases = results.get("throughput", [])
    return [
        ratio_row(
            "images a second, no rate limit, to the hand-written aiohttp loop's",
            *(1.0, "images_per_s_to_aiohttp", cases, OURS),
        ),
        ratio_row("images a second to the tutorial's way", 8, "images_per_s_to_tutorial", cases, OURS),
        ratio_row(
            "CPU an image to the hand-written aiohttp loop's",
            *(1.2, "cpu_us_to_aiohttp", cases, OURS),
            at_most=True,
        ),
        ratio_row(
            "a job's images a second to bare `stream_images`",
            *(0.75, "images_per_s_to_stream_images", cases, ("job",)),
        ),
    ]


def whole_way_row(results: Results) -> Row:
    """Return the row on our client while somebody listens to it."""
    cases = [{**case, "peer": case["way"]} for case in results.get("transports", [])]
    return ratio_row(
        "images a second with a hook on the embedder's client, to httpx on `httpx-aiohttp`",
        *(1.0, "images_per_s_to_httpx on httpx-aiohttp", cases, ("stream_images, watched",)),
    )


def known_limits(results: Results) -> Cases:
    """Return the pacing's cases with our limiter in a calm loop and a stated limit, but for slow limits."""
    return [
        case
        for case in results.get("pacing", [])
        if case["mode"] == "known" and is_usual(case) and case["rate"] >= 1
    ]


def is_usual(case: dict[str, Any]) -> bool:
    """Say whether a case of the pacing has our limiter and a calm loop."""
    return case["limiter"] == "steady" and not case["late_ms"]


def pacing_rows(results: Results) -> list[Row]:
    """Return the rows on known limits."""
    share = Row("share of a known limit used, steady state, worst of all rates and kinds of limit", "≥ 99 %")
    refused = Row("calls answered 429, of all with a known limit", "< 0.05 %")
    cases = known_limits(results)
    if not cases:
        return [share, refused]
    least = min(case["share"] for case in cases)
    of_all = sum(case["refused"] for case in cases) / sum(case["calls"] for case in cases)
    return [
        share._replace(figure=f"{100 * least:.2f} %", reached=least >= 0.99),
        refused._replace(figure=f"{100 * of_all:.3f} %", reached=of_all < 0.0005),
    ]


def scale_row(results: Results, row: Row, figure: Callable[[Results], tuple[str, bool]]) -> Row:
    """Fill a row with the figure of a million images, or of the most that were measured."""
    sizes: Results = results.get("scale", {})
    if MILLION in sizes:
        try:
            text, reached = figure(sizes[MILLION])
        except KeyError:
            return row
        return row._replace(figure=text, reached=reached)
    if not sizes:
        return row
    most = max(sizes, key=int)
    try:
        return row._replace(figure=f"{UNKNOWN}; of {int(most):,}: {figure(sizes[most])[0]}")
    except KeyError:
        return row


def scale_rows(results: Results) -> list[Row]:
    """Return the rows on a million images: memory, resumption, merge."""
    flat_mb = 20

    def memory(size: Results) -> tuple[str, bool]:
        peak, growth = size["job"]["peak_mb"], size["job"]["later_growth_mb"]
        text = f"{peak:,.0f} MB, {max(growth, 0):,.0f} MB of growth in the second half"
        return text, peak < 400 and growth <= flat_mb

    def first_call(size: Results) -> tuple[str, bool]:
        return f"{size['resume']['first_call_s']:.1f} s", size["resume"]["first_call_s"] < 3

    def merge_memory(size: Results) -> tuple[str, bool]:
        return f"{size['merge']['peak_mb']:,.0f} MB", size["merge"]["peak_mb"] < 1500

    def merge_time(size: Results) -> tuple[str, bool]:
        return f"{size['merge']['times_the_copy']:.2f} ×", size["merge"]["times_the_copy"] <= 2

    return [
        scale_row(
            results,
            Row("peak memory of a job with 1,000,000 images", f"< 400 MB, flat (± {flat_mb} MB)"),
            memory,
        ),
        scale_row(results, Row("first call of a job with 1,000,000 images done", "< 3 s"), first_call),
        scale_row(results, Row("peak memory of a merge of 1,000,000 vectors", "< 1,500 MB"), merge_memory),
        scale_row(
            results, Row("time of that merge to copying the vectors Parquet to Parquet", "≤ 2 ×"), merge_time
        ),
    ]


def search_rows(results: Results) -> list[Row]:
    """Return the rows on a search in a million vectors."""
    time = Row("a search in 1,000,000 vectors, once they are opened", "< 2 s")
    memory = Row("its own memory, without the mapped vectors", "< 1,500 MB")
    million = results.get("search", {}).get(MILLION)
    if not million:
        return [time, memory]
    return [
        time._replace(
            figure=f"{million['search_s']:.2f} s, {million['where_s']:.2f} s with a condition",
            reached=max(million["search_s"], million["where_s"]) < 2,
        ),
        memory._replace(figure=f"{million['own_mb']:,.0f} MB", reached=million["own_mb"] < 1500),
    ]


def stall_row(results: Results) -> Row:
    """Return the row on how long other tasks wait."""
    row = Row(
        "largest stall of the loop while a job reads images from a slow disk and writes parts", "< 20 ms"
    )
    phases = {phase["phase"]: phase["max_ms"] for phase in results.get("stall", [])}
    if not phases:
        return row
    slow = phases["slow disk"]
    others = f"{phases['fast job']:.1f} ms at full speed, {phases['no job']:.1f} ms with no job"
    return row._replace(figure=f"{slow:.1f} ms; {others}", reached=slow < 20)


def disk_row(results: Results) -> Row:
    """Return the row on bytes a vector."""
    row = Row("bytes a vector on disk, 120 real ones", "≤ 1,950, bit-exact")
    for case in results.get("disk", []):
        if case["vectors"] == "real":
            figure = f"{case['bytes_a_vector']:,.0f}, {'' if case['bit_exact'] else 'not '}bit-exact"
            return row._replace(figure=figure, reached=case["bytes_a_vector"] <= 1950 and case["bit_exact"])
    return row


def import_row(results: Results) -> Row:
    """Return the row on importing the package."""
    row = Row("`import semart_vectors` to `import httpx, numpy`", "≤ 1.3 ×")
    for case in results.get("imports", []):
        if case["statement"] == "import semart_vectors":
            return row._replace(figure=f"{case['ratio']:.2f} ×", reached=case["ratio"] <= 1.3)
    return row


def what_counts(results: Results) -> str:
    """Return each goal with its figure."""
    rows = [
        *throughput_rows(results),
        whole_way_row(results),
        *pacing_rows(results),
        *scale_rows(results),
        *search_rows(results),
        stall_row(results),
        disk_row(results),
        import_row(results),
    ]
    words = {True: "yes", False: "**no**", None: "–"}
    return table(
        ("what", "goal", "measured", "reached"),
        ((row.what, row.goal, row.figure, words[row.reached]) for row in rows),
        text_columns=4,
    )


# -- the other tables


def peers_table(source: str, form: Callable[[dict[str, Any]], str]) -> Callable[[Results], str]:
    """Return a maker of a table with a line for each peer and a column for each load."""

    def make(results: Results) -> str:
        cells = {
            (case["peer"], case["scheme"], case["in_flight"]): form(case)
            for case in results.get("throughput", [])
            if case["input"] == source
        }
        if not cells:
            return UNKNOWN
        return table(
            ("client", *(f"{scheme}, {in_flight}" for scheme, in_flight in LOADS)),
            (
                (name, *(cells.get((peer, *load), "–") for load in LOADS))
                for peer, name in PEERS.items()
                if any(key[0] == peer for key in cells)
            ),
        )

    return make


def speed(case: dict[str, Any]) -> str:
    """Return a cell of images a second."""
    return f"{case['images_per_s']:,.0f} ({case['images_per_s_to_aiohttp']:.2f} ×)"


def cpu(case: dict[str, Any]) -> str:
    """Return a cell of CPU an image."""
    return f"{case['cpu_us']:,.0f} ({case['cpu_us_to_aiohttp']:.2f} ×)"


def transports_table(results: Results) -> str:
    """Return the cost of each way to send the same call."""
    ways: Cases = results.get("transports", [])
    if not ways:
        return UNKNOWN
    names = {
        "aiohttp": "hand-written `aiohttp` loop",
        "stream_images": "**`stream_images`**, the short way",
        "stream_images, watched": "**`stream_images`**, the whole way",
        "httpx on our transport": "**httpx on our transport**",
    }
    return table(
        ("http, 32 in flight, images in memory", "images a second", "CPU an image, µs"),
        ((names.get(case["way"]) or f"{case['way']}", speed(case), cpu(case)) for case in ways),
    )


def pacing_table(results: Results) -> str:
    """Return the share of each limit that was used, and what was refused."""
    cases = {
        (case["mode"], case["rate"], case["kind"]): case
        for case in results.get("pacing", [])
        if case["share"] is not None and is_usual(case)
    }
    if not cases:
        return UNKNOWN

    def cell(mode: str, rate: float, kind: str) -> str:
        return used_and_refused(cases.get((mode, rate, kind)))

    shown = table(
        ("limit, a second", *LIMITS.values()),
        (
            (
                f"{rate:g}, {'stated' if mode == 'known' else 'to be found'}",
                *(cell(mode, rate, kind) for kind in LIMITS),
            )
            for mode, rate in dict.fromkeys((mode, rate) for mode, rate, _ in cases)
        ),
    )
    shown += "\n\n![Share of each stated limit that is used](performance/pacing.svg)"
    if any(case.get("series") for case in results.get("pacing", [])):
        shown += "\n\n![A limit that changes while calls are made](performance/changing.svg)"
    return shown


def used_and_refused(case: dict[str, Any] | None) -> str:
    """Return a cell of the pacing."""
    return f"{100 * case['share']:.1f} %, {case['refused']:,} of {case['calls']:,}" if case else "–"


def limiters_table(results: Results) -> str:
    """Return how other limiters fare beside ours, where the service counts in sliding windows."""
    cases = {
        (case["rate"], case["late_ms"], case["limiter"]): case
        for case in results.get("pacing", [])
        if case["mode"] == "known" and case["kind"] == "sliding"
    }
    if all(limiter == "steady" for _, _, limiter in cases):
        return UNKNOWN
    return table(
        ("limit, a second", *LIMITERS.values()),
        (
            (
                f"{rate:g}" + (f", turns up to {late_ms:g} ms late" if late_ms else ""),
                *(used_and_refused(cases.get((rate, late_ms, limiter))) for limiter in LIMITERS),
            )
            for late_ms, rate in sorted({(late_ms, rate) for rate, late_ms, _ in cases})
        ),
    )


def parts_table(results: Results) -> str:
    """Return the cost of a call's pieces, beside their alternatives."""
    pairs: Cases = results.get("parts", [])
    if not pairs:
        return UNKNOWN
    return table(
        ("here", "instead of", "µs here", "µs there", "ratio"),
        (
            (
                *(pair["ours"], pair["other"]),
                *(f"{pair['ours_us']:.2f}", f"{pair['other_us']:.2f}", f"{pair['ratio']:.1f} ×"),
            )
            for pair in pairs
        ),
        text_columns=2,
    )


def scale_table(results: Results) -> str:
    """Return how each step grows with the number of images."""
    sizes: Results = results.get("scale", {})
    if not sizes:
        return UNKNOWN
    columns: dict[str, Callable[[Results], str]] = {
        "images a second": lambda size: f"{size['job']['images_per_s']:,.0f}",
        "peak, MB": lambda size: f"{size['job']['peak_mb']:,.0f}",
        "resumed: first call, s": lambda size: f"{size['resume']['first_call_s']:.2f}",
        "status, s": lambda size: f"{size['status']['seconds']:.2f}",
        "merge, s": lambda size: f"{size['merge']['seconds']:.1f}",
        "to a copy": lambda size: f"{size['merge']['times_the_copy']:.2f} ×",
        "merge's peak, MB": lambda size: f"{size['merge']['peak_mb']:,.0f}",
        "bytes a vector": lambda size: f"{size['job']['bytes_a_vector']:,.0f}",
    }

    def cell(figure: Callable[[Results], str], size: Results) -> str:
        try:
            return figure(size)
        except KeyError:
            return UNKNOWN

    shown = table(
        ("images", *columns),
        (
            (f"{int(count):,}", *(cell(figure, sizes[count]) for figure in columns.values()))
            for count in sorted(sizes, key=int)
        ),
    )
    return f"{shown}\n\n![Memory and time by the number of images](performance/scale.svg)"


def search_table(results: Results) -> str:
    """Return how long a search takes, and what it holds."""
    sizes: Results = results.get("search", {})
    if not sizes:
        return UNKNOWN
    return table(
        (
            *("vectors", "opened, s", "a search, ms", "to NumPy", "with a condition, ms"),
            "memory of its own, MB",
        ),
        (
            (
                *(f"{int(count):,}", f"{size['open_s']:.2f}", f"{1000 * size['search_s']:.1f}"),
                *(f"{size['to_numpy']:.2f} ×", f"{1000 * size['where_s']:.1f}"),
                f"{size['own_mb']:,.0f}",
            )
            for count, size in sorted(sizes.items(), key=lambda item: int(item[0]))
        ),
    )


def stall_table(results: Results) -> str:
    """Return how late another task of the same loop wakes."""
    phases: Cases = results.get("stall", [])
    if not phases:
        return UNKNOWN
    return table(
        ("the job", "largest stall, ms", "99.9 % below, ms", "images", "parts written"),
        (
            (
                *(phase["phase"], f"{phase['max_ms']:.1f}", f"{phase['p999_ms']:.1f}"),
                *(f"{phase['images']:,}", str(phase["parts"])),
            )
            for phase in phases
        ),
    )


def disk_table(results: Results) -> str:
    """Return bytes a vector."""
    rows = [
        (
            *(case["vectors"], f"{case['count']:,}", f"{case['bytes_a_vector']:,.0f}"),
            "yes" if case["bit_exact"] else "**no**",
        )
        for case in results.get("disk", [])
    ]
    if not any(row[0] == "real" for row in rows):
        rows.append(("real", "–", "not measured: there is no data", "–"))
    return table(("vectors", "how many", "bytes each", "bit-exact"), rows)


def imports_table(results: Results) -> str:
    """Return what imports cost."""
    cases: Cases = results.get("imports", [])
    if not cases:
        return UNKNOWN
    return table(
        ("statement", "ms", "ratio"),
        ((f"`{case['statement']}`", f"{case['ms']:.0f}", f"{case['ratio']:.2f} ×") for case in cases),
    )


def machine_table(results: Results) -> str:
    """Return the machine and the libraries that were measured."""
    facts = results.get("machine")
    if not facts:
        return UNKNOWN
    libraries = ", ".join(f"{name} {number}" for name, number in facts["libraries"].items())
    return table(
        ("cores", "system", "Python", "libraries"),
        [(str(facts["cores"]), facts["system"], facts["python"], libraries)],
        text_columns=4,
    )


def both_ways(cases: Cases, *keys: str) -> dict[tuple[Any, ...], dict[str, dict[str, Any]]]:
    """Return the cases of the script and of ours side by side, sorted by what they have in common."""
    found: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for case in cases:
        found.setdefault(tuple(case[key] for key in keys), {})[case["way"]] = case
    return {key: ways for key, ways in sorted(found.items()) if len(ways) == 2}


def tutorial_limits_table(results: Results) -> str:
    """Return what is missing after a run under a limit."""
    cases = both_ways(results.get("tutorial", {}).get("limits", []), "rate", "call_s", "kind")
    if not cases:
        return UNKNOWN
    return table(
        (
            "limit",
            "half of the calls take",
            "paintings",
            "the script: lost",
            "time, s",
            "here: lost",
            "time, s",
        ),
        (
            (
                f"{rate:g} a second, {LIMITS[kind]}"
                if rate >= 1
                else f"{60 * rate:g} a minute, {LIMITS[kind]}",
                *(f"{call_s:g} s", f"{ways['here']['images']}"),
                *(
                    cell
                    for way in ("tutorial", "here")
                    for cell in (f"{ways[way]['lost']}", f"{ways[way]['seconds']:.0f}")
                ),
            )
            for (rate, call_s, kind), ways in cases.items()
        ),
    )


def tutorial_restart_table(results: Results) -> str:
    """Return what a run that is stopped half way costs."""
    cases = both_ways(results.get("tutorial", {}).get("restart", []), "stopped_by")
    if not cases:
        return UNKNOWN
    names = {"SIGINT": "Ctrl-C", "SIGKILL": "`kill -9`"}
    return table(
        (
            "stopped half way by",
            "paintings",
            "the script: paid twice",
            "second run, s",
            "here: paid twice",
            "second run, s",
        ),
        (
            (
                *(names[stopped_by], f"{ways['here']['images']}"),
                *(
                    cell
                    for way in ("tutorial", "here")
                    for cell in (f"{ways[way]['paid_twice']}", f"{ways[way]['seconds']:.0f}")
                ),
            )
            for (stopped_by,), ways in cases.items()
        ),
    )


def tutorial_files_table(results: Results) -> str:
    """Return the bytes and the time that a vector takes in each file."""
    cases: Cases = results.get("tutorial", {}).get("files", [])
    if not cases:
        return UNKNOWN
    whose = {"tutorial": "the script's", "here": "**here:**"}
    return table(
        ("file", "bytes a vector", "written in, µs a vector"),
        (
            (
                f"{whose[case['way']]} {case['file']}",
                f"{case['bytes']:,.0f}",
                f"{case['us']:,.0f}" if case["us"] else "as they come",
            )
            for case in cases
        ),
    )


TABLES: dict[str, Callable[[Results], str]] = {
    "what-counts": what_counts,
    "machine": machine_table,
    "speed-from-memory": peers_table("bytes", speed),
    "cpu-from-memory": peers_table("bytes", cpu),
    "speed-from-disk": peers_table("paths", speed),
    "cpu-from-disk": peers_table("paths", cpu),
    "pacing": pacing_table,
    "limiters": limiters_table,
    "transports": transports_table,
    "parts": parts_table,
    "stall": stall_table,
    "scale": scale_table,
    "search": search_table,
    "disk": disk_table,
    "imports": imports_table,
    "tutorial-limits": tutorial_limits_table,
    "tutorial-restart": tutorial_restart_table,
    "tutorial-files": tutorial_files_table,
}


def filled(page: str, results: Results) -> str:
    """Return a page with new tables between its markers."""

    def fill(match: re.Match[str]) -> str:
        return f"<!-- table:{match[1]} -->\n{TABLES[match[1]](results)}\n<!-- end -->"

    return re.sub(r"<!-- table:([\w-]+) -->\n.*?<!-- end -->", fill, page, flags=re.DOTALL)


def main() -> None:
    """Make the tables of the pages, and the plots."""
    from plots import draw_all  # noqa: PLC0415 - the tables alone need no matplotlib

    results = json.loads(RESULTS.read_text())
    for page in PAGES:
        page.write_text(filled(page.read_text(), results))
    draw_all(results, PLOTS)


if __name__ == "__main__":
    main()
