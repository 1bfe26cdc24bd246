"""One thread that draws images in batches, for many requests at once."""
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pgan.explorer.recipes import Point

POLL = 0.1  # seconds between two looks whether somebody still waits for an image
MOST_WAITING = 2000  # images


class View(NamedTuple):
    """How a point is drawn.

    Attributes:
        snapshot: index of the network.
        lod: level of detail of the image, which then has R / 2^lod pixels a side; None = as the
            network draws it, R x R.
        shrink: average squares of this many pixels a side.
        is_preview: a small image, quickly drawn, that resembles the whole one.
    """
    snapshot: int
    lod: int | None = None
    shrink: int = 1
    is_preview: bool = False


class Abandoned(Exception):
    """Nobody waits for the image any more."""


class Busy(Exception):
    """Too many images are waited for."""


class _Job:
    """An image to be drawn. Attributes: `alone`: in a batch of its own; `waiting`: requests that
    wait for it.
    """

    def __init__(self, key, point, view, alone, later):
        self.key, self.point, self.view = key, point, view
        self.alone, self.later = alone, later
        self.waiting = 0
        self.done = threading.Event()
        self.image: np.ndarray | None = None
        self.error: Exception | None = None


class Worker:
    """The thread. Images that are waited for are drawn in the order in which they were asked for;
    `later` ones after all others. Those of one view share a batch. What nobody waits for any more
    is not drawn.

    Args:
        draw: function: (list of Points, View) -> uint8 [N, C, H, W]; called by the thread only.
        batch_size: function: View -> images at a time.
    """

    def __init__(self, draw: Callable[[Sequence[Point], View], np.ndarray],
                 batch_size: Callable[[View], int]):
        self._draw, self._batch_size = draw, batch_size
        self._jobs: dict[Any, _Job] = {}  # in the order of arrival
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name='explorer-images', daemon=True)
        self._thread.start()

    def image(self, point: Point, view: View, key: Any = None, *, alone: bool = False,
              later: bool = False, wanted: Callable[[], bool] = lambda: True) -> np.ndarray:
        """Draw an image and wait for it.

        Args:
            point, view: what to draw.
            key: equal for equal images; requests for one share it. None = not shared.
            alone: in a batch of its own, as generate_fake_images draws images of seeds: rounding
                differs, rarely, with the size of a batch.
            later: after all that are not.
            wanted: whether the image is still needed; asked now and then.

        Returns:
            uint8 [C, H, W]

        Raises:
            Abandoned: it is not wanted any more, or the worker has ended.
            Busy: too many images are waited for.
            Exception: what drawing it raised.
        """
        job = self._join((key or object(), view, alone), point, view, alone, later)
        try:
            while not job.done.wait(POLL):
                if self._ended or not wanted():
                    raise Abandoned
        finally:
            self._leave(job)
        if job.error is not None:
            raise job.error
        assert job.image is not None
        return job.image

    @property
    def num_waiting(self) -> int:
        """Images that are waited for and not being drawn yet."""
        return len(self._jobs)

    def end(self) -> None:
        """End the thread after its present batch."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(timeout=5)

    def _join(self, key, point, view, alone, later):
        with self._changed:
            job = self._jobs.get(key)
            if job is None:
                if len(self._jobs) >= MOST_WAITING:
                    raise Busy
                job = self._jobs[key] = _Job(key, point, view, alone, later)
            job.later = job.later and later
            job.waiting += 1
            self._changed.notify_all()
            return job

    def _leave(self, job):
        with self._changed:
            job.waiting -= 1
            if not job.waiting and self._jobs.get(job.key) is job:
                del self._jobs[job.key]

    # ------------------------------------------------------------ the thread

    def _work(self):
        while batch := self._next_batch():
            try:
                images = self._draw([job.point for job in batch], batch[0].view)
                for job, image in zip(batch, images):
                    job.image = image
            except Exception as error:  # whoever waits gets it; the thread goes on
                for job in batch:
                    job.error = error
            for job in batch:
                job.done.set()

    def _next_batch(self):
        """Jobs of one view, taken out of the queue; none when the worker ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._ended)
            if self._ended:
                return []
            jobs = sorted(self._jobs.values(), key=lambda job: job.later)  # stable
            first = jobs[0]
            batch = [first]
            if not first.alone:
                alike = [job for job in jobs[1:] if job.view == first.view and not job.alone]
                batch += alike[:self._batch_size(first.view) - 1]
            for job in batch:
                with contextlib.suppress(KeyError):
                    del self._jobs[job.key]
            return batch
