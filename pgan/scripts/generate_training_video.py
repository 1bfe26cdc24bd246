"""Video of how the images developed during training."""
import bisect
import functools
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

import misc
from pgan.errors import DataError
from pgan.files import short_name
from pgan.options import Count, Positive
from pgan.pixels import box_average
from pgan.scripts import generator
from pgan.scripts.option_checks import Bitrate, Codec, RunId, VideoName, frame_count
from pgan.scripts.script import script
from pgan.scripts.video import write_video

MAX_WIDTH, MAX_HEIGHT = 1920, 1080  # larger pictures are halved until they fit
MARGIN_X, MARGIN_Y = 16, 4  # pixels between the picture's edges and the labels

# At most nine digits per number: only damaged logs have more.
_TICK = re.compile(
    r'^tick +\d+ +kimg +(?P<kimg>\d{1,9}(?:\.\d{1,9})?) +lod +(?P<lod>\d{1,2}\.\d{1,9}) .*?\btime +'
    r'(?P<time>(?=\d)(?:\d{1,9}d )?(?:\d{1,9}h )?(?:\d{1,9}m)?(?: ?\d{1,9}s)?) +sec/tick ',
    re.MULTILINE | re.ASCII)
_UNITS = {'d': 24 * 60 * 60, 'h': 60 * 60, 'm': 60, 's': 1}


@script
def generate_training_video(
    run_id: RunId,
    duration_sec: Positive = 20.0,
    time_warp: Positive = 1.5,
    mp4: VideoName | None = None,
    mp4_fps: Count = 30,
    mp4_codec: Codec = 'libx264',
    mp4_bitrate: Bitrate = '16M',
    *,
    config: Any = None,
) -> str:
    """Write a video of a run's fakes*.png, labelled with lod, time and kimg.

    Args:
        run_id: the run's number, name or folder.
        duration_sec: length of the video in seconds.
        time_warp: at second t, the video shows the run after the fraction (t / duration_sec) ^
            time_warp of its time; above 1, the start is shown more slowly.
        mp4: file name; None = the run's name with '-train.mp4'.
        mp4_fps: frames per second.
        mp4_codec: video encoder.
        mp4_bitrate: bitrate of the video.
        config: configuration like config.py; None = the module `config`. Uses result_dir and desc.

    Returns:
        The result folder's path.

    Raises:
        ConfigError: an option cannot be used; nothing has been written.
        DataError: there is no such run, it has no log or no pictures, or a file cannot be written.
    """
    num_frames = frame_count(duration_sec, mp4_fps)
    run_dir = misc.locate_result_subdir(run_id, config.result_dir)
    snapshots = find_snapshots(run_dir)
    mp4 = mp4 or short_name(os.path.basename(os.path.abspath(run_dir))) + '-train.mp4'
    result_subdir = generator.new_result_folder(config)
    frames = TrainingFrames(snapshots, duration_sec, time_warp)
    write_video(os.path.join(result_subdir, mp4), lambda index: frames.at(index / mp4_fps),
                num_frames, mp4_fps, mp4_codec, mp4_bitrate)
    generator.mark_done(result_subdir)
    return result_subdir


# --------------------------------------------------------------------------------------------------
# Log and pictures of a run.

class Tick(NamedTuple):
    """Tick line of log.txt.

    Attributes:
        kimg: thousands of images shown.
        lod: level of detail, as written in the log.
        time: seconds since the start.
    """
    kimg: float
    lod: str
    time: float


class Snapshots(NamedTuple):
    """Pictures of a run.

    Attributes:
        ticks: the ticks that have a picture.
        paths: paths of the pictures.
        total_time: seconds of the whole run.
    """
    ticks: list[Tick]
    paths: list[str]
    total_time: float


def parse_log(text: str) -> list[Tick]:
    """Return the ticks of a log, in order.

    Ticks that a resumed run repeats replace the earlier ones. If the clock of a resumed run starts
    at zero, the time of the last tick before it is added.
    """
    ticks: list[Tick] = []
    offset = 0.0
    for match in _TICK.finditer(text):
        tick = Tick(float(match['kimg']), match['lod'], parse_time(match['time']) + offset)
        while ticks and ticks[-1].kimg >= tick.kimg:
            ticks.pop()
        if ticks and tick.time < ticks[-1].time:
            tick = tick._replace(time=tick.time - offset + ticks[-1].time)
            offset = ticks[-1].time
        ticks.append(tick)
    return ticks


def parse_time(text: str) -> float:
    """Parse a duration written by `misc.format_time`, e.g. '1h 01m 15s', to seconds."""
    return float(
        sum(int(number) * _UNITS[unit] for number, unit in re.findall(r'(\d+)([dhms])', text)))


