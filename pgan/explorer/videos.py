"""Walks through images as MP4."""
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
    """Points of a walk from image to image, as generate_interpolation_video has them.

    Args:
        points: the stations, at least two.
        num_frames: in all, at least one a station.
        is_loop: lead back to the first.
    """
    stations = [np.stack(parts) for parts in zip(*points)]
    if is_loop:
        latents, labels = (closed_loop(each, num_frames, blend)
                           for each, blend in zip(stations, (slerp, lerp)))
        return [Point(*pair) for pair in zip(latents, labels)]
    return [_on_way(points, frame / (num_frames - 1) * (len(points) - 1))
            for frame in range(num_frames)]


def _on_way(points, place):
    """The point between two stations; the way slows down at each, as `closed_loop` does."""
    start = min(int(place), len(points) - 2)
    share = 0.5 - 0.5 * np.cos(np.pi * (place - start))
    return mixed(points[start], points[start + 1], share)


def write_walk(task: Task, frames: Sequence[Point], draw: Callable[[Point], np.ndarray]) -> bytes:
    """The work of a task: a walk as an MP4 file's bytes.

    Args:
        frames: see `walk_frames`.
        draw: function: Point -> uint8 [C, R, R].
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
