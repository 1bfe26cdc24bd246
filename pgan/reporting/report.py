"""report.html: a run at a glance, in one file that needs no server.

It has pictures over time, curves, metrics, options, and the end of the log.
"""
import base64
import glob
import html
import io
import json
import os
import pathlib
import re
import string
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image

from misc.environment import read_environment
from misc.results import BEST
from misc.run_status import read_status
from pgan.data.class_names import ROWS_FILE
from pgan.files import atomic_write
from pgan.reporting import stats_file
from pgan.reporting.best_snapshot import read_best
from pgan.reporting.charts import chart
from pgan.reporting.nearest_section import PICTURE, nearest_section
from pgan.reporting.status_section import status_section

FILE = 'report.html'
MAX_PICTURES = 24  # that the slider goes through
THUMBNAIL_SIZE = 960  # pixels of an embedded picture's longer side
MAX_THUMBNAIL_BYTES = 200_000
LOG_LINES = 60

_HERE = pathlib.Path(__file__).parent
_PAGE = string.Template((_HERE / 'report_page.html').read_text(encoding='utf-8'))
_STYLE = (_HERE / 'report.css').read_text(encoding='utf-8')
_SCRIPT = (_HERE / 'report.js').read_text(encoding='utf-8')


class Thumbnail(NamedTuple):
    """A small copy of a picture.

    Attributes:
        data: the bytes of an image file.
        size: width and height.
        kind: 'png' or 'jpeg'.
    """
    data: bytes
    size: tuple[int, int]
    kind: str


class Report:
    """A run's report.html, rewritten at each tick from what is in its folder.

    Args:
        folder: the result folder.
    """

    def __init__(self, folder: str):
        self.folder = folder
        self._thumbnails: dict[str, Thumbnail] = {}
        self._is_broken = False

    def refresh(self) -> None:
        """Write the page. If that fails, warn once: a page is not worth a run."""
        try:
            self.write()
        except Exception as error:  # whatever it is
            if not self._is_broken:
                print(f'Warning: {os.path.join(self.folder, FILE)} is not up to date: '
                      f'{type(error).__name__}: {error}', file=sys.stderr)
            self._is_broken = True

    def write(self) -> None:
        """Write the page, whole or not at all."""
        rows = stats_file.read(self.folder)
        curves = curve_charts(rows)
        text = _PAGE.substitute(
            style=_STYLE,
            script=_SCRIPT,
            title=html.escape(os.path.basename(os.path.realpath(self.folder))),
            status=status_section(self.folder, read_status(self.folder), rows),
            pictures=self._picture_section(),
            nearest=nearest_section(self.folder, self._embedded(PICTURE)),
            charts='\n'.join(f'<div>{svg}</div>' for svg in curves),
            best=_best_line(self.folder),
            metrics=_metric_section(self.folder),
            config=html.escape(_read(self.folder, 'config.txt')),
            environment=_environment_rows(read_environment(self.folder)),
            log=html.escape(_log_tail(self.folder)))
        with atomic_write(os.path.join(self.folder, FILE), 'w', durable=False) as file:
            file.write(text)

    def _picture_section(self):
        paths = glob.glob(os.path.join(glob.escape(self.folder), 'fakes*.png'))
        names = thinned_out(sorted(map(os.path.basename, paths), key=_kimg))
        embedded = [(name, self._embedded(name)) for name in names]
        fakes = [(name, data) for name, data in embedded if data]
        reals = self._embedded('reals.png')
        self._thumbnails = {name: thumbnail for name, thumbnail in self._thumbnails.items()
                            if name in {*names, 'reals.png', PICTURE}}
        parts = []
        if fakes:
            images = '\n'.join(f'<img id="{html.escape(os.path.splitext(name)[0])}" src="{data}" '
                               f'alt="{_kimg(name)} kimg"'
                               f'{"" if name == fakes[-1][0] else " hidden"}>'
                               for name, data in fakes)
            parts.append('<h2>Fakes</h2>\n<div class="controls"><button id="play">play</button>'
                         f'<input id="when" type="range" min="0" max="{len(fakes) - 1}" '
                         f'value="{len(fakes) - 1}" aria-label="when"><span '
                         f'id="caption">{_kimg(fakes[-1][0])} kimg</span></div>\n<figure '
                         f'id="fakes">{images}</figure>')
            parts += _row_names(self.folder)
        if reals:
            parts.append('<h2>Reals</h2>\n<details><summary>what the data set looks '
                         f'like</summary><figure><img src="{reals}" alt="reals">'
                         '</figure></details>')
        return '\n'.join(parts)

    def add_thumbnail(self, name: str) -> Thumbnail:
        """Make the thumbnail of a picture that has just been written.

        Raises:
            OSError: it cannot be read.
        """
        self._thumbnails[name] = make_thumbnail(os.path.join(self.folder, name))
        return self._thumbnails[name]

    def forget_thumbnail(self, name: str) -> None:
        """Make the thumbnail of a picture again, which has been replaced."""
        self._thumbnails.pop(name, None)

    def _embedded(self, name: str) -> str | None:
        """A picture of the folder as a data: URL; None if it cannot be read."""
        try:
            data, _, kind = self._thumbnails.get(name) or self.add_thumbnail(name)
        except (OSError, ValueError, Image.DecompressionBombError):
            return None
        return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'


