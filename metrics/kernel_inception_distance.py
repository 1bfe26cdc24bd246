"""Kernel Inception distance (Binkowski et al. 2018).

Unlike FID, it is unbiased even for few images.
"""
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from metrics import FeatureFunction
from metrics.inception import CollectingMetric


def polynomial_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy (Binkowski et al., section 3).

    The kernel is (x.y / D + 1)^3.

    Args:
        x, y: features, [M, D] and [N, D], at least two rows each.

    Returns:
        float; near 0, positive or negative, if both are drawn from the same distribution.
    """
    def kernel(a, b):
        return (a @ b.T / np.float32(a.shape[1]) + np.float32(1)).astype(np.float64) ** 3
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    m, n = len(x), len(y)
    # Exclude the diagonals: comparing an image with itself would bias the estimate.
    within_x = (xx.sum() - np.trace(xx)) / (m * (m - 1))
    within_y = (yy.sum() - np.trace(yy)) / (n * (n - 1))
    return float(within_x + within_y - 2 * xy.mean())


def kernel_distance(reals: np.ndarray, fakes: np.ndarray, num_subsets: int = 100,
                    subset_size: int = 1000, seed: int = 0) -> tuple[float, float]:
    """`polynomial_mmd` of random subsets.

    Args:
        reals, fakes: features, float32 [M, D] and [N, D], at least two rows each.
        num_subsets: number of pairs of subsets.
        subset_size: rows of each subset, at most all. If a subset is all rows, one pair is
            evaluated and the deviation is 0.
        seed: seed of the subsets; NumPy's global generator is not used.

    Returns:
        (mean, standard deviation) over the subsets.
    """
    random = np.random.RandomState(seed)
    size = min(subset_size, len(reals), len(fakes))
    if size == len(reals) == len(fakes):
        num_subsets = 1
    values = [
        polynomial_mmd(reals[random.choice(len(reals), size, replace=False)],
                       fakes[random.choice(len(fakes), size, replace=False)])
        for _ in range(num_subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


class API(CollectingMetric):
    """KIDx1e3_mean and KIDx1e3_std over 100 subsets of 1000 images (fewer if there are fewer).

    Zeros for a pass of reals.
    """
    higher_is_better = False
    _state_names = dict(features=2)

    def __init__(self, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
                 minibatch_size: int, inception: FeatureFunction | str | os.PathLike | None = None,
                 result_dir: str | os.PathLike = 'results', num_subsets: int = 100,
                 subset_size: int = 1000, seed: int = 0) -> None:
        """See `FeatureMetric`, and `kernel_distance` for num_subsets, subset_size and seed."""
        super().__init__(num_images, image_shape, image_dtype, minibatch_size, inception,
                         result_dir)
        self._options = dict(num_subsets=num_subsets, subset_size=subset_size, seed=seed)

    def get_metric_names(self) -> list[str]:
        return ['KIDx1e3_mean', 'KIDx1e3_std']

    def _finish(self, mode):
        features = self._collected()
        if mode != 'fakes':
            self._reals = dict(features=features)
            return [0.0, 0.0]
        distances = kernel_distance(self._reals['features'], features, **self._options)
        return [value * 1e3 for value in distances]
