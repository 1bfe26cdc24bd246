"""Types of the scripts' options, see `pgan.options`, and checks that combine options.

Imports nothing heavy, as the command line reads the types for its help.
"""
import functools
import os
import re
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pgan.errors import ConfigError, expect
from pgan.files import short_name
from pgan.options import Such, is_integer

if TYPE_CHECKING:
    from tfutil import Network

_VIDEO_ENDINGS = ('.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi')
_OF_TRAINING = ('log.txt', 'config.txt', '_training-done.txt')
LARGEST_PICTURE = 3840, 2160  # pixels across and down, if image_shrink is None
SMALLEST_FRAME = 256  # pixels, if image_zoom is None


def _is_file_name(value):
    return not {'\0', '/', '\\'} & set(value)


def _is_video_name(value):
    return _is_file_name(value) and os.path.splitext(value)[1].lower() in _VIDEO_ENDINGS


def _is_log_name(value):
    return re.fullmatch(r'[\w. ()+-]+\.txt', value) and value not in _OF_TRAINING


def _stem(value):
    """Return a file's name without folder and ending, with unsafe characters replaced."""
    name = os.path.splitext(os.path.basename(value.rstrip('/\\')))[0]
    return re.sub(r'[^\w ()+-]', '-', name)


def _video_meant(value):
    return f'{_stem(value) or "video"}.mp4' if isinstance(value, str) else None


def _log_meant(value):
    if not isinstance(value, str):
        return None
    name = f'{_stem(value)}.txt'
    return name if _is_log_name(name) else f'metric-{name}'


def _without_folder(value):
    name = os.path.basename(value.rstrip('/\\')) if isinstance(value, str) else ''
    return name or None


def size_pair(text: str) -> list[int] | None:
    """Parse '15x8', '15 x 8', '15,8' or '15 8', optionally in brackets, to [15, 8]; else None."""
    match = re.fullmatch(r'\s*[\[(]?\s*(\d{1,9})\s*[xX\u00d7*,;\s]\s*(\d{1,9})\s*[\])]?\s*', text)
    return [int(match[1]), int(match[2])] if match else None


def name_list(text: str) -> list[str] | None:
    """Parse 'swd fid', 'swd,fid' or "['swd', 'fid']" to ['swd', 'fid']; else None."""
    words = [word.strip('\'"') for word in re.split(r'[\s,;]+', text.strip(' ()[],;'))]
    return words if all(re.fullmatch(r'[\w.]+', word) for word in words) else None


def _is_class(value):
    is_number = is_integer(value) and value >= 0
    return value is None or is_number or isinstance(value, str) and value != ''


def _are_seeds(value):
    """Whether all are strings and integers. Raises ConfigError if they are not valid seeds."""
    if not _are_texts_or_integers(value):
        return False
    from pgan.scripts.seeds import seed_list  # imports NumPy, which help does not need
    seed_list(value)  # raises ConfigError that names the invalid part
    return True


def _are_texts_or_integers(value):
    if isinstance(value, (list, tuple)):
        return all(map(_are_texts_or_integers, value))
    return isinstance(value, str) or is_integer(value)


@functools.cache
def _has_encoder(name):
    """Whether moviepy's ffmpeg has a video encoder of this name."""
    if not re.fullmatch(r'[\w-]+', name):
        return False
    try:
        from moviepy.config import FFMPEG_BINARY
    except ImportError as error:
        raise ConfigError('writing videos needs the package moviepy, which is not installed: run '
                          "'pip install -r requirements-pip.txt'.") from error
    said = subprocess.run([FFMPEG_BINARY, '-hide_banner', '-encoders'], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL).stdout
    return re.search(rf'^ V\S+ {re.escape(name)} ', said, re.MULTILINE) is not None


RunId = int | str
ClassLabel = Annotated[int | str | None, Such(
    'a class by its number, an integer of at least 0, or by its name', _is_class)]
Labels = Annotated[int | str | None, Such(
    "'rows', or a class by its number, an integer of at least 0, or by its name", _is_class)]
GridSize = Annotated[list[int], Such(
    'images across and down, two integers of at least 1, e.g. [15, 8]; on a command line also 15x8',
    lambda value: len(value) == 2 and min(value) >= 1, read=size_pair)]
Seeds = Annotated[list[Any] | str | int, Such(
    "seeds and ranges of seeds like '1-20,42', a list of seeds, or one integer", _are_seeds)]
FileName = Annotated[str, Such(
    'a file name without a folder, as it goes into the result folder', _is_file_name,
    meant=_without_folder)]
VideoName = Annotated[str, Such(
    f'a file name that ends in {", ".join(_VIDEO_ENDINGS)}, without a folder, as it goes into the '
    'result folder', _is_video_name, meant=_video_meant)]
LogName = Annotated[str, Such(
    "a file name that ends in .txt, without a folder, e.g. 'metric-swd-16k.txt', but not of a file "
    'that training has written', _is_log_name, meant=_log_meant)]
MetricNames = Annotated[list[str], Such(
    "a list of names, e.g. ['swd']; on a command line swd fid or swd,fid", bool, read=name_list)]
Codec = Annotated[str, Such(
    "an encoder that the installed ffmpeg has, e.g. 'libx264', 'libx265' or 'mpeg4'", _has_encoder)]
Bitrate = Annotated[str, Such(
    "bits per second as a string like '16M' or '500k'",
    lambda value: re.fullmatch(r'[1-9]\d*(\.\d+)?[kKM]?', value))]


def name_of_label(label: int | str | None) -> str:
    """Return a choice of labels for file names: 'class-3', 'temple', 'rows'; '' for None."""
    if label is None:
        return ''
    text = f'class-{label}' if is_integer(label) else str(label)
    return short_name(re.sub(r'[\0-\x1f\x7f/\\]+', '-', text), 60)


def chosen_shrink(Gs: 'Network', image_shrink: int | None, grid_size: Sequence[int]) -> int:
    """Return the shrink factor of images.

    Args:
        image_shrink: the user's factor; None = the smallest power of two for which the whole grid
            fits into LARGEST_PICTURE.
        grid_size: images across and down.

    Raises:
        ConfigError: the factor exceeds the generator's resolution.
    """
    resolution = Gs.output_shape[-1]
    if image_shrink is None:
        image_shrink = 1
        while image_shrink < resolution and any(
                resolution // image_shrink * count > most
                for count, most in zip(grid_size, LARGEST_PICTURE)):
            image_shrink *= 2
    expect(image_shrink <= resolution, 'train.image_shrink', f'an integer from 1 to {resolution}, '
           f'as the images are {resolution} pixels wide', image_shrink)
    return image_shrink


def chosen_zoom(image_zoom: int | None, frame_size: Sequence[int]) -> int:
    """Return the zoom factor of a video's frames.

    Args:
        image_zoom: the user's factor; None = the smallest for which both sides are at least
            SMALLEST_FRAME pixels, limited so that the frame fits into LARGEST_PICTURE.
        frame_size: width and height without zoom.
    """
    if image_zoom is not None:
        return image_zoom
    fitting = min(most // size for size, most in zip(frame_size, LARGEST_PICTURE))
    return max(min(-(-SMALLEST_FRAME // min(frame_size)), fitting), 1)


def frame_count(duration_sec: float, fps: float) -> int:
    """Return the number of frames of a video; raise ConfigError if it is zero."""
    count = int(round(duration_sec * fps))
    expect(count >= 1, 'train.duration_sec', 'the length of at least one frame, '
           f'{1 / fps:.3f} seconds at train.mp4_fps = {fps}', duration_sec)
    return count
