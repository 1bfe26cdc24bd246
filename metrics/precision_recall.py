"""Improved precision and recall (Kynkaanniemi et al. 2019).

Precision is the fraction of fakes that look real, recall the fraction of reals that the generator
could produce. The manifold of a set of images is the union of balls around their features, each
with the distance to the k-th nearest neighbour in the set as its radius. The time grows with the
square of the number of images: 50000 of each take some minutes.
"""
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from metrics import FeatureFunction
from metrics.inception import CollectingMetric
from pgan.errors import ConfigError

# Distances in memory at a time: 128 MB.
_DISTANCES = 1 << 25


def _squared_distances(a, b):
    """Squared distance of each row of a to each row of b, float32 [M, N]."""
    distances = a @ b.T
    distances *= -2
    distances += np.einsum('nd,nd->n', a, a)[:, None]
    distances += np.einsum('nd,nd->n', b, b)
    return np.maximum(distances, 0, out=distances)


def _chunks(a, b):
    """Slices of a's rows whose distances to b fit into _DISTANCES numbers."""
    size = max(1, _DISTANCES // len(b))
    return [slice(start, start + size) for start in range(0, len(a), size)]


def squared_radii(features: np.ndarray, k: int = 3) -> np.ndarray:
    """Squared distance of each row to its k-th nearest other row.

    Args:
        features: float32 [N, D], N > k.
        k: number of the neighbour.

    Returns:
        float32 [N].
    """
    # Index 0 is the row itself.
    return np.concatenate([
        np.partition(_squared_distances(features[rows], features), k, axis=1)[:, k]
        for rows in _chunks(features, features)
    ])


def precision_recall(reals: np.ndarray, fakes: np.ndarray, k: int = 3,
                     real_radii: np.ndarray | None = None) -> tuple[float, float]:
    """Fraction of fakes within the reals' balls, and of reals within the fakes' balls.

    Equations 1 and 2 of Kynkaanniemi et al.

    Args:
        reals, fakes: features, float32 [M, D] and [N, D], more than k rows each.
        k: number of the neighbour that determines a ball's radius.
        real_radii: `squared_radii(reals, k)`, if known.

    Returns:
        (precision, recall), each in [0, 1].
    """
    # Centre the features: distances between points far from the origin lose precision.
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
    """Precision and Recall; ones for a pass of reals."""
    higher_is_better = True
    _state_names = dict(features=2, squared_radii=1)

    def __init__(self, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
                 minibatch_size: int, inception: FeatureFunction | str | os.PathLike | None = None,
                 result_dir: str | os.PathLike = 'results', k: int = 3) -> None:
        """See `FeatureMetric` for the other arguments.

        Args:
            k: number of the neighbour that determines a ball's radius, less than num_images.
        """
        if k < 1:
            raise ConfigError('Precision and recall use the distance to the k-th nearest '
                              f'neighbour. Expected k of at least 1. Received: k={k}.')
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
