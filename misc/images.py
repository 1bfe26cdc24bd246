"""Images: ranges, grids, files, mirroring, and text drawn onto video frames.

Arrays are CHW (one image) or NCHW (several). A `drange` is the pair of values that stand for black
and white: [0, 255] on disk, [-1, 1] inside the networks.
"""
import functools
import io
import os
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import PIL.Image
import PIL.ImageFont

from pgan.files import atomic_write
from pgan.pixels import to_uint8

_Values = TypeVar('_Values')  # np.ndarray or tf.Tensor

_FORMATS = {'.jpg': 'JPEG', '.jpeg': 'JPEG', '.png': 'PNG'}


def adjust_dynamic_range(data: _Values, drange_in: Sequence[float],
                         drange_out: Sequence[float]) -> _Values:
    """Map values linearly so that drange_in becomes drange_out. Values outside stay outside.

    Args:
        data: array or tensor of any shape.
        drange_in, drange_out: pairs (low, high).

    Returns:
        The same array if the ranges are equal, else float32 (float64 for float64).
    """
    if list(drange_in) == list(drange_out):
        return data
    in_low, in_high = np.asarray(drange_in, np.float32)
    out_low, out_high = np.asarray(drange_out, np.float32)
    scale = (out_high - out_low) / (in_high - in_low)
    values: Any = data
    return values * scale + (out_low - in_low * scale)


