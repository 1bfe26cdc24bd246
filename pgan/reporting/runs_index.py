"""results/index.html: overview of all runs in a single file that needs no server.

The page is also its cache: it embeds an entry per run, with a thumbnail, as JSON. A refresh reads
only some folders, those with the oldest entries first, and takes the others from the page. Two runs
may write it at the same time: each page is complete, and an entry that one of them overwrites is
read again at a later refresh.
"""
import fnmatch
import html
import json
import math
import os
import pathlib
import re
import string
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from misc.results import read_dataset_options
from misc.run_files import FOLDER, OLD_FOLDER
from misc.run_status import FINISHED, RUNNING, RunStatus, read_status
from pgan.errors import DataError, UserError, in_short
from pgan.files import atomic_write, expanded, to_json
from pgan.invocation import command, path_argument
from pgan.reporting import report
from pgan.reporting.best_snapshot import noted_best
from pgan.reporting.image_grids import image_side
from pgan.reporting.pictures_section import kimg_of
from pgan.reporting.status_section import moment, percent_of
from pgan.reporting.thumbnails import make_thumbnail
from pgan.reporting.timetable import rough_time

FILE = 'index.html'
SECONDS = 0.5  # time limit for reading folders in one refresh
LEAST_PAUSE = 10.0  # minimum time between two refreshes by ticks, in seconds
SHARE = 0.02  # maximum fraction of a run's time for refreshes by ticks
THUMBNAIL_SIZE, THUMBNAIL_BYTES = 192, 8_000
SCRIPT, UNREADABLE = 'script', 'unreadable'  # states in addition to those of `RunStatus`
_STATES = (RUNNING, 'stopped', 'failed', FINISHED, UNREADABLE, SCRIPT)

_OF_RUNS = ('stats.jsonl', 'reals.png', 'network-final.pkl', FOLDER, OLD_FOLDER)

_MARK = 'progressive-gan-tf2 index of runs'
_PAGE = string.Template(report.read_part('runs_index.html'))
_STYLE = report.read_part('page.css') + report.read_part('runs_index.css')
_SCRIPT = report.read_part('page_state.js') + report.read_part('runs_index.js')
_KNOWN = re.compile(r'<script type="application/json" id="runs">(.*?)</script>', re.DOTALL)
_PICTURE = re.compile(r'data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+')

Entry = dict[str, Any]  # see `_entry`


class RunsIndex:
    """The page of all runs in a result directory.

    Args:
        result_dir: the parent folder of all results; a leading ~ is expanded.
    """

    def __init__(self, result_dir: str | os.PathLike):
        self.result_dir = expanded(result_dir)
        self._is_broken = False
        self._next = 0.0  # time.monotonic() of the next refresh by a tick

    def tick(self, folder: str) -> None:
        """Refresh the page, unless the last refresh was too recent."""
        if time.monotonic() >= self._next:
            self.refresh(folder)

    def refresh(self, folder: str | None = None, *, seconds: float = SECONDS) -> None:
        """Write the page. Failures do not end the run; the first one prints a warning.

        Args:
            folder: a run whose entry is always read again.
            seconds: time limit for reading the other entries.
        """
        if not os.path.isdir(self.result_dir):
            return
        start = time.monotonic()
        try:
            self.write(folder, seconds=seconds)
        except Exception as error:  # No error may end the run.
            if not self._is_broken:
                print(f'Warning: {os.path.join(self.result_dir, FILE)} is not up to date: '
                      f'{in_short(error)}', file=sys.stderr)
            self._is_broken = True
        now = time.monotonic()
        self._next = now + max(LEAST_PAUSE, (now - start) / SHARE)

    def write(self, folder: str | None = None, *, seconds: float = SECONDS) -> None:
        """Write the page atomically; see `refresh` for the arguments.

        Raises:
            DataError: index.html cannot be written, or was made by another program.
            OSError: the folder cannot be read.
        """
        path = os.path.join(self.result_dir, FILE)
        known = _known_entries(path)
        entries = self._entries(folder, known, time.monotonic() + seconds)
        with atomic_write(path, 'w', durable=False) as file:
            file.write(_page(self.result_dir, entries))

    def _entries(self, folder, known, deadline):
        """An entry per folder, read again until the deadline, then taken from `known`."""
        names = [entry.name for entry in os.scandir(self.result_dir)
                 if entry.is_dir() and not entry.name.startswith(('_', '.'))]
        own = None if folder is None else os.path.realpath(folder)
        is_own = lambda name: own == os.path.realpath(os.path.join(self.result_dir, name))
        found = {}
        order = lambda name: (not is_own(name), known.get(name, {}).get('read', 0.0))
        for name in sorted(names, key=order):
            if is_own(name) or time.monotonic() < deadline:
                found[name] = read_entry(self.result_dir, name, known.get(name, {}))
            else:
                found[name] = known.get(name) or _entry(name, UNREADABLE, note='not read yet')
        listed = [entry for entry in found.values() if entry['is_listed']]
        return sorted(listed, key=lambda entry: (-(entry['time'] or 0.0), entry['name']))


