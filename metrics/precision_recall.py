"""Improved precision and recall (Kynkaanniemi et al. 2019).

They tell how many fakes look real, and how many reals could have been made. A set of images stands
for all that lies within a ball around each, as wide as the distance to its k-th nearest neighbour
in the set. The time grows with the square of the number of images: 50000 of each take some minutes.
"""
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from metrics import FeatureFunction
from metrics.inception import CollectingMetric
from pgan.errors import ConfigError

# Distances held at a time: 128 MB.
_DISTANCES = 1 << 25


def _squared_distances(a, b):
    """Of each row of a to each of b, float32 [M, N]."""
    distances = a @ b.T
    distances *= -2
    distances += np.einsum('nd,nd->n', a, a)[:, None]
    distances += np.einsum('nd,nd->n', b, b)
    return np.maximum(distances, 0, out=distances)


def _chunks(a, b):
    """Rows of a few at a time, so that their distances to b stay within bounds: slices."""
    size = max(1, _DISTANCES // len(b))
    return [slice(start, start + size) for start in range(0, len(a), size)]


def squared_radii(features: np.ndarray, k: int = 3) -> np.ndarray:
    """The squared distance of each row to its k-th nearest other row.

    Args:
        features: float32 [N, D], N > k.
        k: which neighbour.

    Returns:
        float32 [N].
    """
    # A row is its own nearest, which takes place 0.
    return np.concatenate([
        np.partition(_squared_distances(features[rows], features), k, axis=1)[:, k]
        for rows in _chunks(features, features)
    ])


def precision_recall(reals: np.ndarray, fakes: np.ndarray, k: int = 3,
                     real_radii: np.ndarray | None = None) -> tuple[float, float]:
    """Fraction of fakes within the reals' balls, and of reals within the fakes'.

    These are equations 1 and 2 of Kynkaanniemi et al.

    Args:
        reals, fakes: features, float32 [M, D] and [N, D], more than k rows each.
        k: which neighbour gives a ball's radius.
        real_radii: `squared_radii(reals, k)` where it is known.

    Returns:
        (precision, recall), each in [0, 1].
    """
    # Distances of points far from the origin would lose digits.
    origin = reals.mean(axis=0)
    reals, fakes = reals - origin, fakes - origin
    real_radii = squared_radii(reals, k) if real_radii is None else real_radii
    fake_radii = squared_radii(fakes, k)
    inside, covered = 0, np.zeros(len(reals), bool)
    for rows in _chunks(fakes, reals):
        distances = _squared_distances(fakes[rows], reals)
        inside += int(np.count_nonzero((distances <= real_radii).any(axis=1)))
        covered |= (distances <= fake_radii[rows, None]).any(axis=0)
    return inside / len(fakes), float(covered.mean())


class API(CollectingMetric):
    """Precision and Recall. A pass of reals results in ones."""
    higher_is_better = True
    _state_names = dict(features=2, squared_radii=1)

    def __init__(self, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
                 minibatch_size: int, inception: FeatureFunction | str | os.PathLike | None = None,
                 result_dir: str | os.PathLike = 'results', k: int = 3) -> None:
        """As `FeatureMetric`, and

        Args:
            k: which nearest neighbour gives a ball's radius; num_images must be larger.
        """
        if k < 1:
            raise ConfigError('Precision and recall measure to a k-th nearest neighbour. Expected '
                              f'k of at least 1. Received: k={k}.')
        self.k = k
        self.fewest = k + 1
        super().__init__(num_images, image_shape, image_dtype, minibatch_size, inception,
                         result_dir)

    def get_metric_names(self) -> list[str]:
        return ['Precision', 'Recall']

    def _finish(self, mode):
        features = self._collected()
        if mode != 'fakes':
            radii = squared_radii(features - features.mean(axis=0), self.k)
            self._reals = dict(features=features, squared_radii=radii)
            return [1.0, 1.0]
        return precision_recall(self._reals['features'], features, self.k,
                                self._reals['squared_radii'])
