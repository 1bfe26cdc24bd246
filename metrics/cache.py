"""What metrics know of the real images, kept on disk: the same data set need not go through the
Inception network again.
"""
import glob
import hashlib
import json
import os
import sys

import numpy as np

from pgan.errors import DataError
from pgan.files import atomic_write, make_folder, read_npz


class RealsCache:
    """States of metrics after a pass of reals, a file for each data set, settings and random
    numbers.

    Args:
        folder: where to keep them; made if need be. None keeps nothing.
        training_set: the data set; one that is not on disk is not kept.
        metrics: the metrics' objects; only those that can hand out their state (get_reals_state,
            set_reals_state) can be kept.
        names: what makes them what they are: names, and whatever else their results depend on.
        settings: dict of plain values that the images depend on: how many, how many at a time,
    whether mirrored. """

    def __init__(self, folder, training_set, metrics, names, settings):
        tfrecord_dir = getattr(training_set, 'tfrecord_dir', None)
        can_keep = folder is not None and tfrecord_dir is not None and all(
            hasattr(metric, 'get_reals_state') for metric in metrics)
        self._folder = folder if can_keep else None
        self._metrics = metrics
        self._training_set = training_set
        self._key = [names, settings]
        if can_keep:
            self._name = os.path.basename(os.path.abspath(tfrecord_dir))
            self._key.append(
                sorted([os.path.realpath(path),
                        os.stat(path).st_size,
                        os.stat(path).st_mtime_ns]
                       for path in glob.glob(os.path.join(glob.escape(tfrecord_dir), '*'))))

    def load(self):
        """Set the metrics to what is kept for the data set's position and NumPy's random numbers,
        as if the reals had been looked at.

        Returns:
            The metrics' values for the reals, a list; None if nothing is kept.
        """
        path = self.path()
        if path is None or not os.path.isfile(path):
            return None
        try:
            kept = read_npz(path)
            states = [{
                name.partition('/')[2]: value
                for name, value in kept.items() if name.startswith(f'{number}/')
            } for number in range(len(self._metrics))]
            for metric, state in zip(self._metrics, states):
                metric.set_reals_state(state)
            values, position = kept['values'].tolist(), int(kept['position'])
            # As the pass would have left them, so that what follows is the same.
            np.random.set_state(
                ('MT19937', kept['random_keys'], int(kept['random_position']), 0, 0.0))
        # A damaged file can raise almost anything; it is only a cache.
        except Exception:
            return None
        self._training_set.position = position
        return values

    def save(self, path, values):
        """Keep the metrics' states and values in the file that `path` named before the pass."""
        if path is None:
            return
        arrays = {f'{number}/{name}': value for number, metric in enumerate(self._metrics)
                  for name, value in metric.get_reals_state().items()}
        _, keys, position, has_gauss, _ = np.random.get_state()
        if has_gauss:
            return  # half of a pair of normal numbers is on hold; it would be lost
        try:
            make_folder(self._folder)
            with atomic_write(path) as file:
                np.savez(file, values=np.array(values, np.float64), random_keys=keys,
                         random_position=position, position=self._training_set.position, **arrays)
        except DataError as error:  # The values are there all the same.
            print('Warning: what the metrics know of the reals is not kept for the next time. '
                  f'{error}', file=sys.stderr)

    def path(self):
        """The file for a pass that starts now; None if it cannot be kept."""
        if self._folder is None:
            return None
        _, keys, position, has_gauss, gauss = np.random.get_state()
        state = [
            hashlib.sha256(keys.tobytes()).hexdigest(),
            int(position),
            int(has_gauss),
            float(gauss)
        ]
        text = json.dumps([self._key, state, self._training_set.state()], sort_keys=True,
                          default=str)
        return os.path.join(self._folder,
                            f'{self._name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz')