def _known_entries(path):
    """{name: entry} of the existing page; DataError if it was made by another program."""
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            text = file.read()
    except FileNotFoundError:
        return {}
    if _MARK not in text[:1000]:
        raise DataError(f'{path!r} was made by another program. Move it away, so that the page of '
                        'all runs can be written there.')
    try:
        entries = json.loads(_KNOWN.search(text)[1])  # type: ignore[index]
        return {entry['name']: entry for entry in entries if _is_entry(entry)}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


# ---------------------------------------------------------------- entries

def _entry(name: str, state: str, **values: Any) -> Entry:
    return {'name': name, 'state': state, 'is_listed': True, 'note': '', 'kimg': None,
            'total_kimg': None, 'seconds_left': None, 'time': None, 'can_continue': False,
            'has_networks': False, 'dataset': '', 'metric': '', 'value': None, 'link': '',
            'picture': None, 'thumbnail': '', 'read': 0.0, **values}


_KINDS = {name: type(value) for name, value in _entry('', '').items() if value is not None}
_NUMBERS = ('kimg', 'total_kimg', 'seconds_left', 'time', 'value')


def _is_entry(entry):
    """Whether an entry has the format of `_entry`. A page may be damaged, or of an older version.
    """
    return (isinstance(entry, dict) and entry.keys() == _entry('', '').keys()
            and all(type(entry[name]) is kind for name, kind in _KINDS.items())
            and all(entry[name] is None or _is_finite(entry[name]) for name in _NUMBERS)
            and entry['state'] in _STATES
            and (not entry['thumbnail'] or bool(_PICTURE.fullmatch(entry['thumbnail']))))


def _is_finite(value):
    return type(value) in (int, float) and math.isfinite(value)


def read_entry(result_dir: str, name: str, before: Mapping[str, Any] = {}) -> Entry:
    """Read the page's entry of a folder. A folder that cannot be read gets the state 'unreadable'.

    Args:
        result_dir, name: parent and name of the folder.
        before: its previous entry, whose thumbnail is reused if the picture has not changed.
    """
    folder = os.path.join(result_dir, name)
    try:
        names = sorted(os.listdir(folder))
        read = _read_run if _is_run(names) else _read_others
        entry = read(folder, name, names, before)
    except Exception as error:  # A broken folder must not hide the others.
        entry = _entry(name, UNREADABLE, note=in_short(error))
    entry['read'] = time.time()
    return entry


def _is_run(names):
    return any(name in _OF_RUNS or name.startswith('network-snapshot-') or kimg_of(name) >= 0
               for name in names)


def _read_run(folder, name, names, before):
    status, best = read_status(folder), noted_best(folder)
    if best is not None and not _is_finite(best.value):
        best = None
    fakes = max((name for name in names if kimg_of(name) >= 0), key=kimg_of, default=None)
    kimg = status.kimg
    if kimg is None and fakes is not None:
        kimg = float(kimg_of(fakes))
    when = status.time if status.time is not None else os.path.getmtime(folder)
    return _entry(
        name, status.state, kimg=kimg, total_kimg=status.total_kimg, time=float(when),
        seconds_left=status.seconds_left if status.state != FINISHED else None,
        note=_note(status), can_continue=status.can_continue,
        has_networks=any(fnmatch.fnmatch(name, 'network-*.pkl') for name in names),
        dataset=_dataset(folder),
        metric=best.metric if best else '', value=best.value if best else None,
        link=report.FILE if report.FILE in names else '',
        **_picture(folder, fakes or ('reals.png' if 'reals.png' in names else None), before))


def _note(status: RunStatus) -> str:
    if status.state in (RUNNING, FINISHED):
        return ''
    return status.reason or 'without a message: killed, or its machine went down'


def _dataset(folder):
    try:
        options, _ = read_dataset_options(folder)
    except (UserError, OSError, ValueError):
        return ''
    return str(options.get('tfrecord_dir') or options.get('class_name') or '')


def _read_others(folder, name, names, before):
    """Entry of a folder that is not a run: a script's output if it is numbered, else not listed."""
    pictures = [name for name in names if name.endswith(('.png', '.jpg'))]
    return _entry(name, SCRIPT, is_listed=re.match(r'\d+-', name) is not None,
                  time=os.path.getmtime(folder), note=f'{len(names)} files',
                  **_picture(folder, pictures[0] if pictures else None, before))


