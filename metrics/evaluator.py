"""Evaluation of metrics: feeds them real images, then the images of each generator."""
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

import misc
from dataset import Dataset
from metrics import Metric
from metrics.cache import RealsCache
from pgan.errors import ConfigError
from pgan.progress_bar import progress_bar

if TYPE_CHECKING:
    from tfutil import Network  # brings TensorFlow

NUM_WARMUP_MINIBATCHES = 10


def default_minibatch_size(resolution: int) -> int:
    """Number of images that fit into memory at a time: 4 to 256, fewer at higher resolutions."""
    return int(np.clip(8192 // resolution, 4, 256))


class Evaluator:
    """Several metrics that are fed the same images.

    Args:
        metrics: the metrics, created for `num_images` images of shape [3, R, R].
        training_set: source of the real images, and of the labels that are fed to generators.
        num_images: number of real images, and of generated images per pass.
        minibatch_size: images per minibatch.
        mirror_augment: mirror each real image with probability 1/2, as the run did.
        silent: show no progress bars.

    Attributes:
        names, formats: names and %-formats of all values of all metrics, e.g. 'FID' and '%-10.4f'.

    Raises:
        ConfigError: num_images or minibatch_size is less than 1.
    """

    def __init__(self, metrics: Sequence[Metric], training_set: Dataset, num_images: int,
                 minibatch_size: int, *, mirror_augment: bool = False,
                 silent: bool = False) -> None:
        if num_images < 1 or minibatch_size < 1:
            raise ConfigError('num_images and minibatch_size must be at least 1. Received: '
                              f'{num_images} and {minibatch_size}.')
        self._metrics = metrics
        self._training_set = training_set
        self._num_images = num_images
        self._minibatch_size = minibatch_size
        self._mirror_augment = mirror_augment
        self._silent = silent
        self._cache: RealsCache | None = None
        self.names = [name for metric in metrics for name in metric.get_metric_names()]
        self.formats = [text for metric in metrics for text in metric.get_metric_formatting()]
        _note_repeated_images(num_images, getattr(training_set, 'num_images', None))

    def warm_up(self) -> None:
        """Feed random images, so that one-time work is not included in the time of the reals."""
        shape = [self._minibatch_size, 3, *self._training_set.shape[1:]]
        minibatches = (np.random.randint(0, 256, size=shape, dtype=np.uint8)
                       for _ in range(NUM_WARMUP_MINIBATCHES))
        self._run('warmup', minibatches, NUM_WARMUP_MINIBATCHES * self._minibatch_size)

    def keep_reals(self, folder: str | os.PathLike, names: Sequence[str]) -> None:
        """Cache the metrics' statistics of the reals in a folder; see `RealsCache`.

        Args:
            folder: folder of the cache.
            names: names of the metrics, and everything else that their results depend on.
        """
        settings = dict(num_images=self._num_images, minibatch_size=self._minibatch_size,
                        mirror_augment=self._mirror_augment)
        self._cache = RealsCache(folder, self._training_set, self._metrics, names, settings)

    def evaluate_reals(self) -> list[float]:
        """Feed the data set's next images as the reals that generators are compared with.

        Returns:
            The metrics' values.
        """
        if self._cache is None:
            return self._look_at_reals('reals')
        kept = self._cache.load()
        if kept is not None:
            return kept
        path = self._cache.path()
        values = self._look_at_reals('reals')
        self._cache.save(path, values)
        return values

    def evaluate_more_reals(self) -> list[float]:
        """Feed the data set's next images as if they were generated.

        Returns:
            The metrics' values: the distance between two samples of real images.
        """
        return self._look_at_reals('fakes')

    def evaluate_fakes(self, Gs: 'Network', num_gpus: int = 1) -> list[float]:
        """Feed images generated from random latents and random labels of the data set.

        Returns:
            The metrics' values.
        """
        minibatches = (self._generate(Gs, size, num_gpus) for size in self._sizes())
        return self._run('fakes', minibatches, self._num_images)

    def _look_at_reals(self, mode: str) -> list[float]:
        return self._run(mode, map(self._read_reals, self._sizes()), self._num_images)

    def _sizes(self) -> Iterator[int]:
        """Sizes of the minibatches, `num_images` in total; the last one may be smaller."""
        for start in range(0, self._num_images, self._minibatch_size):
            yield min(self._minibatch_size, self._num_images - start)

    def _read_reals(self, size):
        images, _ = self._training_set.get_minibatch_np(size)
        images = as_bytes(images, self._training_set.dynamic_range)
        return to_rgb(misc.apply_mirror_augment(images) if self._mirror_augment else images)

    def _generate(self, Gs, size, num_gpus):
        latents = misc.random_latents(size, Gs)
        labels = self._training_set.get_random_labels_np(size)
        # A custom network may have no input for labels.
        inputs = [latents, labels][:len(Gs.input_shapes)]
        return to_rgb(Gs.run(*inputs, num_gpus=num_gpus, out_mul=127.5, out_add=127.5,
                             out_dtype=np.uint8))

    def _run(self, mode: str, minibatches: Iterable[np.ndarray], total: int) -> list[float]:
        for metric in self._metrics:
            metric.begin(mode)
        with progress_bar(total=total, unit='img', desc=mode, delay=3, silent=self._silent) as bar:
            for minibatch in minibatches:
                for metric in self._metrics:
                    metric.feed(mode, minibatch)
                bar.update(len(minibatch))
        return [value for metric in self._metrics for value in metric.end(mode)]


def _note_repeated_images(wanted, existing):
    if existing and wanted > existing:
        print(f'Note: the metrics compare {wanted} images, but the data set has {existing}: each '
              f'real image counts {wanted / existing:.3g} times on average. Do not compare these '
              f'values with those of other data sets, or choose at most {existing} images.')


def as_bytes(images: np.ndarray, dynamic_range: Sequence[float]) -> np.ndarray:
    """Convert images of a data set to the metrics' format: uint8 from 0 to 255."""
    if images.dtype == np.uint8 and list(dynamic_range) == [0, 255]:
        return images
    scaled = misc.adjust_dynamic_range(images.astype(np.float32), dynamic_range, [0, 255])
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def to_rgb(images: np.ndarray) -> np.ndarray:
    """Convert grayscale images [N, 1, H, W] to [N, 3, H, W]; return others unchanged."""
    return np.repeat(images, 3, axis=1) if images.shape[1] == 1 else images
