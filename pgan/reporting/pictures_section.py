"""The report's section of pictures: fakes over time, next to reals."""
import glob
import html
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from pgan.data.class_names import ROWS_FILE
from pgan.reporting.image_grids import GridView, page_view
from pgan.reporting.thumbnails import Thumbnail, make_thumbnail

MAX_PICTURES = 24  # on the slider
REALS = 'reals.png'
_LEAST_WIDTH = 256  # screen pixels for a picture that is not a grid


class Row(NamedTuple):
    """The class shown in a row of a grid."""
    number: int
    name: str


class Shown(NamedTuple):
    """A picture on the page.

    Attributes:
        thumbnail: the embedded copy.
        view: the part of the grid that is shown; None = the whole picture.
    """
    thumbnail: Thumbnail
    view: GridView | None


def fakes_of(folder: str) -> list[str]:
    """File names of a run's fakes*.png, sorted by kimg."""
    paths = glob.glob(os.path.join(glob.escape(folder), 'fakes*.png'))
    return sorted(map(os.path.basename, paths), key=kimg_of)


def kimg_of(name: str) -> int:
    """Parse the kimg of a file name: 123 for 'fakes000123.png', -1 for any other name."""
    match = re.fullmatch(r'fakes(\d+)\.png', name)
    return int(match[1]) if match else -1


def read_rows(folder: str) -> list[Row]:
    """Read the class of each row of a run's grids; [] if rows are not classes with names."""
    try:
        with open(os.path.join(folder, ROWS_FILE), encoding='utf-8', errors='replace') as file:
            found = re.findall(r'^row \d+: class (\d+), (.*)$', file.read(), re.MULTILINE)
    except OSError:
        return []
    return [Row(int(number), name) for number, name in found]


def thinned_out(names: Sequence[str], most: int = MAX_PICTURES) -> list[str]:
    """Select at most `most` + 1 of the names: every 1st, 2nd, 4th or 2^k-th, and the last.

    With powers of two the selection rarely changes as the list grows.
    """
    step = 1
    while len(names) > most * step:
        step *= 2
    kept = list(names[::step])
    return kept + [name for name in names[-1:] if name not in kept]


def make_shown(folder: str, name: str, rows: Sequence[Row]) -> Shown:
    """Create the page's copy of a picture in a run's folder.

    Raises:
        OSError, ValueError, DecompressionBombError: the picture cannot be read.
    """
    path = os.path.join(folder, name)
    with Image.open(path) as picture:
        size = picture.size
    view = None
    if name == REALS or kimg_of(name) >= 0:
        view = page_view(size, len(rows), len(set(rows)))
    return Shown(make_thumbnail(path, part=view and view.size), view)


def pictures_section(fakes: Sequence[tuple[str, Shown]], reals: Shown | None,
                     rows: Sequence[Row]) -> str:
    """HTML of the section; '' without pictures.

    Args:
        fakes: (name, picture) of the fakes on the slider, in order.
        reals: the grid of real images, if it exists.
        rows: classes of the grids' rows, if they are classes with names.
    """
    figures = []
    if fakes:
        figures.append(_figure('fakes', 'Fakes', fakes, rows))
    if reals is not None:
        figures.append(_figure('reals', 'Reals', [(REALS, reals)], rows))
    if not figures:
        return ''
    return (f'<h2>Pictures</h2>\n{_slider(fakes) if fakes else ""}'
            f'<div class="pair">{"".join(figures)}</div>')


def _slider(fakes):
    last = f'{kimg_of(fakes[-1][0])} kimg'
    return ('<div class="controls"><button id="play" type="button">Play</button>'
            f'<input id="when" type="range" min="0" max="{len(fakes) - 1}" '
            f'value="{len(fakes) - 1}" aria-label="Fakes after" aria-valuetext="{last}">'
            f'<output id="caption" for="when">{last}</output></div>\n')


def _figure(ident, title, pictures, rows):
    """HTML of one or more grids (all but the last hidden), with the names of their rows, in a box
    that scrolls.
    """
    _, (thumbnail, view) = pictures[-1]
    images = ''.join(_image(name, shown, is_shown=name == pictures[-1][0])
                     for name, shown in pictures)
    fits = ' fit' if _width(thumbnail, view) is None else ''
    return (f'<figure id="{ident}"><figcaption><b>{title}</b>'
            f'<span class="soft">{_part_text(view)}</span></figcaption>'
            f'<div class="scroll"><div class="grid{fits}">'
            f'{_row_list(rows[:view.rows] if view else ())}'
            f'<button class="open" type="button" aria-label="{title}: full size">{images}</button>'
            '</div></div></figure>')


def _part_text(view):
    return f' the first {view.columns} x {view.rows}; click for the whole grid' if view else ''


def _row_list(rows):
    if not rows:
        return ''
    names = ''.join(f'<li title="{html.escape(row.name)}"><span>{html.escape(row.name)}</span></li>'
                    for row in rows)
    return f'<ol class="rows" aria-label="classes of the rows">{names}</ol>'


def _image(name, shown, is_shown):
    """HTML of an image, at its size in screen pixels."""
    thumbnail, view = shown
    width, height = thumbnail.size
    scaled = _width(thumbnail, view)
    style = f' style="width:{scaled}px"' if scaled else ''
    text = 'reals' if name == REALS else f'{kimg_of(name)} kimg'
    return (f'<img id="{html.escape(os.path.splitext(name)[0])}" src="{thumbnail.url}" '
            f'alt="{text}" width="{width}" height="{height}"{style}'
            f'{"" if is_shown else " hidden"}>')


def _width(thumbnail, view):
    """Width in screen pixels; None = fit the available width."""
    if view is not None:
        return view.scale * view.size[0] or None
    width = thumbnail.size[0]
    return width * max(1, _LEAST_WIDTH // width) if width <= _LEAST_WIDTH else None
