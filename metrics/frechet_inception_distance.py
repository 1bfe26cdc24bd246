"""Frechet Inception distance (Heusel et al. 2017).

The distance between two Gaussians fitted to the Inception features of the reals and of the fakes.
"""
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from metrics.inception import ComparingMetric

# Rows are buffered until there are this many, for one large matrix product instead of many small
# ones.
_ROWS = 512


def frechet_distance(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray,
                     root1: np.ndarray | None = None) -> float:
    """Squared 2-Wasserstein distance between two Gaussians (Dowson and Landau 1982).

    |mu1 - mu2|^2 + Tr(sigma1 + sigma2 - 2 sqrt(sigma1 sigma2)). The trace of the root is computed
    from the symmetric matrix sqrt(sigma1) sigma2 sqrt(sigma1), which has the same eigenvalues.
    They are real even if a covariance is rank-deficient.

    Args:
        mu1, mu2: means, [D].
        sigma1, sigma2: covariances, [D, D].
        root1: `matrix_root(sigma1)`, if known.

    Returns:
        float. For equal statistics it is 0 within about 1e-12 of the traces, and may be negative.
    """
    root1 = matrix_root(sigma1) if root1 is None else root1
    product = root1 @ sigma2 @ root1
    values = np.linalg.eigvalsh((product + product.T) / 2)
    root_trace = np.sqrt(np.maximum(values, 0)).sum()
    return float(np.sum((mu1 - mu2) ** 2) + np.trace(sigma1) + np.trace(sigma2) - 2 * root_trace)


def matrix_root(sigma: npt.ArrayLike) -> np.ndarray:
    """Symmetric square root of a covariance, float64 [D, D].

    Eigenvalues that are negative because of rounding are set to 0.
    """
    values, vectors = np.linalg.eigh(np.asarray(sigma, np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


class Statistics:
    """Streaming mean and covariance in float64 (Chan et al. 1979).

    The results equal np.mean and np.cov of all rows.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = np.zeros(())
        self._scatter = np.zeros(())
        self._rows: list[np.ndarray] = []
        self._waiting = 0

    def add(self, rows: npt.ArrayLike) -> None:
        """Add rows, [n, D]."""
        array = np.asarray(rows, np.float64)
        self._rows.append(array)
        self._waiting += len(array)
        if self._waiting >= _ROWS:
            self._merge()

    def _merge(self):
        rows = np.concatenate(self._rows)
        self._rows, self._waiting = [], 0
        total = self.count + len(rows)
        mean = rows.mean(axis=0)
        rows -= mean
        step = mean - self._mean
        shift = np.outer(step, step) * (self.count * len(rows) / total)
        self._scatter = self._scatter + rows.T @ rows + shift
        self._mean = self._mean + step * (len(rows) / total)
        self.count = total

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean [D], covariance [D, D]) of the rows added so far, at least two."""
        if self._rows:
            self._merge()
        return self._mean, self._scatter / (self.count - 1)


class API(ComparingMetric):
    """FID; 0 for a pass of reals.

    All images of a pass are used. (The original dropped an incomplete last minibatch.)
    """
    higher_is_better = False
    _state_names = dict(fid_mean=1, fid_covariance=2)

    def get_metric_names(self) -> list[str]:
        return ['FID']

    def _start(self, mode):
        super()._start(mode)
        self._statistics = Statistics()

    def _add(self, features, probabilities):
        self._statistics.add(features)

    def _finish(self, mode):
        mean, covariance = self._statistics.result()
        del self._statistics
        if mode != 'fakes':
            self._reals, self._root = dict(fid_mean=mean, fid_covariance=covariance), None
            return [0.0]
        real_mean, real_covariance = self._reals['fid_mean'], self._reals['fid_covariance']
        if self._root is None:
            self._root = matrix_root(real_covariance)
        return [frechet_distance(real_mean, real_covariance, mean, covariance, self._root)]

    def set_reals_state(self, state: Mapping[str, np.ndarray]) -> None:
        super().set_reals_state(state)
        self._root = None
