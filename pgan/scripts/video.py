"""Writing videos frame by frame with moviepy, in a format that all players support."""
import os
from collections.abc import Callable

import numpy as np

from pgan.errors import DataError, UserError
from pgan.files import atomic_path
from pgan.pixels import repeat_pixels, to_uint8
from pgan.progress_bar import progress_bar

MIN_SIZE = 16  # pixels; some encoders refuse smaller frames


def write_video(path: str, frame: Callable[[int], np.ndarray], num_frames: int, fps: int,
                codec: str = 'libx264', bitrate: str = '16M', silent: bool = False) -> None:
    """Write a video atomically, with one frame in memory at a time.

    Args:
        path: path of the file; its extension determines the container.
        frame: function of the frame number to uint8 [height, width, 3], or floats from 0 to 255,
            which are rounded. Called once for each number from 0 up. All frames must have the same
            size. Odd sizes, which players reject, are padded by repeating the last row or column.
        num_frames: number of frames.
        fps: frames per second, an integer.
        codec, bitrate: options of ffmpeg.
        silent: show no progress bar.

    Raises:
        DataError: frames differ in size, or ffmpeg cannot write the video.
    """
    from moviepy import VideoClip  # takes a second, and only videos need it

    ending = os.path.splitext(path)[1]  # determines the container
    with atomic_path(path, ending) as temporary, progress_bar(
            total=num_frames, unit='frame', silent=silent) as bar:
        frames = _Frames(frame, num_frames, fps, bar)
        # Add half a frame: moviepy rounds down, and 29 / 100 * 100 is less than 29.
        clip = VideoClip(frames, duration=(num_frames + 0.5) / fps)
        _encode(clip, path, temporary, fps, codec, bitrate)
        _check_written(path, temporary, num_frames, codec)


class _Frames:
    """Encodable frames by time, as moviepy requests them.

    The last frame is cached, because moviepy requests the first one twice.
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
                raise DataError(f'frame {index} of the video has shape {list(image.shape)}, the '
                                f'one before {list(self.kept.shape)}. Expected pictures of one '
                                'size throughout: remove the others from the folder that they '
                                'come from.')
            self.index, self.kept = index, image
            self.bar.update()
        return self.kept


def time_to_frame(t: float, fps: int, num_frames: int) -> int:
    """Return the number of the frame nearest to t seconds."""
    return int(np.clip(np.rint(t * fps), 0, num_frames - 1))


def encodable(image: np.ndarray) -> np.ndarray:
    """Convert a frame for encoders and players: uint8, even sizes of at least 16 pixels.

    Small frames are enlarged by an integer factor.
    """
    zoom = -(-MIN_SIZE // min(image.shape[:2]))
    image = repeat_pixels(to_uint8(image).transpose(2, 0, 1), zoom).transpose(1, 2, 0)
    height, width = image.shape[:2]
    return np.pad(image, [(0, height % 2), (0, width % 2), (0, 0)], mode='edge')


def _encode(clip, path, temporary, fps, codec, bitrate):
    """Run ffmpeg. Its errors are the user's to fix: an unsuitable codec, or a full disk."""
    try:
        clip.write_videofile(temporary, fps=fps, codec=codec, bitrate=bitrate, audio=False,
                             logger=None,
                             # the pixel format that all players support
                             ffmpeg_params=['-vf', 'format=yuv420p'])
    except OSError as error:
        if isinstance(error, UserError):
            raise
        said = [line for line in str(error).splitlines() if line.strip()]
        raise _cannot_write(path, codec, said[-1] if said else 'no reason given') from error


def _check_written(path, temporary, num_frames, codec):
    """Count the frames in the file, as moviepy does not report that ffmpeg failed at the end."""
    import imageio_ffmpeg

    try:
        written, _ = imageio_ffmpeg.count_frames_and_secs(temporary)
    except (RuntimeError, OSError) as error:
        raise _cannot_write(path, codec, 'ffmpeg wrote no readable video') from error
    if written != num_frames:
        raise _cannot_write(path, codec, f'it contains {written} of {num_frames} frames')


def _cannot_write(path, codec, reason):
    return DataError(f'Cannot write the video {path!r} with the encoder {codec!r}: {reason}. No '
                     'video was written. Check that there is room on the disk and that the encoder '
                     "suits the file's extension; train.mp4_codec='libx264' and .mp4 always "
                     'work.')