def create_image_grid(images: np.ndarray, grid_size: Sequence[int] | None = None) -> np.ndarray:
    """Put images side by side, row by row; what is left of the grid stays zero.

    Args:
        images: [N, H, W] or [N, C, H, W].
        grid_size: (columns, rows); None for the smallest nearly square grid.

    Returns:
        [H * rows, W * columns] or [C, H * rows, W * columns], of the images' dtype.

    Raises:
        ValueError: another number of axes, or more images than places.
    """
    if images.ndim not in (3, 4):
        raise ValueError('A grid is made of images [N, H, W] or [N, C, H, W]. Received: shape '
                         f'{list(images.shape)}.')
    count, (height, width) = len(images), images.shape[-2:]
    if grid_size is None:
        columns = max(int(np.ceil(np.sqrt(count))), 1)
        rows = max((count - 1) // columns + 1, 1)
    else:
        columns, rows = map(int, grid_size)
    if count > columns * rows:
        raise ValueError(f'{count} images do not fit into a grid of {columns} x {rows}.')
    grid = np.zeros([*images.shape[1:-2], rows * height, columns * width], dtype=images.dtype)
    for index, image in enumerate(images):
        y, x = index // columns * height, index % columns * width
        grid[..., y:y + height, x:x + width] = image
    return grid


def convert_to_pil_image(image: np.ndarray, drange: Sequence[float] = (0, 1)) -> PIL.Image.Image:
    """A PIL image from pixels.

    Args:
        image: [H, W] or [1, H, W] (grayscale), [3, H, W] (RGB) or [4, H, W] (RGBA).
        drange: the pixels' range; values are rounded half to even and clipped to it.

    Raises:
        ValueError: another shape.
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[0] not in (1, 3, 4)):
        raise ValueError('An image is [H, W] or [C, H, W] with 1, 3 or 4 channels. Received: '
                         f'shape {list(image.shape)}.')
    if image.ndim == 3:
        image = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
    image = adjust_dynamic_range(image, drange, [0, 255])
    return PIL.Image.fromarray(np.ascontiguousarray(to_uint8(image)))


def save_image(image: np.ndarray, filename: str | os.PathLike, drange: Sequence[float] = (0, 1),
               quality: int = 95) -> None:
    """Write one image as PNG or JPEG, by the file name's ending; whole or not at all.

    Args:
        image, drange: as in `convert_to_pil_image`.
        filename: ends in .png, .jpg or .jpeg.
        quality: of a JPEG, 1 to 100.
    """
    ending = os.path.splitext(filename)[1].lower()
    if ending not in _FORMATS:
        raise ValueError(f'Images are written as {", ".join(_FORMATS)}. Received: {filename!r}.')
    options: dict[str, Any] = {}
    if _FORMATS[ending] == 'JPEG':
        options = dict(quality=quality, optimize=True, progressive=True)
    encoded = io.BytesIO()  # Writing to the file itself, Pillow would not say why it cannot.
    convert_to_pil_image(image, drange).save(encoded, _FORMATS[ending], **options)
    with atomic_write(filename) as file:
        file.write(encoded.getbuffer())


def save_image_grid(images: np.ndarray, filename: str | os.PathLike,
                    drange: Sequence[float] = (0, 1),
                    grid_size: Sequence[int] | None = None) -> None:
    """Write images as one picture: see `create_image_grid` and `save_image`."""
    save_image(create_image_grid(images, grid_size), filename, drange)


def apply_mirror_augment(minibatch: np.ndarray) -> np.ndarray:
    """Flip each image left to right with probability 1/2.

    It is drawn from NumPy's global generator, one number an image.

    Args:
        minibatch: [N, C, H, W]; left as it is.

    Returns:
        A new array of the same shape and dtype.
    """
    # NumPy's old global generator, so that np.random.seed decides.
    mirrored = np.random.rand(len(minibatch)) < 0.5
    result = np.array(minibatch)
    result[mirrored] = result[mirrored, :, :, ::-1]
    return result


# --------------------------------------------------------------------------------------------------
# Text on images.


@functools.lru_cache(maxsize=100)
def setup_text_label(
    text: str, fontsize: int = 32, padding: int = 6, glow_size: float = 2.0,
    glow_coef: float = 3.0, glow_exp: float = 2.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The text's shape, and a soft shadow around it that keeps it readable on any background.

    Args:
        text: what to write.
        fontsize: in pixels.
        padding: pixels around the text for the shadow.
        glow_size, glow_coef, glow_exp: the shadow's blur in pixels, its strength, and how sharply
            it ends.

    Returns:
        (alpha, glow): coverage by the text and by the shadow, float64 [H, W] in [0, 1]; read-only,
            as they are cached.
    """
    import scipy.ndimage  # takes half as long as all else that `misc` imports
    alpha = np.pad(_render_text(text, fontsize), padding)
    blurred = scipy.ndimage.gaussian_filter(alpha, glow_size)
    glow = 1 - np.maximum(1 - blurred * glow_coef, 0) ** glow_exp
    alpha.flags.writeable = glow.flags.writeable = False
    return alpha, glow


def draw_text_label(img: np.ndarray, text: str, x: float, y: float, alignx: float = 0.5,
                    aligny: float = 0.5, color: float | Sequence[float] | np.ndarray = 255,
                    opacity: float = 1.0, glow_opacity: float = 1.0, **kwargs: Any) -> np.ndarray:
    """Write text onto an image.

    Args:
        img: uint8 [H, W, C]; left as it is. What of the text falls outside is cut off.
        text: what to write.
        x, y: position in pixels.
        alignx, aligny: which point of the text stands there: 0 its left or upper edge, 0.5 its
            middle, 1 its right or lower edge.
        color: 0 to 255, or one such number a channel.
        opacity, glow_opacity: of all, and of the shadow alone; 0 to 1.
        kwargs: for `setup_text_label`.

    Returns:
        The new image, uint8 [H, W, C].
    """
    alpha, glow = setup_text_label(text, **kwargs)
    height, width = alpha.shape
    left, top = int(np.rint(x - width * alignx)), int(np.rint(y - height * aligny))
    rows = slice(max(top, 0), max(min(top + height, img.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + width, img.shape[1]), 0))
    inside = np.s_[max(-top, 0):rows.stop - top, max(-left, 0):columns.stop - left, np.newaxis]
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return np.array(img)
    alpha, glow = alpha[inside] * opacity, glow[inside] * (glow_opacity * opacity)
    result = np.array(img)
    # Background and text are cut to whole numbers one by one, as in the original's frames.
    background = (img[rows, columns] * (1 - glow) * (1 - alpha)).astype(np.uint8)
    result[rows, columns] = background + (np.asarray(color) * alpha).astype(np.uint8)
    return result


def _render_text(text, fontsize):
    """The text in Pillow's own font: float64 [H, W], from 0 (no ink) to 1."""
    font = PIL.ImageFont.load_default(fontsize)
    mask, _offset = font.getmask2(text or ' ', 'L')
    width, height = mask.size
    return np.asarray(mask, dtype=np.float64).reshape(height, width) / 255
