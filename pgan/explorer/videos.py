"""Interpolation videos (walks) as MP4."""
import os
import tempfile
from collections.abc import Callable, Sequence

import numpy as np

from pgan.explorer.recipes import Point, mixed
from pgan.explorer.tasks import Task
from pgan.pixels import repeat_pixels
from pgan.scripts.option_checks import chosen_zoom
from pgan.scripts.seeds import closed_loop, lerp, slerp
from pgan.scripts.video import write_video

FPS = 30
LONGEST = 120.0  # seconds
MOST_STATIONS = 64


def walk_frames(points: Sequence[Point], num_frames: int, is_loop: bool) -> list[Point]:
    """Interpolate between images, as generate_interpolation_video does.

    Args:
        points: the images to visit, at least two.
        num_frames: total number of frames, at least one per image.
        is_loop: whether to return to the first image.

    Returns:
        A list of `num_frames` points.
    """
    stations = [np.stack(parts) for parts in zip(*points)]
    if is_loop:
        latents, labels = (closed_loop(each, num_frames, blend)
                           for each, blend in zip(stations, (slerp, lerp)))
        return [Point(*pair) for pair in zip(latents, labels)]
    return [_on_way(points, frame / (num_frames - 1) * (len(points) - 1))
            for frame in range(num_frames)]


def _on_way(points, place):
    """The point between two images; the walk slows down at each, as in `closed_loop`."""
    start = min(int(place), len(points) - 2)
    share = 0.5 - 0.5 * np.cos(np.pi * (place - start))
    return mixed(points[start], points[start + 1], share)


def write_walk(task: Task, frames: Sequence[Point], draw: Callable[[Point], np.ndarray]) -> bytes:
    """Write a walk as MP4 and return the file's bytes.

    Args:
        task: receives progress.
        frames: see `walk_frames`.
        draw: function from Point to uint8 [C, R, R].
    """
    def frame(index):
        task.report(index, len(frames))
        image = draw(frames[index])
        image = repeat_pixels(image, chosen_zoom(None, [image.shape[-1]] * 2))
        return np.broadcast_to(image, [3, *image.shape[1:]]).transpose(1, 2, 0)

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'walk.mp4')
        write_video(path, frame, len(frames), FPS, silent=True)
        task.report(len(frames), len(frames))
        with open(path, 'rb') as file:
            return file.read()