def _row_names(folder):
    """A paragraph that names the pictures' rows, in a list; an empty one without names."""
    rows = re.findall(r'^row \d+: (class \d+, .*)$', _read(folder, ROWS_FILE), re.MULTILINE)
    classes = list(dict.fromkeys(rows))
    names = ', '.join(name.partition(', ')[2] for name in classes)
    again = ', and again from the first' if len(classes) < len(rows) else ''
    return [f'<p>Rows from the top: {html.escape(names)}{again}.</p>'] if names else []


def thinned_out(names: Sequence[str], most: int = MAX_PICTURES) -> list[str]:
    """At most `most` + 1 of the names: every 1st, 2nd, 4th, ..., and the last.

    So the choice seldom changes as their number grows.
    """
    step = 1
    while len(names) > most * step:
        step *= 2
    kept = list(names[::step])
    return kept + [name for name in names[-1:] if name not in kept]


_THUMBNAIL_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ('png', {}), ('jpeg', {'quality': 85}), ('jpeg', {'quality': 70}), ('jpeg', {'quality': 50}))


def make_thumbnail(path: str, *, size: int = THUMBNAIL_SIZE,
                   most_bytes: int = MAX_THUMBNAIL_BYTES) -> Thumbnail:
    """A small copy of a picture, for a page or TensorBoard.

    It is a PNG if that is small enough, as for pictures of few colours. Otherwise it is a JPEG, of
    the highest quality that fits, or of 50.

    Args:
        path: of the picture.
        size: pixels of its longer side.
        most_bytes: wanted size of the file.
    """
    with Image.open(path) as picture:
        copy = picture.convert('RGB')
        copy.thumbnail((size, size), Image.Resampling.BOX, reducing_gap=2.0)
        for kind, options in _THUMBNAIL_KINDS:
            buffer = io.BytesIO()
            copy.save(buffer, kind, **options)
            if buffer.tell() <= most_bytes:
                break
        return Thumbnail(buffer.getvalue(), copy.size, kind)


# ---------------------------------------------------------------- curves

_TOGETHER = (  # charts of several tags
    ('Scores', ('Loss/real_scores', 'Loss/fake_scores', 'Loss/mixed_scores')),
    ('Gradient norms', ('Loss/mixed_norms',)),
    ('Penalties', ('Loss/epsilon_penalty', 'Loss/label_penalty_reals', 'Loss/label_penalty_fakes')),
    ('lod', ('Progress/lod',)), ('Minibatch', ('Progress/minibatch',)),
    ('Seconds per kimg', ('Timing/sec_per_kimg',)),
    ('Learning rate', ('TrainG/learning_rate', 'TrainD/learning_rate')),
    ('Loss scaling, log2', ('TrainG/loss_scaling_log2', 'TrainD/loss_scaling_log2')),
    ('Skipped updates', ('TrainG/overflow_frequency', 'TrainD/overflow_frequency')),
)
_NOT_SHOWN = ('Progress/tick', 'Progress/kimg', 'Timing/')


