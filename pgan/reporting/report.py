"""report.html: a run at a glance, in one file that needs no server: pictures over time, curves,
metrics, options, the end of the log.
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
import time

from PIL import Image

from misc.environment import read_environment
from misc.resuming import DONE_MARK
from pgan.files import atomic_write
from pgan.reporting import statistics
from pgan.reporting.charts import chart

FILE = 'report.html'
MOST_PICTURES = 24  # between which the slider goes; every second, fourth, ... is left out of more
PICTURE_SIZE = 960  # pixels of an embedded picture's longer side
MOST_PICTURE_BYTES = 200_000
LOG_LINES = 60

_HERE = pathlib.Path(__file__).parent
_PAGE = string.Template((_HERE / 'report_page.html').read_text(encoding='utf-8'))
_STYLE = (_HERE / 'report.css').read_text(encoding='utf-8')
_SCRIPT = (_HERE / 'report.js').read_text(encoding='utf-8')


class Report:
    """A run's report.html, made anew at each tick from what is in its folder.

    Args:
        folder: the result folder.
    """

    def __init__(self, folder):
        self.folder = folder
        self._pictures = {}
        self._is_broken = False

    def refresh(self):
        """Write the page. Whatever keeps it from being written is told once: a page is not worth a
        run.
        """
        try:
            self.write()
        except Exception as error:  # whatever it is
            if not self._is_broken:
                print(f'Warning: {os.path.join(self.folder, FILE)} is not up to date: '
                      f'{type(error).__name__}: {error}', file=sys.stderr)
            self._is_broken = True

    def write(self):
        """Write the page, whole or not at all."""
        curves = curve_charts(statistics.read(self.folder))
        text = _PAGE.substitute(
            style=_STYLE,
            script=_SCRIPT,
            title=html.escape(os.path.basename(os.path.realpath(self.folder))),
            status=html.escape(self._status()),
            pictures=self._picture_section(),
            charts='\n'.join(f'<div>{svg}</div>' for svg in curves),
            metrics=_metric_section(self.folder),
            config=html.escape(_read(self.folder, 'config.txt')),
            environment=_environment_rows(read_environment(self.folder)),
            log=html.escape(_log_tail(self.folder)))
        with atomic_write(os.path.join(self.folder, FILE), 'w', durable=False) as file:
            file.write(text)

    def _status(self):
        done = os.path.exists(os.path.join(self.folder, DONE_MARK))
        return (f'{"Finished" if done else "In training"}, as of '
                f'{time.strftime("%Y-%m-%d %H:%M:%S")}.')

    def _picture_section(self):
        names = chosen(
            sorted(
                map(os.path.basename, glob.glob(os.path.join(glob.escape(self.folder),
                                                             'fakes*.png'))), key=_kimg))
        fakes = [(name, data) for name, data in ((name, self._embedded(name)) for name in names)
                 if data]
        reals = self._embedded('reals.png')
        self._pictures = {
            name: data
            for name, data in self._pictures.items() if name in {*names, 'reals.png'}
        }
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
        if reals:
            parts.append('<h2>Reals</h2>\n<details><summary>what the data set looks '
                         f'like</summary><figure><img src="{reals}" alt="reals">'
                         '</figure></details>')
        return '\n'.join(parts)

    def add_picture(self, name):
        """Make the small copy of a picture that has just been written, for this page and others.
        Returns what `small_copy` does.

        Raises:
            OSError: it cannot be read.
        """
        self._pictures[name] = small_copy(os.path.join(self.folder, name))
        return self._pictures[name]

    def _embedded(self, name):
        """A picture of the folder as a data: address; None if it cannot be read."""
        try:
            data, _, kind = self._pictures.get(name) or self.add_picture(name)
        except (OSError, ValueError, Image.DecompressionBombError):
            return None
        return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'


def chosen(names, most=MOST_PICTURES):
    """At most `most` + 1 of the names: every 1st, 2nd, 4th, ... so that the choice seldom changes
    as they become more, and the last.
    """
    step = 1
    while len(names) > most * step:
        step *= 2
    kept = names[::step]
    return kept + [name for name in names[-1:] if name not in kept]


def small_copy(path, size=PICTURE_SIZE, most_bytes=MOST_PICTURE_BYTES):
    """A picture as bytes for a page or TensorBoard: (data, (width, height), 'png' or 'jpeg'), no
    larger than `size` either way.

    PNG where that is small enough, as pictures of few colours are; else JPEG, of a quality that
    keeps it below `most_bytes` if 50 does. """
    with Image.open(path) as picture:
        picture = picture.convert('RGB')
        picture.thumbnail((size, size), Image.Resampling.BOX, reducing_gap=2.0)
        for kind, options in (('png', {}), *(('jpeg', {'quality': quality})
                                             for quality in (85, 70, 50))):
            buffer = io.BytesIO()
            picture.save(buffer, kind, **options)
            if buffer.tell() <= most_bytes:
                break
        return buffer.getvalue(), picture.size, kind


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


def curve_charts(rows):
    """SVG texts for the lines of stats.jsonl; a tag that is not known, such as a user's own, gets a
    chart of its own.
    """
    tags = dict.fromkeys(tag for row in rows for tag in row if '/' in tag)
    known = {tag for _, group in _TOGETHER for tag in group}
    groups = [
        *_TOGETHER,
        *((tag, (tag, )) for tag in tags if tag not in known and not tag.startswith(_NOT_SHOWN))
    ]
    charts = []
    for title, group in groups:
        series = {
            tag: [(row.get('nimg', 0) / 1000, row[tag]) for row in rows if tag in row]
            for tag in group if tag in tags
        }
        if any(value not in (0, None) for points in series.values() for _, value in points):
            charts.append(chart(title, series))
    return [svg for svg in charts if svg]


def _metric_section(folder):
    """Curves and tables of what evaluate_metrics has left: metric-*.jsonl."""
    parts = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), 'metric-*.jsonl'))):
        # of several measurements of a snapshot the last
        rows = {str(row.get('snapshot')): row for row in _json_lines(path)}
        names = list(
            dict.fromkeys(name for row in rows.values() for name in row
                          if name not in ('snapshot', 'seconds')))
        if names:
            parts.append(
                f'<h2>{html.escape(os.path.basename(path).removesuffix(".jsonl"))}</h2>\n<div '
                'class="charts">' + '\n'.join(f'<div>{_metric_chart(name, rows)}</div>'
                                              for name in names) + '</div>\n' + _table(names, rows))
    return '\n'.join(parts)


def _metric_chart(name, rows):
    values = {
        title: row[name]
        for title, row in rows.items() if isinstance(row.get(name), (int, float))
    }
    points = sorted((int(title), value) for title, value in values.items() if title.isdigit())
    return chart(name, {name: points},
                 {title: value
                  for title, value in values.items() if not title.isdigit()})


def _table(names, rows):
    ordered = sorted(rows, key=lambda title: (title.isdigit(), int(title)
                                              if title.isdigit() else 0))
    lines = [''.join(f'<th>{html.escape(name)}</th>' for name in ('snapshot', *names))]
    lines += [
        f'<td>{html.escape(title)}</td>' + ''.join(f'<td>{_number(rows[title].get(name))}</td>'
                                                   for name in names) for title in ordered
    ]
    return '<table>' + '\n'.join(f'<tr>{line}</tr>' for line in lines) + '</table>'


def _number(value):
    return f'{value:.5g}' if isinstance(value, (int, float)) else ''


# ---------------------------------------------------------------- texts

def _environment_rows(entries):
    """Table rows for the newest entry of environment.json, and how often the run was started."""
    if not entries:
        return '<tr><td>unknown</td></tr>'
    entry = {**entries[-1], 'started': f'{len(entries)} time{"s" if len(entries) > 1 else ""}, '
                                       f'first {entries[0].get("time")}'}
    return '\n'.join(
        f'<tr><th>{html.escape(str(name))}</th><td>{html.escape(_plain(value))}</td></tr>'
        for name, value in entry.items())


def _plain(value):
    if isinstance(value, dict):
        return ', '.join(f'{name} {item}' for name, item in value.items())
    return ', '.join(map(str, value)) if isinstance(value, list) else str(value)


def _kimg(name):
    """123 of 'fakes000123.png'; -1 of a file that somebody else has put there."""
    match = re.fullmatch(r'fakes(\d+)\.png', name)
    return int(match[1]) if match else -1


def _read(folder, name):
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


def _json_lines(path):
    found = []
    for line in _read(*os.path.split(path)).splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found += [row] if isinstance(row, dict) else []
    return found
