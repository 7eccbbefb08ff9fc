"""The plots of docs/performance.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullLocator

from report import LIMITS, LOADS, PEERS, Cases, Results, known_limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

INK, PALE, GRID = "#24292f", "#8b949e", "#d8dee4"
OURS, LOOP, OTHERS = "#0b6e99", "#d9822b", "#b3bcc5"
COLOURS = {"aiohttp": LOOP, "embed_images": OURS, "stream_images": OURS, "job": OURS}
BACKED = {"facecolor": "white", "edgecolor": "none", "pad": 1}
SERIES = (OURS, LOOP, "#5a9e6f")

mpl.rcParams.update(
    {
        "axes.edgecolor": PALE,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "figure.facecolor": "white",
        "font.size": 10,
        "svg.hashsalt": "performance",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
)


def save(figure: Figure, path: Path) -> None:
    """Write a plot: the same figures give the same bytes."""
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def bars(axes: Axes, cases: Cases, figure: str, title: str) -> None:
    """Draw a bar for each peer."""
    values = {case["peer"]: case[figure] for case in cases}
    peers = [peer for peer in PEERS if peer in values]
    names = [PEERS[peer].strip("*").replace("`", "") for peer in peers]
    drawn = axes.barh(names, [values[peer] for peer in peers], color=[COLOURS.get(p, OTHERS) for p in peers])
    axes.bar_label(drawn, fmt="{:,.0f}", padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.set_title(title)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def draw_peers(results: Results, figure: str, unit: str, path: Path) -> None:
    """Draw the peers at each load, with images in memory."""
    cases: Cases = [case for case in results.get("throughput", []) if case["input"] == "bytes"]
    if not cases:
        return
    drawing = Figure(figsize=(10, 5.6), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.08))
    grid = drawing.subplots(2, 2, sharey=True)
    for axes, (scheme, in_flight) in zip(grid.flat, LOADS, strict=True):
        chosen = [case for case in cases if (case["scheme"], case["in_flight"]) == (scheme, in_flight)]
        bars(axes, chosen, figure, f"{scheme}, {in_flight} in flight")
    for axes in grid.flat:  # a shared axis is inverted once for each of its plots
        axes.set_ylim(len({case["peer"] for case in cases}) - 0.5, -0.5)
    drawing.suptitle(f"{unit}, images in memory", x=0.01, ha="left", fontweight="bold")
    save(drawing, path)


def draw_pacing(results: Results, path: Path) -> None:
    """Draw the share of a stated limit that was used."""
    cases = known_limits(results)
    if not cases:
        return
    rates = sorted({case["rate"] for case in cases})
    drawing = Figure(figsize=(8, 3.6), layout="constrained")
    axes = drawing.subplots()
    for place, ((kind, name), colour) in enumerate(zip(LIMITS.items(), SERIES, strict=True)):
        shares = {case["rate"]: 100 * case["share"] for case in cases if case["kind"] == kind}
        places = [number + (place - 1) * 0.27 for number, rate in enumerate(rates) if rate in shares]
        values = [shares[rate] for rate in rates if rate in shares]
        axes.plot(places, values, "o", color=colour, label=name, markersize=9)
        for x, share in zip(places, values, strict=True):
            axes.annotate(
                f"{share:.1f}", (x, share), (0, 9), textcoords="offset points", ha="center", bbox=BACKED
            )
    least = min(100 * case["share"] for case in cases)
    axes.set_ylim(min(97.8, least - 0.5), 100.4)
    axes.set_xlim(-0.5, len(rates) - 0.4)
    axes.axhline(99, color=INK, linewidth=0.8, linestyle="--", zorder=0)
    axes.set_xticks(range(len(rates)), [f"{rate:g} a second" for rate in rates])
    axes.set_ylabel("% of the limit used")
    axes.set_title("Share of a stated limit, steady state; dashed: the goal", fontweight="bold", pad=26)
    axes.legend(ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0, 0.99))
    save(drawing, path)


def draw_changing(results: Results, path: Path) -> None:
    """Draw a limit that changes, and what was accepted and refused."""
    case = next((case for case in results.get("pacing", []) if case.get("series")), None)
    if case is None:
        return
    series: list[dict[str, Any]] = case["series"]
    seconds = [each["second"] for each in series]
    drawing = Figure(figsize=(9, 3.6), layout="constrained")
    axes = drawing.subplots()
    axes.step(
        seconds, [each["limit"] for each in series], where="post", color=INK, linewidth=1.2, label="limit"
    )
    axes.step(seconds, [each["accepted"] for each in series], where="post", color=OURS, label="accepted")
    axes.step(seconds, [each["refused"] for each in series], where="post", color=LOOP, label="refused")
    axes.set_xlabel("seconds")
    axes.set_ylabel("calls a second")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, seconds[-1] + 1)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.set_title("A limit that changes, unknown to the client", fontweight="bold", pad=26)
    axes.legend(ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0, 0.99))
    save(drawing, path)


def draw_scale(results: Results, path: Path) -> None:
    """Draw how time and memory grow with the number of images."""
    sizes: Results = results.get("scale", {})
    counts = sorted(map(int, sizes))
    if not counts:
        return
    drawing = Figure(figsize=(10, 3.8), layout="constrained")
    lines: dict[str, dict[str, Callable[[Results], float]]] = {
        "peak memory, MB": {
            "job": lambda size: size["job"]["peak_mb"],
            "merge": lambda size: size["merge"]["peak_mb"],
        },
        "seconds": {
            "merge": lambda size: size["merge"]["seconds"],
            "copy": lambda size: size["copy"]["seconds"],
            "resumed job's first call": lambda size: size["resume"]["first_call_s"],
        },
    }
    for axes, (unit, figures) in zip(drawing.subplots(1, 2), lines.items(), strict=True):
        for (name, figure), colour in zip(figures.items(), SERIES, strict=False):
            axes.plot(counts, [figure(sizes[str(count)]) for count in counts], "o-", color=colour, label=name)
        axes.set_xscale("log")
        axes.set_xticks(counts, [f"{count:,}" for count in counts])
        axes.xaxis.set_minor_locator(NullLocator())
        if unit == "seconds":
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=GRID)
        axes.set_axisbelow(True)
        axes.set_xlabel("images")
        axes.set_title(unit, fontweight="bold")
        axes.legend(frameon=False)
    save(drawing, path)


def draw_all(results: Results, folder: Path, suffix: str = ".svg") -> None:
    """Draw every plot that has results."""
    draw_peers(results, "images_per_s", "Images a second", folder / f"speed{suffix}")
    draw_peers(results, "cpu_us", "Microseconds of CPU an image", folder / f"cpu{suffix}")
    draw_pacing(results, folder / f"pacing{suffix}")
    draw_changing(results, folder / f"changing{suffix}")
    draw_scale(results, folder / f"scale{suffix}")
