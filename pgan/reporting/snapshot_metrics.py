"""Metrics of the generator while it trains."""
import contextlib
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

import dataset
import metrics as metrics_room
from metrics.evaluator import Evaluator, default_minibatch_size
from tfutil import Network


class SnapshotMetrics:
    """Measures Gs whenever networks are saved.

    Its random draws leave the run's own random numbers as they were.

    Args:
        names: short or dotted names of metrics; may be empty.
        num_images: real and generated images to look at.
        config: the configuration: dataset, data_dir, result_dir, num_gpus, random_seed.
        mirror_augment: whether the run mirrors its images.
        against: 'training', or 'validation' = the images that the data set holds out.

    Attributes:
        judge: the value by which snapshots are judged, of the metric named first; None without
            metrics, or if that one does not say whether higher or lower is better.

    Raises:
        ConfigError: an unknown metric, or one that is not available for these images.
    """

    def __init__(self, names: Sequence[str], num_images: int, config: ModuleType,
                 mirror_augment: bool, against: str = 'training'):
        self.judge: metrics_room.Judge | None = None
        self._evaluator: Evaluator | None = None
        self._has_reals = False
        self._num_gpus = config.num_gpus
        self._random_seed = config.random_seed
        if names:
            # its position is not the run's
            part: dict[str, Any] = {} if against == 'training' else {'part': against}
            training_set = dataset.load_dataset(data_dir=config.data_dir, **config.dataset, **part)
            resolution = training_set.shape[1]
            size = default_minibatch_size(resolution)
            made = metrics_room.make_all(names, num_images, [3, resolution, resolution], np.uint8,
                                         size, result_dir=config.result_dir,
                                         data_dir=config.data_dir)
            self._evaluator = Evaluator(made, training_set, num_images, size,
                                        mirror_augment=mirror_augment)
            self.judge = metrics_room.judge_of(made[0], num_images)
            if self.judge is None:
                print(f'Note: no network-best.pkl is kept, as {names[0]!r} does not say whether '
                      'higher or lower is better. Give its class an attribute higher_is_better.')

    def __call__(self, Gs: Network) -> dict[str, float]:
        """Return the values of all metrics by name: {} without metrics.

        The first call also looks at the real images.
        """
        if self._evaluator is None:
            return {}
        with _random_numbers_of_its_own(self._random_seed):
            if not self._has_reals:
                self._evaluator.evaluate_reals()
                self._has_reals = True
            np.random.seed(self._random_seed)  # the same latents and projections at each snapshot
            values = self._evaluator.evaluate_fakes(Gs, self._num_gpus)
            return dict(zip(self._evaluator.names, map(float, values)))


@contextlib.contextmanager
def _random_numbers_of_its_own(random_seed: int) -> Iterator[None]:
    state = np.random.get_state()
    np.random.seed(random_seed)
    try:
        yield
    finally:
        np.random.set_state(state)
