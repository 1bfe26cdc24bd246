"""Line charts as SVG, for pages that need no library and no server.

matplotlib is not used: for the 12 charts of a report its SVG backend took 20x the CPU time (0.9 s
compared with 0.04 s per tick, 2026-11-26) and 3.5x the bytes, and its colours cannot follow the
page's style sheet.
"""
import html
import math
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from pgan.files import to_json

Point: TypeAlias = tuple[float, float | None]  # kimg and value; None leaves a gap

WIDTH, HEIGHT = 460, 230
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 26, 34  # margins of the plot in the picture
COLOURS = 6  # --c0, --c1, ... in report.css, for the light and the dark theme
MOST_POINTS = 300  # Longer curves are reduced to this many averages.


def chart(title: str, series: Mapping[str, Iterable[Point]],
          levels: Mapping[str, float] = {}, best: tuple[float, float] | None = None) -> str:
    """Line chart of values over kimg.

    Args:
        title: title of the chart.
        series: {name: [(kimg, value), ...]}; values that are None or not finite leave a gap.
        levels: {name: value} drawn as dashed horizontal lines, e.g. the value of real images.
        best: (kimg, value) of a point to mark as the best one.

    Returns:
        HTML with the curves as SVG and their points as JSON for report.js, all names escaped; '' if
            there is nothing to draw.
    """
    series = {name: thin(points) for name, points in series.items()}
    levels = {name: value for name, value in levels.items() if math.isfinite(value)}
    drawn = [(x, y) for points in series.values() for x, y in points if y is not None]
    if not drawn:
        return ''
    x_range = _range(x for x, _ in drawn)
    y_range = _range([*(y for _, y in drawn), *levels.values()])
    place = lambda x, y: (LEFT + (x - x_range[0]) / (x_range[1] - x_range[0]) *
                          (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - (y - y_range[0]) /
                          (y_range[1] - y_range[0]) * (HEIGHT - TOP - BOTTOM))
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">',
        f'<text x="{LEFT}" y="14" class="title">{html.escape(title)}</text>',
        '<g>', *_grid(x_range, y_range, place)
    ]
    for value in levels.values():
        y = place(x_range[0], value)[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                     'class="level"/>')
    for number, (_, points) in enumerate(series.items()):
        parts += _curve(points, place, f'c{number % COLOURS}')
    if best is not None:
        parts.append('<circle cx="{:.1f}" cy="{:.1f}" r="6" class="best"/>'.format(*place(*best)))
    data = dict(series=[[[_short(x), _short(y)] for x, y in points] for points in series.values()],
                levels=list(levels.values()), best=best)
    return '\n'.join([f'<figure class="chart" data-chart="{html.escape(to_json(data))}">',
                      *parts, '</g></svg>', _legend(series, levels, best), '</figure>'])


def _short(value):
    return None if value is None else float(f'{value:.6g}')


def thin(points: Iterable[Point], most: int = MOST_POINTS) -> list[Point]:
    """Reduce a curve to at most `most` points by averaging over consecutive points.

    This keeps the page fast for runs that take a month.
    """
    points = [(float(x), None if y is None or not math.isfinite(y) else float(y))
              for x, y in points]
    if len(points) <= most:
        return points
    found, step = [], len(points) / most
    for i in range(most):
        span = points[int(i * step):int((i + 1) * step)]
        values = [y for _, y in span if y is not None]
        found.append(
            (sum(x for x, _ in span) / len(span), sum(values) / len(values) if values else None))
    return found


def _range(values):
    values = list(values)
    low, high = min(values), max(values)
    margin = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers between two values, for axis labels."""
    raw = (high - low) / count
    step = 10 ** math.floor(math.log10(raw))
    step *= min(factor for factor in (1, 2, 5, 10) if step * factor >= 0.7 * raw)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _grid(x_range, y_range, place):
    parts = []
    for value in ticks(*y_range):
        y = place(x_range[0], value)[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                     f'class="grid"/><text x="{LEFT - 6}" y="{y + 4:.1f}" '
                     f'class="y">{value:.6g}</text>')
    for value in ticks(*x_range):
        if value >= 0:
            x = place(value, y_range[0])[0]
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" '
                         f'class="x">{value:.6g}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" class="y">kimg</text>')
    return parts


def _curve(points, place, name):
    """SVG of a curve: a line for each stretch without a gap, and dots if there are few points."""
    stretches, current = [], []
    for x, y in [*points, (0, None)]:
        if y is not None:
            current.append('{:.1f},{:.1f}'.format(*place(x, y)))
        elif current:
            stretches.append(current)
            current = []
    parts = [
        f'<polyline points="{" ".join(stretch)}" class="{name}"/>' for stretch in stretches
        if len(stretch) > 1
    ]
    if len(points) <= 30:
        for stretch in stretches:
            parts += [
                '<circle cx="{}" cy="{}" r="2.2" class="{}"/>'.format(*point.split(','), name)
                for point in stretch
            ]
    return parts


def _legend(series, levels, best):
    entries = [f'<span><i class="c{number % COLOURS}"></i>{html.escape(name)} <b></b></span>'
               for number, name in enumerate(series)]
    entries += [
        f'<span><i class="dashed"></i>{html.escape(name)} {value:.4g}</span>'
        for name, value in levels.items()
    ]
    if best is not None:
        entries.append(f'<span><i class="ring"></i>best {best[1]:.4g} at {best[0]:g} kimg</span>')
    return f'<p class="legend">{"".join(entries)}</p>'
