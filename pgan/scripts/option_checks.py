"""Checks of the scripts' options, made before any work."""
import math
import numbers
import os

from pgan.errors import ConfigError

VIDEO_ENDINGS = ('.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi')


def expect(condition, name, expected, received):
    """Raise ConfigError 'train.<name>: expected ...' unless the condition holds."""
    if not condition:
        raise ConfigError(f'train.{name}: expected {expected}. Received: {received!r}.')


def is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def expect_integers(lowest, **values):
    """Each value is an integer and at least `lowest`."""
    for name, value in values.items():
        expect(
            is_integer(value) and value >= lowest, name, f'an integer of at least {lowest}', value)


def expect_number(name, value, lowest=0, above=False):
    """A finite number of at least `lowest`, or above it."""
    is_number = isinstance(value,
                           numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    fits = is_number and (value > lowest if above else value >= lowest)
    expect(fits, name, f'a number {"above" if above else "of at least"} {lowest}', value)


def expect_grid(grid_size):
    """[columns, rows], each at least 1."""
    fits = isinstance(grid_size, (list, tuple)) and len(grid_size) == 2 and all(
        is_integer(size) and size >= 1 for size in grid_size)
    expect(fits, 'grid_size', 'images across and down as two integers of at least 1, e.g. [15, 8]',
           grid_size)


def expect_seed(random_seed):
    expect(
        is_integer(random_seed) and 0 <= random_seed < 2**32, 'random_seed',
        'an integer from 0 to 4294967295', random_seed)


def expect_file_name(name, value, endings=()):
    """None, or a file name without a folder; given endings, with one of them."""
    plain = isinstance(value, str) and not {'\0', '/', '\\'} & set(value)
    fits = plain and (not endings or os.path.splitext(value)[1].lower() in endings)
    ending = f' that ends in {", ".join(endings)}' if endings else ''
    expect(value is None or fits, name, f'None or a file name{ending}, without a folder, as it '
                                        'goes into the result folder', value)


def expect_shrink(Gs, image_shrink):
    """The generator's images can be averaged down by `image_shrink`."""
    resolution = Gs.output_shape[-1]
    expect(resolution % image_shrink == 0, 'image_shrink', f'a power of two up to {resolution}, as '
           f'the images are {resolution} pixels wide', image_shrink)


def frame_count(duration_sec, fps):
    """The number of frames of a video, at least one."""
    expect_number('duration_sec', duration_sec, above=True)
    count = int(round(duration_sec * fps))
    expect(count >= 1, 'duration_sec', f'the length of at least one frame, {1 / fps:.3f} seconds '
                                       f'at train.mp4_fps = {fps}', duration_sec)
    return count
