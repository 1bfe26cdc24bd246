"""Projection of the user's pictures into latent space, step by step."""
import collections
import contextlib
import io
import os
import threading
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from pgan.errors import ConfigError, UserError
from pgan.explorer.recipes import Point
from pgan.explorer.tasks import Task
from pgan.files import atomic_write
from pgan.scripts.project_image import (
    NUM_CANDIDATES,
    best_candidates,
    decode_target,
    improving,
)
from tfutil import Network

MOST_KEPT = 16  # projections whose steps are kept in memory
MOST_SAVED = 1000
MOST_PIXELS = 50_000_000  # per uploaded picture
LEARNING_RATE = 0.2
RANDOM_SEED = 1000
SMALL = 128  # networks up to this resolution try all candidates and take all steps
STEPS, NUM_STARTS = 300, 4
FEWER_STEPS, FEWER_STARTS, FEWER_CANDIDATES = 100, 1, 32  # for large networks


class Projections:
    """Projections by number.

    Final points are saved in a file, so that their numbers stay valid in bookmarks. If it cannot be
    written, or holds something else, they are kept in memory. Steps are kept only of the newest
    MOST_KEPT.

    Args:
        path: path of the file, which need not exist.
        Gs: the generator; points that do not fit it are ignored.
        label_size: length of its labels.
    """

    def __init__(self, path: str, Gs: Network, label_size: int) -> None:
        self._path = path
        self._shapes = [list(Gs.input_shape[1:]), [label_size]]
        self._lock = threading.Lock()  # of _points
        saved = self._read()
        if saved is None:
            print(f'Note: {path!r} does not hold projections of this network. It is left as it is, '
                  'so projections end with the explorer. Move it away to keep new ones.')
        self._points: dict[int, Point] = saved or {}
        self._ways: collections.OrderedDict[int, tuple[list[np.ndarray], np.ndarray]] = (
            collections.OrderedDict())

    def point(self, number: int, step: int | None) -> Point:
        """The point after a step; None = the final one.

        Raises:
            ConfigError: there is no such projection or step.
        """
        with self._lock:
            if step is None and number not in self._points:
                self._points.update(self._read() or {})  # Another explorer may have saved it.
            if step is None and number in self._points:
                return self._points[number]
        way, labels = self._ways.get(number, ([], np.zeros([1, 0])))
        if step is None or step >= len(way):
            raise ConfigError(f'There is no projection {number}, or it has not reached this step. '
                              'Project the picture again.')
        return Point(way[step], labels)

    def run(self, task: Task, Gs: Network, target: np.ndarray, label: int | None) -> dict[str, Any]:
        """Project a picture.

        Args:
            task: receives progress; its note holds the projection's number, step and loss.
            Gs: a network that no other thread uses meanwhile.
            target: see `decode_target`.
            label: class to draw; None = that of the best candidate.

        Returns:
            {'projection': number, 'psnr': PSNR of the result in dB}. The number differs from the
            one in the task's note if another explorer has used that meanwhile.
        """
        is_small = Gs.output_shape[-1] <= SMALL
        num_steps = STEPS if is_small else FEWER_STEPS
        task.report(0, num_steps)
        num_starts = NUM_STARTS if is_small else FEWER_STARTS
        latents, labels = best_candidates(Gs, target, num_starts, label, RANDOM_SEED,
                                          NUM_CANDIDATES if is_small else FEWER_CANDIDATES)
        way: list[np.ndarray] = []
        with self._lock:
            number = max([0, *self._points, *self._ways, *(self._read() or {})]) + 1
        self._keep(number, way, labels[:1])
        steps = improving(Gs, target, latents, labels, num_steps, LEARNING_RATE)
        best = 0
        for count in range(num_steps):
            points, losses = next(steps)
            best = int(np.argmin(losses))
            way.append(points[best:best + 1])
            self._ways[number] = way, labels[best:best + 1]
            task.report(count + 1, num_steps, projection=number, step=count,
                        loss=float(losses[best]))
        found = _result(steps)
        way.append(found.latents[-1:])
        saved = self._save(number, Point(way[-1], found.labels))
        self._keep(saved, way, found.labels)
        return dict(projection=saved, psnr=float(found.psnr))

    def _keep(self, number, way, labels):
        self._ways[number] = way, labels
        while len(self._ways) > MOST_KEPT:
            self._ways.popitem(last=False)

    # ------------------------------------------------------------ the file

    def _read(self) -> dict[int, Point] | None:
        """The points in the file; {} if it does not exist, None if it cannot be used."""
        try:
            with np.load(self._path, allow_pickle=False) as file:
                numbers, latents, labels = (file[name] for name in _ARRAYS)
        except FileNotFoundError:
            return {}
        except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
            return None
        fits = (numbers.ndim == 1 and numbers.dtype == np.int64
                and all(array.dtype == np.float32 and list(array.shape) == [len(numbers), *shape]
                        and np.isfinite(array).all()
                        for array, shape in zip((latents, labels), self._shapes)))
        return {int(number): Point(latents[k:k + 1], labels[k:k + 1])
                for k, number in enumerate(numbers)} if fits else None

    def _save(self, number: int, point: Point) -> int:
        """Add a point to the file, without replacing another explorer's. Return its number."""
        with self._lock:
            points = self._read()
            self._points.update(points or {})
            if points and number in points:
                number = max(self._points) + 1
            self._points[number] = point
            if points is not None:
                with contextlib.suppress(OSError, UserError):  # a read-only folder
                    _write(self._path, dict(sorted(self._points.items())[-MOST_SAVED:]))
        return number


_ARRAYS = ('numbers', 'latents', 'labels')


def _write(path: str | os.PathLike, points: Mapping[int, Point]) -> None:
    packed = io.BytesIO()
    latents, labels = (np.concatenate(parts) for parts in zip(*points.values()))
    np.savez(packed, numbers=np.array(list(points), np.int64), latents=latents.astype(np.float32),
             labels=labels.astype(np.float32))
    with atomic_write(path) as file:
        file.write(packed.getbuffer())


def _result(steps):
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    raise RuntimeError('improving() takes more steps than requested')


def read_picture(data: bytes, Gs: Network) -> np.ndarray:
    """Decode an uploaded picture to the network's resolution and range; see `decode_target`."""
    return decode_target(io.BytesIO(data), 'the picture', Gs, MOST_PIXELS)
