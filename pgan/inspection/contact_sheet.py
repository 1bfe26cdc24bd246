"""Contact sheet: the first images of a data set as one picture."""
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dataset import TFRecordDataset
from pgan.errors import DataError
from pgan.inspection.class_names import short_label
from pgan.inspection.reading import to_hwc
from pgan.resolutions import log2_of

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

SHEET_PIXELS = 2048  # maximum width and height of a sheet
SHEET_COLUMNS, SHEET_ROWS = 16, 10
SHEET_ENDINGS = ('.png', '.jpg', '.jpeg')
CELL_PIXELS = 96  # Smaller images are enlarged to about this size.
LARGEST_CELL = 256  # Larger images are shown at a lower level of detail.
GAP = 6
CAPTION_PIXELS = 18
FONT_PIXELS = 13
ELLIPSIS = '…'


def check_sheet(sheet: str | os.PathLike, force: bool) -> None:
    """Raise DataError if the contact sheet cannot be written to this path."""
    folder = os.path.dirname(os.path.abspath(sheet))
    if os.path.splitext(sheet)[1].lower() not in SHEET_ENDINGS:
        raise DataError(f'expected a file name for the contact sheet that ends in '
                        f'{", ".join(SHEET_ENDINGS)}, e.g. sheet.png. Received: {sheet!r}.')
    if not os.path.isdir(folder):
        raise DataError(f'cannot write the contact sheet {sheet!r}: there is no folder '
                        f'{folder!r}. Create it, or correct the path.')
    if os.path.isdir(sheet):
        raise DataError(f'{sheet!r} is a folder. Expected a file name for the contact sheet; '
                        'choose another one.')
    if os.path.lexists(sheet) and not force:
        raise DataError(f'the file {sheet!r} exists. Choose another name, or overwrite it '
                        'with --force.')


def sheet_layout(resolution: int, num_images: int) -> tuple[int, int, int, int]:
    """Layout of a contact sheet.

    Returns:
        (lod to read, size of an image on the sheet in pixels, columns, rows).
    """
    shown = min(resolution, LARGEST_CELL)
    cell = shown * max(1, round(CELL_PIXELS / shown))
    columns = min(SHEET_COLUMNS, (SHEET_PIXELS - GAP) // (cell + GAP), num_images)
    rows = min(SHEET_ROWS, (SHEET_PIXELS - GAP) // (cell + CAPTION_PIXELS + GAP),
               -(-num_images // columns))
    return log2_of(resolution // shown), cell, columns, rows


def write_sheet(dset: TFRecordDataset, classes: Sequence[str] | None,
                sheet: str | os.PathLike) -> int:
    """Write a contact sheet of the first images on disk, with their indices and labels.

    Returns:
        The number of images on the sheet.
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
    # The same for all images, so that equal labels are truncated equally.
    room = cell - max(font.getlength(str(number)) for number in range(len(images))) - 8
    for number, (image, label) in enumerate(zip(images, labels)):
        row, column = divmod(number, columns)
        x = GAP + column * (cell + GAP)
        y = GAP + row * (cell + CAPTION_PIXELS + GAP)
        shown = PIL.Image.fromarray(to_hwc(image))
        picture.paste(shown.resize((cell, cell), PIL.Image.Resampling.NEAREST), (x, y))
        draw.text((x + 1, y + cell + 2), str(number), fill='#a0a0a0', font=font)
        draw.text((x + cell - 1, y + cell + 2), cut_to_fit(short_label(label, classes), room, font),
                  fill='white', font=font, anchor='ra')
    array = np.asarray(picture)
    save_image(array if array.ndim == 2 else array.transpose(2, 0, 1), sheet, drange=(0, 255))
    return len(images)


def cut_to_fit(text: str, room: float, font: 'FreeTypeFont | ImageFont') -> str:
    """Truncate a string to a width in pixels, with an ellipsis; '' if not even one letter fits."""
    if font.getlength(text) <= room:
        return text
    fits = [length for length in range(1, min(len(text), int(room)))
            if font.getlength(_cut(text, length)) <= room]
    return _cut(text, fits[-1]) if fits else ''


def _cut(text, length):
    return text[:length].rstrip() + ELLIPSIS
