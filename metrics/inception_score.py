"""Inception score (Salimans et al. 2016).

It is high if single images are recognizable and the images together are varied.
"""
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.special

from metrics import FeatureFunction
from metrics.inception import FeatureMetric
from pgan.errors import ConfigError


def inception_score(probabilities: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """exp(mean KL(p(y|x) || p(y))) of each part of the images, where p(y) is the part's mean.

    Args:
        probabilities: class probabilities of each image, [N, classes].
        splits: number of parts of consecutive images, reduced to N if larger.

    Returns:
        (mean, standard deviation) over the parts, in [1, classes].
    """
    splits = min(splits, len(probabilities))
    bounds = [index * len(probabilities) // splits for index in range(splits + 1)]
    parts = [probabilities[start:stop] for start, stop in zip(bounds[:-1], bounds[1:])]
    scores = [_score_of_one(part) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


def _score_of_one(probabilities):
    probabilities = np.asarray(probabilities, np.float64)
    # p * log(p / q), which is 0 at p = 0.
    divergences = scipy.special.rel_entr(probabilities, probabilities.mean(axis=0))
    return np.exp(divergences.sum(axis=1).mean())


class API(FeatureMetric):
    """IS_mean and IS_std. Fakes are not compared with reals; a pass of reals has its own score."""
    higher_is_better = True
    fewest = 1

    def __init__(self, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
                 minibatch_size: int, inception: FeatureFunction | str | os.PathLike | None = None,
                 result_dir: str | os.PathLike = 'results', splits: int = 10) -> None:
        """See `FeatureMetric` for the other arguments.

        Args:
            splits: see `inception_score`.

        Raises:
            ConfigError: splits is less than 1; see `check_setting` for other errors.
        """
        super().__init__(num_images, image_shape, image_dtype, minibatch_size, inception,
                         result_dir)
        if splits < 1:
            raise ConfigError('The inception score is averaged over at least one split. Received: '
                              f'splits={splits}. The usual number is 10.')
        self.splits = splits

    def get_metric_names(self) -> list[str]:
        return ['IS_mean', 'IS_std']

    def _start(self, mode):
        self._probabilities = []

    def _add(self, features, probabilities):
        self._probabilities.append(probabilities)

    def _finish(self, mode):
        return inception_score(np.concatenate(self._probabilities), self.splits)