def find_snapshots(run_dir: str) -> Snapshots:
    """Return the ticks and pictures of a run.

    Raises:
        DataError: there is no log.txt, it has no tick lines, or no tick has a picture.
    """
    path = os.path.join(run_dir, 'log.txt')
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            ticks = parse_log(file.read())
    except OSError as error:
        raise DataError(f'Cannot read {path!r}, which tells when each picture was made: '
                        f'{error.strerror or error}. Choose a run of train.train_progressive_gan, '
                        'whose log is still in its folder.') from error
    if not ticks:
        raise DataError(f"{path!r} holds no line like 'tick 1  kimg 1.0  lod 4.00  ... time 12s  "
                        "...', so it does not tell when pictures were made. Choose a run of "
                        'train.train_progressive_gan that has reached its first tick.')
    paths = picture_paths(run_dir, ticks)
    found = [(tick, path) for tick, path in zip(ticks, paths) if path is not None]
    if not found:
        raise DataError(f'{run_dir!r} holds no picture fakes*.png of any of the {len(ticks)} '
                        'ticks in its log.txt. Expected names like '
                        f'fakes{int(ticks[-1].kimg):06d}.png. Choose another run, or put the '
                        'pictures back.')
    return Snapshots([tick for tick, _ in found], [path for _, path in found], ticks[-1].time)


def picture_paths(run_dir: str, ticks: Sequence[Tick]) -> list[str | None]:
    """Return the path of each tick's picture, or None if there is none.

    File names contain the kimg rounded down; the log rounds to the nearest tenth. So the picture of
    'kimg 4.0' may be fakes000003.png.
    """
    there = set(os.listdir(run_dir))
    earlier: set[str] = set()
    paths: list[str | None] = []
    for tick in ticks:
        kimg = int(tick.kimg)
        name, below = f'fakes{kimg:06d}.png', f'fakes{kimg - 1:06d}.png'
        if name not in there and tick.kimg == kimg and below not in earlier:
            name = below
        earlier.add(name)
        paths.append(os.path.join(run_dir, name) if name in there else None)
    return paths


# --------------------------------------------------------------------------------------------------
# Frames.

class TrainingFrames:
    """Frames by time: the latest picture at that time, with labels.

    Args:
        snapshots: `Snapshots`.
        duration_sec: the video's length.
        time_warp: see `generate_training_video`.
    """

    def __init__(self, snapshots: Snapshots, duration_sec: float, time_warp: float):
        self.snapshots = snapshots
        self.duration_sec = duration_sec
        self.time_warp = time_warp
        self.times = [tick.time for tick in snapshots.ticks]
        # a run's pictures may not all fit in memory
        self.picture = functools.lru_cache(maxsize=2)(read_picture)

    def choose(self, t: float) -> tuple[int, float]:
        """Return (index of the snapshot, seconds of the run) at second t of the video."""
        run_time = np.clip(t / self.duration_sec, 0, 1)**self.time_warp * self.snapshots.total_time
        return max(bisect.bisect_right(self.times, run_time) - 1, 0), run_time

    def at(self, t: float) -> np.ndarray:
        """Return the frame at second t: [height, width, 3], uint8, or float32 if it was halved."""
        number, run_time = self.choose(t)
        tick, picture = self.snapshots.ticks[number], self.picture(self.snapshots.paths[number])
        return draw_labels(picture, f'lod {tick.lod}', misc.format_time(run_time),
                           f'{tick.kimg:.0f} kimg')


def draw_labels(picture: np.ndarray, left: str, middle: str, right: str) -> np.ndarray:
    """Draw three strings along the lower edge of a picture [height, width, 3]."""
    height, width = picture.shape[:2]
    y = float(height - MARGIN_Y)
    for text, x, align in ((left, float(MARGIN_X), 0.0), (middle, width / 2, 0.5),
                           (right, float(width - MARGIN_X), 1.0)):
        picture = misc.draw_text_label(picture, text, x, y, alignx=align, aligny=1.0)
    return picture


def read_picture(path: str) -> np.ndarray:
    """Read a picture as [height, width, 3] within 1920x1080, see `shrink_to_fit`.

    Raises:
        DataError: the file is damaged.
    """
    try:
        with PIL.Image.open(path) as image:
            return shrink_to_fit(np.asarray(image.convert('RGB')))
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise DataError(f'Cannot read the picture {path!r}: {error}. Remove it; the picture '
                        'before it is shown in its place.') from error


def shrink_to_fit(picture: np.ndarray) -> np.ndarray:
    """Halve a picture by averaging 2x2 pixels until it fits 1920x1080.

    The result is float32, or uint8 if the picture fits already.
    """
    while picture.shape[1] > MAX_WIDTH or picture.shape[0] > MAX_HEIGHT:
        height, width = (size // 2 for size in picture.shape[:2])
        even = picture[:height * 2, :width * 2].astype(np.float32)
        picture = box_average(even.transpose(2, 0, 1)).transpose(1, 2, 0)
    return picture