def _picture(folder, name, before):
    """Thumbnail of a picture, of a grid only the corner, so that its images are discernible."""
    if name is None:
        return {}
    path = os.path.join(folder, name)
    try:
        stat = os.stat(path)
        key = [name, stat.st_size, stat.st_mtime_ns]
        if before.get('picture') == key:
            return dict(picture=key, thumbnail=before['thumbnail'])
        with Image.open(path) as picture:
            side = image_side(picture.size)
        part = None
        if side is not None:
            columns = max(3, THUMBNAIL_SIZE // side)
            part = columns * side, max(2, columns * 9 // 16) * side
        made = make_thumbnail(path, size=THUMBNAIL_SIZE, most_bytes=THUMBNAIL_BYTES, part=part)
        return dict(picture=key, thumbnail=made.url)
    except (OSError, ValueError, Image.DecompressionBombError):
        return {}


# ---------------------------------------------------------------- the page

def _page(result_dir: str, entries: Sequence[Entry]) -> str:
    rows = [_row(number, entry, _next_command(result_dir, entry))
            for number, entry in enumerate(entries)]
    counts = {state: sum(entry['state'] == state for entry in entries) for state in _STATES}
    return _PAGE.substitute(
        mark=_MARK, style=_STYLE, script=_SCRIPT, rows='\n'.join(rows),
        folder=html.escape(os.getcwd()), title=html.escape(os.path.realpath(result_dir)),
        updated=moment(time.time()), states=_state_filters(counts),
        refresh='' if not counts[RUNNING] else
        '<label><input id="refresh" type="checkbox" checked data-seconds="15"> reload every '
        '15 s</label>',
        # Escaped, so that no '</script>' in the JSON can end the element.
        runs=to_json(entries).replace('<', '\\u003c'))


def _next_command(result_dir, entry):
    """Command that continues a run or, if it is running or has ended, uses its networks; or ''."""
    folder = path_argument(os.path.join(result_dir, entry['name']))
    if entry['can_continue'] and entry['state'] in ('stopped', 'failed'):
        return command('train.py', '--resume', folder)
    if not entry['has_networks']:
        return ''
    if entry['state'] == RUNNING:
        return command('util_scripts.py', 'explore', '--run_id', folder)
    return command('util_scripts.py', 'generate_fake_images', '--grid_size', 8, 4,
                   '--run_id', folder)


def _state_filters(counts):
    return ''.join(
        f'<label><input type="checkbox" name="state" value="{state}"'
        f'{"" if state == SCRIPT else " checked"}> <span class="badge {state}">'
        f'{"scripts" if state == SCRIPT else state}</span> {count}</label>'
        for state, count in counts.items() if count)


def _row(number: int, entry: Entry, then: str) -> str:
    name, state = html.escape(entry['name']), entry['state']
    link = html.escape('/'.join(['.', _quoted(entry['name']), entry['link']]))
    picture = (f'<a href="{link}" tabindex="-1" aria-hidden="true">'
               f'<img data-run="{number}" alt="" hidden></a>' if entry['thumbnail'] else '')
    metric = f'{html.escape(entry["metric"])} {entry["value"]:.4g}' if entry['metric'] else ''
    when = moment(entry['time'])[:16] if entry['time'] else ''
    command_cell = (f'<code title="{html.escape(then)}">{html.escape(then)}</code>'
                    f'<button type="button" class="copy" aria-label="Copy the command of {name}">'
                    'Copy</button>' if then else '')
    cells = [
        ('picture', '', picture),
        ('name', entry['name'], f'<a href="{link}">{name}</a>'),
        ('state', _STATES.index(state), _state_cell(entry)),
        ('dataset', entry['dataset'], html.escape(entry['dataset'])),
        ('kimg', _sortable(entry['kimg']), _kimg_cell(entry)),
        ('metric', _sortable(entry['value']), metric),
        ('time', _sortable(entry['time']), when),
        ('command', '', command_cell),
    ]
    return (f'<tr data-state="{state}">' + ''.join(
        f'<td class="{kind}" data-sort="{html.escape(str(key))}">{text}</td>'
        for kind, key, text in cells) + '</tr>')


def _sortable(value):
    return '' if value is None else f'{value:.9g}'


def _state_cell(entry):
    word = 'script' if entry['state'] == SCRIPT else entry['state']
    note = html.escape(entry['note'])
    left = entry['seconds_left']
    if entry['state'] == RUNNING and left is not None:
        note = f'about {rough_time(left)} left'
    more = f'<span class="note" title="{note}">{note}</span>' if note else ''
    return f'<span class="badge {entry["state"]}">{word}</span>{more}'


def _kimg_cell(entry):
    kimg, total = entry['kimg'], entry['total_kimg']
    if kimg is None:
        return ''
    if not total:
        return f'{kimg:.1f}'
    bar = '' if entry['state'] == FINISHED else (
        f'<progress value="{min(kimg, total):.6g}" max="{total:.6g}" aria-hidden="true">'
        '</progress>')
    return f'{kimg:.1f} of {total:g}{bar}<span class="unseen">{percent_of(kimg, total)} %</span>'


def _quoted(name):
    """Quote a folder's name for a relative URL."""
    return pathlib.PurePosixPath('/' + name).as_uri().removeprefix('file:///')
