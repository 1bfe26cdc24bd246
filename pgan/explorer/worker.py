"""Worker thread that draws images in batches, for many requests at once."""
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pgan.explorer.recipes import Point

POLL = 0.1  # seconds between two checks whether an image is still wanted
MOST_WAITING = 2000  # images


class View(NamedTuple):
    """How to draw a point.

    Attributes:
        snapshot: index of the snapshot.
        lod: level of detail, for an image of R / 2^lod pixels per side; None = the network's full
            output, R x R.
        shrink: factor by which the image is downscaled.
        is_preview: whether to draw a fast, small approximation.
    """
    snapshot: int
    lod: int | None = None
    shrink: int = 1
    is_preview: bool = False


class Abandoned(Exception):
    """Raised if an image is no longer wanted."""


class Busy(Exception):
    """Raised if too many images are waiting."""


class _Job:
    """An image to draw. `alone`: whether it needs a separate batch; `waiting`: number of requests
    that wait for it.
    """

    def __init__(self, key, point, view, alone, later):
        self.key, self.point, self.view = key, point, view
        self.alone, self.later = alone, later
        self.waiting = 0
        self.done = threading.Event()
        self.image: np.ndarray | None = None
        self.error: Exception | None = None


class Worker:
    """Thread that draws images in the order of requests, `later` ones after all others.

    Images with the same view share a batch. Images that no request waits for are dropped.

    Args:
        draw: function from (list of Points, View) to uint8 [N, C, H, W]; called by the thread only.
        batch_size: function from View to the number of images per batch.
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
            key: identifies the point; concurrent requests with equal keys share one image. None =
                not shared.
            alone: whether to draw it in a separate batch, as generate_fake_images does for seeds:
                rounding may depend, rarely, on the batch size.
            later: whether to draw it after all images without this flag.
            wanted: function that tells whether the image is still wanted; called regularly.

        Returns:
            uint8 [C, H, W].

        Raises:
            Abandoned: the image is no longer wanted, or the worker has ended.
            Busy: too many images are waiting.
            Exception: any exception raised by `draw`.
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
        """Number of images waiting to be drawn."""
        return len(self._jobs)

    def end(self) -> None:
        """End the thread after its current batch."""
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
            except Exception as error:  # Re-raised in the waiting requests; the thread continues.
                for job in batch:
                    job.error = error
            for job in batch:
                job.done.set()

    def _next_batch(self):
        """Remove and return the next jobs, all of one view; [] when the worker ends."""
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
