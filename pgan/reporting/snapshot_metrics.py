"""Metrics of the generator during training."""
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
    """Computes metrics of Gs whenever networks are saved.

    The state of NumPy's global generator is preserved, so metrics do not affect training.

    Args:
        names: short or dotted names of metrics; may be empty.
        num_images: number of real and of generated images.
        config: the configuration: dataset, data_dir, result_dir, num_gpus, random_seed.
        mirror_augment: whether the run mirrors its images.
        against: real images to compare with: 'training', or 'validation' = the held-out images.

    Attributes:
        judge: the value that decides which snapshot is best, of the first metric; None without
            metrics, or if that metric does not define whether higher or lower is better.

    Raises:
        ConfigError: a metric is unknown, or not available for these images.
    """

    def __init__(self, names: Sequence[str], num_images: int, config: ModuleType,
                 mirror_augment: bool, against: str = 'training'):
        self.judge: metrics_room.Judge | None = None
        self._evaluator: Evaluator | None = None
        self._has_reals = False
        self._num_gpus = config.num_gpus
        self._random_seed = config.random_seed
        if names:
            # A separate data set object, so that the run's position in its own is unaffected.
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
                print(f'Note: no network-best.pkl is kept, as {names[0]!r} does not define whether '
                      'higher or lower is better. Give its class an attribute higher_is_better.')

    def __call__(self, Gs: Network) -> dict[str, float]:
        """Compute all metrics of a generator and return {name: value}; {} without metrics.

        The first call also evaluates the real images.
        """
        if self._evaluator is None:
            return {}
        with _random_numbers_of_its_own(self._random_seed):
            if not self._has_reals:
                self._evaluator.evaluate_reals()
                self._has_reals = True
            np.random.seed(self._random_seed)  # Same latents and projections at each snapshot.
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
