"""Images: dynamic range, grids, files, mirroring, and text labels on video frames.

Arrays are CHW (one image) or NCHW (a batch). A `drange` is the pair of values that represent black
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
    """Map values linearly from drange_in to drange_out. Values are not clipped.

    Args:
        data: array or tensor of any shape.
        drange_in, drange_out: pairs (low, high).

    Returns:
        `data` itself if the ranges are equal, else float32 (float64 for float64 input).
    """
    if list(drange_in) == list(drange_out):
        return data
    in_low, in_high = np.asarray(drange_in, np.float32)
    out_low, out_high = np.asarray(drange_out, np.float32)
    scale = (out_high - out_low) / (in_high - in_low)
    values: Any = data
    return values * scale + (out_low - in_low * scale)


def create_image_grid(images: np.ndarray, grid_size: Sequence[int] | None = None) -> np.ndarray:
    """Tile images into a grid, row by row. Unused cells are zero.

    Args:
        images: [N, H, W] or [N, C, H, W].
        grid_size: (columns, rows); None for the smallest nearly square grid.

    Returns:
        [H * rows, W * columns] or [C, H * rows, W * columns], of the images' dtype.

    Raises:
        ValueError: `images` has another rank, or the grid has fewer cells than there are images.
    """
    if images.ndim not in (3, 4):
        raise ValueError('Expected images of shape [N, H, W] or [N, C, H, W]. Received: shape '
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
    """Convert an array to a PIL image.

    Args:
        image: [H, W] or [1, H, W] (grayscale), [3, H, W] (RGB) or [4, H, W] (RGBA).
        drange: range of the pixel values. After mapping to [0, 255], values are rounded half to
            even and clipped.

    Raises:
        ValueError: `image` has another shape.
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[0] not in (1, 3, 4)):
        raise ValueError('Expected an image of shape [H, W] or [C, H, W] with 1, 3 or 4 channels. '
                         f'Received: shape {list(image.shape)}.')
    if image.ndim == 3:
        image = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
    image = adjust_dynamic_range(image, drange, [0, 255])
    return PIL.Image.fromarray(np.ascontiguousarray(to_uint8(image)))


def save_image(image: np.ndarray, filename: str | os.PathLike, drange: Sequence[float] = (0, 1),
               quality: int = 95) -> None:
    """Write one image atomically, as PNG or JPEG depending on the file extension.

    Args:
        image, drange: see `convert_to_pil_image`.
        filename: path ending in .png, .jpg or .jpeg.
        quality: JPEG quality, 1 to 100; ignored for PNG.

    Raises:
        ValueError: another extension.
    """
    ending = os.path.splitext(filename)[1].lower()
    if ending not in _FORMATS:
        raise ValueError(f'Expected a file name ending in {", ".join(_FORMATS)}. Received: '
                         f'{filename!r}.')
    options: dict[str, Any] = {}
    if _FORMATS[ending] == 'JPEG':
        options = dict(quality=quality, optimize=True, progressive=True)
    encoded = io.BytesIO()  # Pillow hides the reason when it fails to write to a file itself.
    convert_to_pil_image(image, drange).save(encoded, _FORMATS[ending], **options)
    with atomic_write(filename) as file:
        file.write(encoded.getbuffer())


def save_image_grid(images: np.ndarray, filename: str | os.PathLike,
                    drange: Sequence[float] = (0, 1),
                    grid_size: Sequence[int] | None = None) -> None:
    """Tile images into a grid and write it; see `create_image_grid` and `save_image`."""
    save_image(create_image_grid(images, grid_size), filename, drange)


def apply_mirror_augment(minibatch: np.ndarray) -> np.ndarray:
    """Flip each image horizontally with probability 1/2.

    Draws one number per image from NumPy's global generator.

    Args:
        minibatch: [N, C, H, W]; not modified.

    Returns:
        A new array of the same shape and dtype.
    """
    # NumPy's legacy global generator, so that np.random.seed makes the result reproducible.
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
    """Masks of a text label: its glyphs, and a soft shadow for contrast on any background.

    Args:
        text: the label.
        fontsize: in pixels.
        padding: margin around the text for the shadow, in pixels.
        glow_size, glow_coef, glow_exp: blur of the shadow in pixels, its strength, and the
            sharpness of its edge.

    Returns:
        (alpha, glow): coverage by the text and by the shadow, float64 [H, W] in [0, 1]. Both are
            cached, hence read-only.
    """
    import scipy.ndimage  # Imported here: it takes half the time of all other imports of `misc`.
    alpha = np.pad(_render_text(text, fontsize), padding)
    blurred = scipy.ndimage.gaussian_filter(alpha, glow_size)
    glow = 1 - np.maximum(1 - blurred * glow_coef, 0) ** glow_exp
    alpha.flags.writeable = glow.flags.writeable = False
    return alpha, glow


def draw_text_label(img: np.ndarray, text: str, x: float, y: float, alignx: float = 0.5,
                    aligny: float = 0.5, color: float | Sequence[float] | np.ndarray = 255,
                    opacity: float = 1.0, glow_opacity: float = 1.0, **kwargs: Any) -> np.ndarray:
    """Draw a text label onto an image, clipped at the image's borders.

    Args:
        img: uint8 [H, W, C]; not modified.
        text: the label.
        x, y: position in pixels.
        alignx, aligny: point of the label placed at (x, y): 0 for its left or upper edge, 0.5 for
            its centre, 1 for its right or lower edge.
        color: 0 to 255; one number, or one per channel.
        opacity, glow_opacity: opacity of the whole label, and an additional factor for the shadow;
            0 to 1.
        kwargs: passed to `setup_text_label`.

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
    # Background and text are each truncated to integers, as in the original's frames.
    background = (img[rows, columns] * (1 - glow) * (1 - alpha)).astype(np.uint8)
    result[rows, columns] = background + (np.asarray(color) * alpha).astype(np.uint8)
    return result


def _render_text(text, fontsize):
    """Coverage of the text in Pillow's default font: float64 [H, W] in [0, 1]."""
    font = PIL.ImageFont.load_default(fontsize)
    mask, _offset = font.getmask2(text or ' ', 'L')
    width, height = mask.size
    return np.asarray(mask, dtype=np.float64).reshape(height, width) / 255
