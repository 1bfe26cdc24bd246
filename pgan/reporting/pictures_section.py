"""The report's section of pictures: fakes over time, beside reals."""
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

MAX_PICTURES = 24  # that the slider goes through
REALS = 'reals.png'
_LEAST_WIDTH = 256  # pixels of the screen for a picture that is no grid


class Row(NamedTuple):
    """What a row of a grid shows: the class's number and name."""
    number: int
    name: str


class Shown(NamedTuple):
    """A picture of the page.

    Attributes:
        thumbnail: what is embedded.
        view: the part of the grid that it is; None = the whole picture.
    """
    thumbnail: Thumbnail
    view: GridView | None


def fakes_of(folder: str) -> list[str]:
    """Names of a run's fakes*.png, in the order in which they were drawn."""
    paths = glob.glob(os.path.join(glob.escape(folder), 'fakes*.png'))
    return sorted(map(os.path.basename, paths), key=kimg_of)


def kimg_of(name: str) -> int:
    """123 of 'fakes000123.png'; -1 of a file with another name."""
    match = re.fullmatch(r'fakes(\d+)\.png', name)
    return int(match[1]) if match else -1


def read_rows(folder: str) -> list[Row]:
    """What each row of a run's grids shows; [] if rows are no classes, or have no names."""
    try:
        with open(os.path.join(folder, ROWS_FILE), encoding='utf-8', errors='replace') as file:
            found = re.findall(r'^row \d+: class (\d+), (.*)$', file.read(), re.MULTILINE)
    except OSError:
        return []
    return [Row(int(number), name) for number, name in found]


def thinned_out(names: Sequence[str], most: int = MAX_PICTURES) -> list[str]:
    """At most `most` + 1 of the names: every 1st, 2nd, 4th, ..., and the last.

    So the choice seldom changes as their number grows.
    """
    step = 1
    while len(names) > most * step:
        step *= 2
    kept = list(names[::step])
    return kept + [name for name in names[-1:] if name not in kept]


def make_shown(folder: str, name: str, rows: Sequence[Row]) -> Shown:
    """Make what the page shows of a picture in a run's folder.

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
        fakes: (name, picture) of those that are shown, in order.
        reals: the grid of real images.
        rows: what the rows of the grids show, if they are classes with names.
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
    """A grid, or one over time, with the names of its rows, in a box that scrolls."""
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
    return f' the first {view.columns} x {view.rows}; all on a click' if view else ''


def _row_list(rows):
    if not rows:
        return ''
    names = ''.join(f'<li title="{html.escape(row.name)}"><span>{html.escape(row.name)}</span></li>'
                    for row in rows)
    return f'<ol class="rows" aria-label="classes of the rows">{names}</ol>'


def _image(name, shown, is_shown):
    """An image of the size at which its pixels stand on the screen."""
    thumbnail, view = shown
    width, height = thumbnail.size
    scaled = _width(thumbnail, view)
    style = f' style="width:{scaled}px"' if scaled else ''
    text = 'reals' if name == REALS else f'{kimg_of(name)} kimg'
    return (f'<img id="{html.escape(os.path.splitext(name)[0])}" src="{thumbnail.url}" '
            f'alt="{text}" width="{width}" height="{height}"{style}'
            f'{"" if is_shown else " hidden"}>')


def _width(thumbnail, view):
    """Pixels of the screen; None = as wide as there is room."""
    if view is not None:
        return view.scale * view.size[0] or None
    width = thumbnail.size[0]
    return width * max(1, _LEAST_WIDTH // width) if width <= _LEAST_WIDTH else None
