"""The picture of fakes next to their nearest training images."""
import io
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import misc
from pgan.files import atomic_write
from pgan.pixels import repeat_pixels
from pgan.reporting.nearest import Found

FONT = 13  # pixels
MARGIN, GAP = 8, 24  # pixels around the picture, and between its parts
NARROWEST = 96  # minimum width of a column in pixels, for its caption
LINE = FONT + 5


def save_picture(path: str | os.PathLike, fakes: np.ndarray, found: Sequence[Found],
                 titles: Sequence[str], shrink: int = 1, zoom: int = 1) -> None:
    """Write a PNG with one row per fake: the fake, then its neighbours in each space.

    The caption of a neighbour is its distance, in units of the typical distance of a training image
    to its nearest other one, and its index in the data set ('m' if it is mirrored).

    Args:
        path: path of the file.
        fakes: uint8 [N, C, R, R].
        found: the neighbours in each space.
        titles: title of each fake, e.g. 'seed 42'.
        shrink: factor by which images are downscaled.
        zoom: factor by which pixels are then repeated.
    """
    side = fakes.shape[-1] // shrink * zoom
    column, row = max(side, NARROWEST) + MARGIN, side + LINE + MARGIN
    counts = [each.numbers.shape[1] for each in found]
    font = ImageFont.load_default(FONT)
    margin = MARGIN + max(int(font.getlength(title)) for title in titles) + MARGIN
    lefts, x = [], margin + column + GAP
    for count in counts:
        lefts.append(x)
        x += count * column + GAP
    picture = Image.new('RGB', (x - GAP + MARGIN, 2 * LINE + MARGIN + row * len(fakes)), 'white')
    draw = ImageDraw.Draw(picture)

    def write(x, y, text):
        draw.text((x, y), text, fill='black', font=font)

    def put(x, y, image):
        picture.paste(_enlarged(image, shrink, zoom), (x, y))
    write(margin, MARGIN, 'fakes')
    for left, each in zip(lefts, found):
        write(left, MARGIN, f'nearest training images by {each.words}')
        write(left, MARGIN + LINE, '1.00 = a training image to its nearest other')
    for index, (fake, title) in enumerate(zip(fakes, titles)):
        y = 2 * LINE + MARGIN + index * row
        write(MARGIN, y + max(side - LINE, 0) // 2, title)
        put(margin, y, fake)
        for left, each in zip(lefts, found):
            for k, number in enumerate(each.numbers[index]):
                if number >= 0:
                    flip = each.is_mirrored[index, k]
                    image = each.images[int(number)]
                    put(left + k * column, y, image[..., ::-1] if flip else image)
                    caption = f'{each.ratios[index, k]:.2f}  #{number}{" m" if flip else ""}'
                    write(left + k * column, y + side, caption)
    data = io.BytesIO()
    picture.save(data, 'PNG')
    with atomic_write(path) as file:
        file.write(data.getbuffer())


def _enlarged(image, shrink, zoom):
    size = image.shape[-1] // shrink * shrink
    boxes = image[:, :size, :size].reshape(len(image), size // shrink, shrink, size // shrink,
                                           shrink)
    small = boxes.mean(axis=(2, 4))
    return misc.convert_to_pil_image(repeat_pixels(small, zoom), [0, 255]).convert('RGB')
