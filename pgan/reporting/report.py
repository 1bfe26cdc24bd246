"""report.html: overview of a run in a single file that needs no server.

It shows the run's status, pictures over time, curves, metrics, options, and the end of the log.
"""
import html
import os
import pathlib
import string
import sys

from PIL import Image

from misc.environment import read_environment
from misc.run_status import RUNNING, RunStatus, read_status
from pgan.files import atomic_write
from pgan.reporting import stats_file
from pgan.reporting.best_snapshot import read_best
from pgan.reporting.curves_section import curves_section, metrics_section
from pgan.reporting.log_section import log_tail
from pgan.reporting.nearest_section import PICTURE, nearest_section
from pgan.reporting.pictures_section import (
    REALS,
    Shown,
    fakes_of,
    make_shown,
    pictures_section,
    read_rows,
    thinned_out,
)
from pgan.reporting.status_section import percent_of, status_section
from pgan.reporting.thumbnails import Thumbnail, make_thumbnail

FILE = 'report.html'

_HERE = pathlib.Path(__file__).parent


def read_part(name: str) -> str:
    """Read a template, style sheet or script from this module's folder."""
    return (_HERE / name).read_text(encoding='utf-8')


_PAGE = string.Template(read_part('report_page.html'))
_STYLE = read_part('page.css') + read_part('report.css')
_SCRIPT = read_part('page_state.js') + read_part('report.js')


class Report:
    """A run's report.html, rewritten at each tick from the files in its folder.

    Args:
        folder: the result folder.
    """

    def __init__(self, folder: str):
        self.folder = folder
        self._shown: dict[str, Shown] = {}
        self._is_broken = False

    def refresh(self) -> None:
        """Write the page. Failures do not end the run; the first one prints a warning."""
        try:
            self.write()
        except Exception as error:  # No error may end the run.
            if not self._is_broken:
                print(f'Warning: {os.path.join(self.folder, FILE)} is not up to date: '
                      f'{type(error).__name__}: {error}', file=sys.stderr)
            self._is_broken = True

    def write(self) -> None:
        """Write the page atomically."""
        rows = stats_file.read(self.folder)
        status = read_status(self.folder)
        best = read_best(self.folder)
        name = html.escape(os.path.basename(os.path.realpath(self.folder)))
        text = _PAGE.substitute(
            style=_STYLE,
            script=_SCRIPT,
            name=name,
            progress=_progress(status),
            status=status_section(self.folder, status, rows),
            pictures=self._picture_section(),
            nearest=nearest_section(self.folder, self._embedded(PICTURE)),
            curves=curves_section(rows),
            metrics=metrics_section(self.folder, rows, best),
            config=html.escape(_read(self.folder, 'config.txt')),
            environment=_environment_rows(read_environment(self.folder)),
            log=html.escape(log_tail(self.folder)))
        with atomic_write(os.path.join(self.folder, FILE), 'w', durable=False) as file:
            file.write(text)

    def _picture_section(self):
        names = thinned_out(fakes_of(self.folder))
        self._shown = {name: shown for name, shown in self._shown.items()
                       if name in {*names, REALS, PICTURE}}
        shown = [(name, self._picture(name)) for name in names]
        fakes = [(name, picture) for name, picture in shown if picture is not None]
        return pictures_section(fakes, self._picture(REALS), read_rows(self.folder))

    def add_thumbnail(self, name: str) -> Thumbnail:
        """Update the page's copy of a picture that has just been written, and return a thumbnail.

        Raises:
            OSError: the picture cannot be read.
        """
        self._shown[name] = make_shown(self.folder, name, read_rows(self.folder))
        if self._shown[name].view is None:
            return self._shown[name].thumbnail
        return make_thumbnail(os.path.join(self.folder, name))

    def forget_thumbnail(self, name: str) -> None:
        """Discard the thumbnail of a picture that has been replaced."""
        self._shown.pop(name, None)

    def _picture(self, name: str) -> Shown | None:
        """The page's copy of a picture, created if necessary; None if it cannot be read."""
        if name not in self._shown:
            try:
                self._shown[name] = make_shown(self.folder, name, read_rows(self.folder))
            except (OSError, ValueError, Image.DecompressionBombError):
                return None
        return self._shown[name]

    def _embedded(self, name):
        shown = self._picture(name)
        return None if shown is None else shown.thumbnail.url


# ---------------------------------------------------------------- text

def _progress(status: RunStatus) -> str:
    """Prefix of the page's title: progress of a running run in percent; else ''."""
    if status.state != RUNNING or not status.total_kimg:
        return ''
    return f'{percent_of(status.kimg or 0.0, status.total_kimg)} % '


def _environment_rows(entries):
    """Table rows of the newest entry of environment.json and the number of starts."""
    if not entries:
        return '<tr><td>unknown</td></tr>'
    times = f'{len(entries)} time{"s" if len(entries) > 1 else ""}'
    entry = {**entries[-1], 'started': f'{times}, first {entries[0].get("time")}'}
    return '\n'.join(f'<tr><th scope="row">{html.escape(str(name))}</th>'
                     f'<td>{html.escape(_plain(value))}</td></tr>'
                     for name, value in entry.items())


def _plain(value):
    if isinstance(value, dict):
        return ', '.join(f'{name} {item}' for name, item in value.items())
    return ', '.join(map(str, value)) if isinstance(value, list) else str(value)


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding='utf-8', errors='replace') as file:
            return file.read()
    except OSError:
        return ''
