"""Disk cache of the metrics' statistics of the real images.

It avoids passing the same data set through the Inception network again.
"""
import glob
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from dataset import Dataset, TFRecordDataset
from metrics import Metric
from pgan.errors import DataError
from pgan.files import atomic_write, make_folder, read_npz


@runtime_checkable
class KeepsReals(Protocol):
    """A metric whose statistics of the reals can be cached."""

    def get_reals_state(self) -> Mapping[str, np.ndarray]: ...

    def set_reals_state(self, state: Mapping[str, np.ndarray]) -> None: ...


class RealsCache:
    """States of metrics after a pass of reals: one file per data set, settings and random state.

    Args:
        folder: folder of the cache, created when needed. None disables the cache.
        training_set: the data set. Only `TFRecordDataset` is cached: the content of other classes
            cannot be identified.
        metrics: the metrics. Nothing is cached unless all are `KeepsReals`.
        names: names of the metrics, and everything else that their results depend on.
        settings: plain values that the images depend on: number of images, minibatch size,
            mirroring.
    """

    def __init__(self, folder: str | os.PathLike | None, training_set: Dataset,
                 metrics: Sequence[Metric], names: Sequence[str],
                 settings: Mapping[str, Any]) -> None:
        tfrecord_dir = (training_set.tfrecord_dir if type(training_set) is TFRecordDataset
                        else None)
        self._folder = None
        self._metrics = [metric for metric in metrics if isinstance(metric, KeepsReals)]
        self._training_set = training_set
        self._key: list[Any] = [names, settings]
        all_keep = len(self._metrics) == len(metrics)
        if folder is not None and tfrecord_dir is not None and all_keep:
            self._folder = folder
            self._name = os.path.basename(os.path.abspath(tfrecord_dir))
            paths = glob.glob(os.path.join(glob.escape(os.fspath(tfrecord_dir)), '*'))
            self._key.append(sorted(map(_identity, paths)))

    def load(self) -> list[float] | None:
        """Restore the metrics from the cache, as if they had been fed the reals.

        The file is chosen by the data set's position and NumPy's random state. Both are advanced
        as the pass would have advanced them.

        Returns:
            The metrics' values for the reals; None if they are not cached.
        """
        path = self.path()
        if path is None or not os.path.isfile(path):
            return None
        try:
            kept = read_npz(path)
            for number, metric in enumerate(self._metrics):
                prefix = f'{number}/'
                metric.set_reals_state({
                    name.removeprefix(prefix): value
                    for name, value in kept.items() if name.startswith(prefix)
                })
            values, position = kept['values'].tolist(), int(kept['position'])
            # Advance the random state and the position as the pass would have done, so that the
            # following results are the same.
            np.random.set_state(
                ('MT19937', kept['random_keys'], int(kept['random_position']), 0, 0.0))
        # A damaged file can raise almost anything; it is only a cache.
        except Exception:
            return None
        self._training_set.position = position
        return values

    def save(self, path: str | None, values: Sequence[float]) -> None:
        """Write the metrics' states and values to the file that `path` returned before the pass."""
        if path is None or self._folder is None:
            return
        _, keys, position, has_gauss, _ = _random_state()
        if has_gauss:
            return  # NumPy holds back the second of a pair of normal numbers, which would be lost
        arrays: dict[str, Any] = dict(
            values=np.array(values, np.float64), random_keys=keys, random_position=position,
            position=self._training_set.position)
        for number, metric in enumerate(self._metrics):
            arrays |= {f'{number}/{name}': value
                       for name, value in metric.get_reals_state().items()}
        try:
            make_folder(self._folder)
            with atomic_write(path) as file:
                np.savez(file, **arrays)
        except DataError as error:  # The pass itself has succeeded.
            print('Warning: the statistics of the real images are not cached for the next run. '
                  f'{error}', file=sys.stderr)

    def path(self) -> str | None:
        """Cache file of a pass that starts now; None if nothing can be cached."""
        if self._folder is None:
            return None
        _, keys, position, has_gauss, gauss = _random_state()
        digest = hashlib.sha256(keys.tobytes()).hexdigest()
        state = [digest, int(position), int(has_gauss), float(gauss)]
        text = json.dumps([self._key, state, self._training_set.state()], sort_keys=True,
                          default=str)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        return os.path.join(self._folder, f'{self._name}-{fingerprint}.npz')


def _identity(path):
    """Fingerprint of a file: path, size and modification time."""
    status = os.stat(path)
    return [os.path.realpath(path), status.st_size, status.st_mtime_ns]


def _random_state():
    """State of NumPy's global generator: name, keys, position, and whether a normal number is held
    back, and which.
    """
    return cast(tuple[str, np.ndarray, int, int, float], np.random.get_state())
