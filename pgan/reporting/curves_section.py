"""The report's sections of curves and metrics."""
import glob
import html
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from misc.results import BEST
from pgan.reporting.best_snapshot import Best
from pgan.reporting.charts import chart

_TOGETHER = (  # (title, tags) of each chart
    ('Scores', ('Loss/real_scores', 'Loss/fake_scores', 'Loss/mixed_scores')),
    ('Gradient norms', ('Loss/mixed_norms',)),
    ('Penalties', ('Loss/epsilon_penalty', 'Loss/label_penalty_reals', 'Loss/label_penalty_fakes')),
    ('lod', ('Progress/lod',)), ('Minibatch', ('Progress/minibatch',)),
    ('Seconds per kimg', ('Timing/sec_per_kimg',)),
    ('Learning rate', ('TrainG/learning_rate', 'TrainD/learning_rate')),
    ('Loss scaling, log2', ('TrainG/loss_scaling_log2', 'TrainD/loss_scaling_log2')),
    ('Skipped updates', ('TrainG/overflow_frequency', 'TrainD/overflow_frequency')),
)
_METRICS = 'Metrics/'  # prefix of metrics computed during training
_NOT_SHOWN = ('Progress/tick', 'Progress/kimg', 'Timing/', _METRICS)

_CONTROLS = '''<div class="controls" id="curve-controls" hidden>
<label>Smoothing
<input id="smoothing" type="range" min="0" max="0.95" step="0.05" value="0"></label>
<label><input id="log" type="checkbox"> log scale where all values are above 0</label>
</div>
'''


def curves_section(rows: Sequence[Mapping[str, Any]]) -> str:
    """HTML of a run's curves; '' if there are none.

    Each unknown tag, such as a user-defined one, gets a separate chart. Values that never change
    are listed in a collapsed element.

    Args:
        rows: the lines of its stats.jsonl, parsed.
    """
    charts, constants = [], []
    for title, series in _groups(rows):
        if all(map(_is_constant, series.values())):
            constants += [(title if len(series) == 1 else tag, points[0][1])
                          for tag, points in series.items()]
        else:
            charts.append(chart(title, series))
    if not charts and not constants:
        return ''
    return (f'<section id="curves"><h2>Curves</h2>\n{_CONTROLS}{_charts(charts)}'
            f'{_constants(constants)}</section>')


def _groups(rows):
    """(title, {tag: points}) of each chart."""
    tags = dict.fromkeys(tag for row in rows for tag in row if '/' in tag)
    known = {tag for _, group in _TOGETHER for tag in group}
    others = [tag for tag in tags if tag not in known and not tag.startswith(_NOT_SHOWN)]
    for title, group in [*_TOGETHER, *((tag, (tag,)) for tag in others)]:
        series = {tag: _points(rows, tag) for tag in group if tag in tags}
        if series:
            yield title, series


def _points(rows, tag):
    return [(_kimg(row), row[tag] if _is_number(row[tag]) else None) for row in rows if tag in row]


def _kimg(row):
    nimg = row.get('nimg', 0)
    return nimg / 1000 if _is_number(nimg) else 0.0


def _is_number(value):
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value))


def _is_constant(points):
    """Whether a curve has at least two points, all equal, or is zero so far."""
    values = {value for _, value in points}
    return values <= {0} or len(points) > 1 and len(values) == 1 and None not in values


def _charts(charts: Iterable[str]) -> str:
    found = '\n'.join(filter(None, charts))
    return f'<div class="charts">{found}</div>\n' if found else ''


def _constants(constants):
    if not constants:
        return ''
    items = ''.join(f'<li>{html.escape(title)} <b>{value:.6g}</b></li>'
                    for title, value in constants)
    return (f'<details id="constant"><summary>{len(constants)} without a change</summary>'
            f'<ul class="facts">{items}</ul></details>')


# ---------------------------------------------------------------- metrics

def metrics_section(folder: str, rows: Sequence[Mapping[str, Any]], best: Best | None) -> str:
    """HTML of the metrics computed by training and by the script evaluate_metrics; '' if none.

    Args:
        folder: the run's folder, with the script's metric-*.jsonl.
        rows: the lines of its stats.jsonl, parsed.
        best: metadata of network-best.pkl, if it exists.
    """
    tags = dict.fromkeys(tag for row in rows for tag in row if tag.startswith(_METRICS))
    charts = []
    for tag in tags:
        is_judge = best is not None and tag == _METRICS + best.metric
        name = tag.removeprefix(_METRICS)
        charts.append(chart(name, {name: _points(rows, tag)},
                            best=(best.kimg, best.value) if best and is_judge else None))
    parts = [_best_line(best), _charts(charts), *_tables(folder, best)]
    found = '\n'.join(filter(None, parts))
    return f'<h2>Metrics</h2>\n{found}' if found else ''


def _best_line(best):
    return '' if best is None else (
        f'<p>Best snapshot: <code>{BEST}</code>, {html.escape(str(best))}. Scripts load it with '
        '<code>--snapshot best</code>.</p>')


def _tables(folder, best):
    """Curves and a table for each metric-*.jsonl and each of its settings."""
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), 'metric-*.jsonl'))):
        tables: dict[str, dict[str, Any]] = {}  # by settings, such as num_images=10000
        for row in json_lines(path):
            # If a snapshot was measured repeatedly, the last measurement counts.
            tables.setdefault(str(row.get('settings', '')), {})[str(row.get('snapshot'))] = row
        name = os.path.basename(path).removesuffix('.jsonl')
        for settings, rows in tables.items():
            yield _metric_table(f'{name}, {settings}' if settings else name, rows, best)


def _metric_table(title, rows, best):
    """Curves and a table of {snapshot: row}; '' if no row holds a metric."""
    found = dict.fromkeys(name for row in rows.values() for name in row)
    names = [name for name in found if name not in ('snapshot', 'seconds', 'settings')]
    if not names:
        return ''
    return (f'<h3>{html.escape(title)}</h3>\n'
            f'{_charts(_metric_chart(name, rows) for name in names)}{_table(names, rows, best)}')


def _metric_chart(name, rows):
    values = {title: row[name] for title, row in rows.items()
              if isinstance(row.get(name), (int, float))}
    points = sorted((int(title), value) for title, value in values.items() if title.isdigit())
    levels = {title: value for title, value in values.items() if not title.isdigit()}
    return chart(name, {name: points}, levels)


def _table(names, rows, best):
    ordered = sorted(rows, key=lambda title: int(title) if title.isdigit() else -1)
    head = ''.join(f'<th scope="col">{html.escape(name)}</th>' for name in ('snapshot', *names))
    lines = [f'<tr>{head}</tr>']
    for title in ordered:
        is_best = best is not None and title.isdigit() and int(title) == int(best.kimg)
        cells = ''.join(f'<td>{_number(rows[title].get(name))}</td>' for name in names)
        lines.append(f'<tr{" class=best" if is_best else ""}><th scope="row">{html.escape(title)}'
                     f'{" <b>best</b>" if is_best else ""}</th>{cells}</tr>')
    return '<div class="scroll"><table class="numbers">' + '\n'.join(lines) + '</table></div>'


def _number(value):
    return f'{value:.5g}' if isinstance(value, (int, float)) else ''


def json_lines(path: str) -> list[dict[str, Any]]:
    """Read the objects of a JSON Lines file; skip lines that cannot be parsed."""
    found = []
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        found += [row] if isinstance(row, dict) else []
    return found