def curve_charts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Charts of the lines of stats.jsonl, as SVG.

    A tag that is not known, such as a user's own, gets a chart of its own.
    """
    tags = dict.fromkeys(tag for row in rows for tag in row if '/' in tag)
    known = {tag for _, group in _TOGETHER for tag in group}
    others = [tag for tag in tags if tag not in known and not tag.startswith(_NOT_SHOWN)]
    charts = []
    for title, group in [*_TOGETHER, *((tag, (tag,)) for tag in others)]:
        series = {tag: [(row.get('nimg', 0) / 1000, row[tag]) for row in rows if tag in row]
                  for tag in group if tag in tags}
        if any(value not in (0, None) for points in series.values() for _, value in points):
            charts.append(chart(title, series))
    return [svg for svg in charts if svg]


def _best_line(folder):
    best = read_best(folder)
    return '' if best is None else (
        f'<p>Best snapshot: <code>{BEST}</code>, {html.escape(str(best))}. Scripts take it with '
        '<code>--snapshot best</code>.</p>')


def _metric_section(folder):
    """Curves and tables of what evaluate_metrics has left: metric-*.jsonl."""
    parts = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), 'metric-*.jsonl'))):
        tables: dict[str, dict[str, Any]] = {}  # by settings, such as num_images=10000
        for row in json_lines(path):
            # of several measurements of a snapshot the last
            tables.setdefault(str(row.get('settings', '')), {})[str(row.get('snapshot'))] = row
        for settings, rows in tables.items():
            title = os.path.basename(path).removesuffix('.jsonl')
            parts.append(_metric_table(f'{title}, {settings}' if settings else title, rows))
    return '\n'.join(filter(None, parts))


def _metric_table(title, rows):
    """Curves and a table of the rows {snapshot: row}; '' if there is no value in them."""
    found = dict.fromkeys(name for row in rows.values() for name in row)
    names = [name for name in found if name not in ('snapshot', 'seconds', 'settings')]
    if not names:
        return ''
    charts = '\n'.join(f'<div>{_metric_chart(name, rows)}</div>' for name in names)
    return (f'<h2>{html.escape(title)}</h2>\n<div class="charts">{charts}</div>\n'
            f'{_table(names, rows)}')


def _metric_chart(name, rows):
    values = {title: row[name] for title, row in rows.items()
              if isinstance(row.get(name), (int, float))}
    points = sorted((int(title), value) for title, value in values.items() if title.isdigit())
    levels = {title: value for title, value in values.items() if not title.isdigit()}
    return chart(name, {name: points}, levels)


def _table(names, rows):
    ordered = sorted(rows, key=lambda title: int(title) if title.isdigit() else -1)
    lines = [''.join(f'<th>{html.escape(name)}</th>' for name in ('snapshot', *names))]
    for title in ordered:
        cells = ''.join(f'<td>{_number(rows[title].get(name))}</td>' for name in names)
        lines.append(f'<td>{html.escape(title)}</td>{cells}')
    return '<table>' + '\n'.join(f'<tr>{line}</tr>' for line in lines) + '</table>'


def _number(value):
    return f'{value:.5g}' if isinstance(value, (int, float)) else ''


# ---------------------------------------------------------------- texts

def _environment_rows(entries):
    """Table rows for the newest entry of environment.json, and how often the run was started."""
    if not entries:
        return '<tr><td>unknown</td></tr>'
    times = f'{len(entries)} time{"s" if len(entries) > 1 else ""}'
    entry = {**entries[-1], 'started': f'{times}, first {entries[0].get("time")}'}
    return '\n'.join(
        f'<tr><th>{html.escape(str(name))}</th><td>{html.escape(_plain(value))}</td></tr>'
        for name, value in entry.items())


def _plain(value):
    if isinstance(value, dict):
        return ', '.join(f'{name} {item}' for name, item in value.items())
    return ', '.join(map(str, value)) if isinstance(value, list) else str(value)


def _kimg(name: str) -> int:
    """123 of 'fakes000123.png'; -1 of a file with another name."""
    match = re.fullmatch(r'fakes(\d+)\.png', name)
    return int(match[1]) if match else -1


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding='utf-8', errors='replace') as file:
            return file.read()
    except OSError:
        return ''


def _log_tail(folder, lines=LOG_LINES, most_bytes=40_000):
    try:
        with open(os.path.join(folder, 'log.txt'), 'rb') as file:
            file.seek(max(os.path.getsize(file.name) - most_bytes, 0))
            return '\n'.join(file.read().decode('utf-8', 'replace').splitlines()[-lines:])
    except OSError:
        return ''


def json_lines(path: str) -> list[dict[str, Any]]:
    """The objects in a file of one a line; what cannot be read is left out."""
    found = []
    for line in _read(*os.path.split(path)).splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found += [row] if isinstance(row, dict) else []
    return found
