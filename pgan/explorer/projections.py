"""Projection of the user's pictures into latent space, step by step."""
import collections
import io
from typing import Any

import numpy as np

from pgan.errors import ConfigError
from pgan.explorer.recipes import Point
from pgan.explorer.tasks import Task
from pgan.scripts.project_image import (
    NUM_CANDIDATES,
    best_candidates,
    decode_target,
    improving,
)
from tfutil import Network

MOST_KEPT = 16
MOST_PIXELS = 50_000_000  # per uploaded picture
LEARNING_RATE = 0.2
RANDOM_SEED = 1000
SMALL = 128  # networks up to this resolution try all candidates and take all steps
STEPS, NUM_STARTS = 300, 4
FEWER_STEPS, FEWER_STARTS, FEWER_CANDIDATES = 100, 1, 32  # for large networks


class Projections:
    """Projections by number; only the newest MOST_KEPT are kept."""

    def __init__(self) -> None:
        self._ways: collections.OrderedDict[int, tuple[list[np.ndarray], np.ndarray, bool]] = (
            collections.OrderedDict())

    def point(self, number: int, step: int | None) -> Point:
        """The point after a step; None = the final one.

        Raises:
            ConfigError: there is no such projection or step.
        """
        way, labels, is_done = self._ways.get(number, ([], np.zeros([1, 0]), False))
        if step is None and is_done:
            step = len(way) - 1
        if step is None or step >= len(way):
            raise ConfigError(f'There is no projection {number}, or it has not reached this step. '
                              'Projections are lost when the explorer ends. Project the picture '
                              'again, and save its latents.')
        return Point(way[step], labels)

    def run(self, task: Task, Gs: Network, target: np.ndarray, label: int | None) -> dict[str, Any]:
        """Project a picture.

        Args:
            task: receives progress; its note holds the projection's number, step and loss.
            Gs: a network that no other thread uses meanwhile.
            target: see `decode_target`.
            label: class to draw; None = that of the best candidate.

        Returns:
            {'projection': number, 'psnr': PSNR of the result in dB}.
        """
        is_small = Gs.output_shape[-1] <= SMALL
        num_steps = STEPS if is_small else FEWER_STEPS
        task.report(0, num_steps)
        num_starts = NUM_STARTS if is_small else FEWER_STARTS
        latents, labels = best_candidates(Gs, target, num_starts, label, RANDOM_SEED,
                                          NUM_CANDIDATES if is_small else FEWER_CANDIDATES)
        way: list[np.ndarray] = []
        number = task.number
        self._keep(number, way, labels[:1])
        steps = improving(Gs, target, latents, labels, num_steps, LEARNING_RATE)
        best = 0
        for count in range(num_steps):
            points, losses = next(steps)
            best = int(np.argmin(losses))
            way.append(points[best:best + 1])
            self._ways[number] = way, labels[best:best + 1], False
            task.report(count + 1, num_steps, projection=number, step=count,
                        loss=float(losses[best]))
        found = _result(steps)
        way.append(found.latents[-1:])
        self._ways[number] = way, found.labels, True
        return dict(projection=number, psnr=float(found.psnr))

    def _keep(self, number, way, labels):
        self._ways[number] = way, labels, False
        while len(self._ways) > MOST_KEPT:
            self._ways.popitem(last=False)


def _result(steps):
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    raise RuntimeError('improving() takes more steps than requested')


def read_picture(data: bytes, Gs: Network) -> np.ndarray:
    """Decode an uploaded picture to the network's resolution and range; see `decode_target`."""
    return decode_target(io.BytesIO(data), 'the picture', Gs, MOST_PIXELS)
