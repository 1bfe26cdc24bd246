"""Types of the scripts' options, see `pgan.options`, and checks of options together.

Imports nothing heavy: the command line reads the types for its help.
"""
import functools
import os
import re
import subprocess
from typing import TYPE_CHECKING, Annotated, Any

from pgan.errors import ConfigError, expect
from pgan.options import Such, is_integer

if TYPE_CHECKING:
    from tfutil import Network

_VIDEO_ENDINGS = ('.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi')
_OF_TRAINING = ('log.txt', 'config.txt', '_training-done.txt')


def _is_file_name(value):
    return not {'\0', '/', '\\'} & set(value)


def _is_video_name(value):
    return _is_file_name(value) and os.path.splitext(value)[1].lower() in _VIDEO_ENDINGS


def _is_log_name(value):
    return re.fullmatch(r'[\w. ()+-]+\.txt', value) and value not in _OF_TRAINING


def _is_class(value):
    is_number = is_integer(value) and value >= 0
    return value is None or is_number or isinstance(value, str) and value != ''


@functools.cache
def _has_encoder(name):
    """Whether the ffmpeg that moviepy runs has a video encoder of this name."""
    if not re.fullmatch(r'[\w-]+', name):
        return False
    try:
        from moviepy.config import FFMPEG_BINARY
    except ImportError as error:
        raise ConfigError('videos are written by the package moviepy, which is not installed: run '
                          "'pip install -r requirements-pip.txt'.") from error
    said = subprocess.run([FFMPEG_BINARY, '-hide_banner', '-encoders'], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL).stdout
    return re.search(rf'^ V\S+ {re.escape(name)} ', said, re.MULTILINE) is not None


RunId = int | str
ClassLabel = Annotated[Any, Such('a class by its number, an integer of at least 0, or by its name',
                                 _is_class)]
Labels = Annotated[Any, Such("'rows', or a class by its number, an integer of at least 0, or by "
                             'its name', _is_class)]
GridSize = Annotated[list[int], Such(
    'images across and down as two integers of at least 1, e.g. [15, 8]',
    lambda value: len(value) == 2 and min(value) >= 1)]
FileName = Annotated[str, Such(
    'a file name without a folder, as it goes into the result folder', _is_file_name)]
VideoName = Annotated[str, Such(
    f'a file name that ends in {", ".join(_VIDEO_ENDINGS)}, without a folder, as it goes into the '
    'result folder', _is_video_name)]
LogName = Annotated[str, Such(
    "a file name that ends in .txt, without a folder, e.g. 'metric-swd-16k.txt', but not of a file "
    'that training has written', _is_log_name)]
MetricNames = Annotated[list[str], Such("a list of names, e.g. ['swd']", bool)]
Codec = Annotated[str, Such(
    "an encoder that the installed ffmpeg has, e.g. 'libx264', 'libx265' or 'mpeg4'", _has_encoder)]
Bitrate = Annotated[str, Such(
    "bits per second as a string like '16M' or '500k'",
    lambda value: re.fullmatch(r'[1-9]\d*(\.\d+)?[kKM]?', value))]


def expect_shrink(Gs: 'Network', image_shrink: int) -> None:
    """The generator's images can be averaged down by `image_shrink`."""
    resolution = Gs.output_shape[-1]
    expect(resolution % image_shrink == 0, 'train.image_shrink', f'a power of two up to '
           f'{resolution}, as the images are {resolution} pixels wide', image_shrink)


def frame_count(duration_sec: float, fps: float) -> int:
    """The number of frames of a video, at least one."""
    count = int(round(duration_sec * fps))
    expect(count >= 1, 'train.duration_sec', 'the length of at least one frame, '
           f'{1 / fps:.3f} seconds at train.mp4_fps = {fps}', duration_sec)
    return count
