"""The first images of a data set as one picture."""
import os
from collections.abc import Sequence

import numpy as np

from dataset import TFRecordDataset
from pgan.errors import DataError
from pgan.inspection.class_names import short_label
from pgan.inspection.reading import to_hwc
from pgan.resolutions import log2_of

SHEET_PIXELS = 2048  # no sheet is wider or higher
SHEET_COLUMNS, SHEET_ROWS = 16, 10
SHEET_ENDINGS = ('.png', '.jpg', '.jpeg')
CELL_PIXELS = 96  # smaller images are enlarged to about this,
LARGEST_CELL = 256  # and of larger ones than this a lower level is shown
GAP = 6
CAPTION_PIXELS = 18
FONT_PIXELS = 13


def check_sheet(sheet: str | os.PathLike, force: bool) -> None:
    """See to it that a picture may be written there, before any work."""
    folder = os.path.dirname(os.path.abspath(sheet))
    if os.path.splitext(sheet)[1].lower() not in SHEET_ENDINGS:
        raise DataError(f'a contact sheet is written as {", ".join(SHEET_ENDINGS)}. Received: '
                        f'{sheet!r}. Choose a name with one of these endings, e.g. sheet.png.')
    if not os.path.isdir(folder):
        raise DataError(f'the contact sheet {sheet!r} cannot be written: there is no folder '
                        f'{folder!r}. Make it, or correct the path.')
    if os.path.isdir(sheet):
        raise DataError(f'{sheet!r} is a folder. Expected the name of a file for the contact '
                        'sheet; choose another one.')
    if os.path.lexists(sheet) and not force:
        raise DataError(f'the file {sheet!r} exists. Choose another name, or overwrite it with '
                        '--force.')


def sheet_layout(resolution: int, num_images: int) -> tuple[int, int, int, int]:
    """How a contact sheet is laid out.

    Returns:
        (lod to read, side of an image on the sheet in pixels, columns, rows).
    """
    shown = min(resolution, LARGEST_CELL)
    cell = shown * max(1, round(CELL_PIXELS / shown))
    columns = min(SHEET_COLUMNS, (SHEET_PIXELS - GAP) // (cell + GAP), num_images)
    rows = min(SHEET_ROWS, (SHEET_PIXELS - GAP) // (cell + CAPTION_PIXELS + GAP),
               -(-num_images // columns))
    return log2_of(resolution // shown), cell, columns, rows


def write_sheet(dset: TFRecordDataset, classes: Sequence[str] | None,
                sheet: str | os.PathLike) -> int:
    """Write the first images, in the order on disk, with their numbers and labels.

    Returns:
        How many images are on the sheet.
    """
    import PIL.Image
    import PIL.ImageDraw
    import PIL.ImageFont

    from misc.images import save_image
    lod, cell, columns, rows = sheet_layout(dset.resolution, dset.num_images)
    images, labels = dset.get_minibatch_np(columns * rows, lod)
    size = (columns * (cell + GAP) + GAP, rows * (cell + CAPTION_PIXELS + GAP) + GAP)
    picture = PIL.Image.new('L' if dset.shape[0] == 1 else 'RGB', size, '#303030')
    draw, font = PIL.ImageDraw.Draw(picture), PIL.ImageFont.load_default(FONT_PIXELS)
    for number, (image, label) in enumerate(zip(images, labels)):
        row, column = divmod(number, columns)
        x = GAP + column * (cell + GAP)
        y = GAP + row * (cell + CAPTION_PIXELS + GAP)
        shown = PIL.Image.fromarray(to_hwc(image))
        picture.paste(shown.resize((cell, cell), PIL.Image.Resampling.NEAREST), (x, y))
        _draw_caption(draw, font, (x, y + cell, cell), str(number), short_label(label, classes))
    array = np.asarray(picture)
    save_image(array if array.ndim == 2 else array.transpose(2, 0, 1), sheet, drange=(0, 255))
    return len(images)


def _draw_caption(draw, font, place, number, label):
    """Write an image's number at the left and its label, as much of it as fits, at the right.

    place: (x, y, width) in pixels.
    """
    x, y, width = place
    draw.text((x + 1, y + 2), number, fill='#a0a0a0', font=font)
    room = width - font.getlength(number) - 8
    length = len(label)
    while length and font.getlength(_cut(label, length)) > room:
        length -= 1
    draw.text((x + width - 1, y + 2), _cut(label, length), fill='white', font=font, anchor='ra')


def _cut(text, length):
    if length == len(text):
        return text
    return text[:length] + '..' if length else ''
