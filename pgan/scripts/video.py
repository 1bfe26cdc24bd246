"""Writing videos, frame by frame, with moviepy: whole files that every player takes."""
import os
from collections.abc import Callable

import numpy as np

from pgan.errors import DataError, UserError
from pgan.files import atomic_path
from pgan.pixels import repeat_pixels, to_uint8
from pgan.progress_bar import progress_bar

MIN_SIZE = 16  # pixels; less than that some encoders refuse


def write_video(path: str, frame: Callable[[int], np.ndarray], num_frames: int, fps: int,
                codec: str = 'libx264', bitrate: str = '16M', silent: bool = False) -> None:
    """Write a video that appears whole or not at all. One frame at a time is in memory.

    Args:
        path: the file; its ending chooses the container.
        frame: function: frame number -> uint8 [height, width, 3], or floats from 0 to 255, which
            are rounded. Called once for each number from 0 up; all frames are of one size. Odd
            sizes, which players refuse, get another line or column like the last one.
        num_frames: how many.
        fps: frames per second, an integer.
        codec, bitrate: of ffmpeg.
        silent: show no progress bar.

    Raises:
        ConfigError: ffmpeg cannot write such a video.
        DataError: the disk is in the way.
    """
    from moviepy import VideoClip  # Takes a second, and only videos need it.

    ending = os.path.splitext(path)[1]  # chooses the container
    with atomic_path(path, ending) as temporary, progress_bar(
            total=num_frames, unit='frame', silent=silent) as bar:
        frames = _Frames(frame, num_frames, fps, bar)
        # Half a frame more: moviepy rounds down, and 29 / 100 * 100 is less than 29.
        clip = VideoClip(frames, duration=(num_frames + 0.5) / fps)
        _encode(clip, path, temporary, fps, codec, bitrate)
        _check_written(path, temporary, num_frames, codec)


class _Frames:
    """Frames by time, as moviepy asks for them, ready for the encoder; the last one is kept, as
    moviepy asks twice for the first.
    """

    def __init__(self, frame, num_frames, fps, bar):
        self.frame = frame
        self.num_frames = num_frames
        self.fps = fps
        self.bar = bar
        self.index = None
        self.kept = None

    def __call__(self, t):
        index = time_to_frame(t, self.fps, self.num_frames)
        if index != self.index:
            image = encodable(self.frame(index))
            if self.kept is not None and image.shape != self.kept.shape:
                raise DataError(f'frame {index} of the video is of shape {list(image.shape)}, the '
                                f'one before of {list(self.kept.shape)}. Expected pictures of one '
                                'size throughout: remove the others from the folder that they '
                                'come from.')
            self.index, self.kept = index, image
            self.bar.update()
        return self.kept


def time_to_frame(t: float, fps: int, num_frames: int) -> int:
    """The number of the frame that is nearest to t seconds."""
    return int(np.clip(np.rint(t * fps), 0, num_frames - 1))


def encodable(image: np.ndarray) -> np.ndarray:
    """A frame as encoders and players take it: uint8, even sizes of at least 16 pixels. Small ones
    grow by a whole factor.
    """
    zoom = -(-MIN_SIZE // min(image.shape[:2]))
    image = repeat_pixels(to_uint8(image).transpose(2, 0, 1), zoom).transpose(1, 2, 0)
    height, width = image.shape[:2]
    return np.pad(image, [(0, height % 2), (0, width % 2), (0, 0)], mode='edge')


def _encode(clip, path, temporary, fps, codec, bitrate):
    """Run ffmpeg. What it complains of is the user's to mend: a codec that does not fit, or a disk
    that is full.
    """
    try:
        clip.write_videofile(temporary, fps=fps, codec=codec, bitrate=bitrate, audio=False,
                             logger=None, ffmpeg_params=['-vf',
                                                         'format=yuv420p'])  # what all players take
    except OSError as error:
        if isinstance(error, UserError):
            raise
        said = [line for line in str(error).splitlines() if line.strip()]
        raise _cannot_write(path, codec, said[-1] if said else 'no reason given') from error


def _check_written(path, temporary, num_frames, codec):
    """Count the frames in the file: that ffmpeg gave up at the end is not reported by moviepy."""
    import imageio_ffmpeg

    try:
        written, _ = imageio_ffmpeg.count_frames_and_secs(temporary)
    except (RuntimeError, OSError) as error:
        raise _cannot_write(path, codec, 'ffmpeg has left no video that can be read') from error
    if written != num_frames:
        raise _cannot_write(path, codec, f'{written} of {num_frames} frames are in it')


def _cannot_write(path, codec, reason):
    return DataError(f'Cannot write the video {path!r} with the encoder {codec!r}: {reason}. No '
                     'video was written. See that there is room on the disk and that the encoder '
                     "fits the file's ending; train.mp4_codec='libx264' and the ending .mp4 "
                     'always do.')


