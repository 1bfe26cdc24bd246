"""Frechet Inception distance (Heusel et al. 2017).

The distance of two Gaussians, fitted to Inception's features of the reals and of the fakes.
"""
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from metrics.inception import ComparingMetric

# Rows collected before they enter the covariance: one large matrix product instead of many small
# ones.
_ROWS = 512


def frechet_distance(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray,
                     root1: np.ndarray | None = None) -> float:
    """Squared 2-Wasserstein distance of two Gaussians (Dowson and Landau 1982).

    It is |mu1 - mu2|^2 + Tr(sigma1 + sigma2 - 2 sqrt(sigma1 sigma2)). The trace of the root is
    taken of the symmetric sqrt(sigma1) sigma2 sqrt(sigma1), which has the same eigenvalues. They
    are real, also where a covariance does not have full rank.

    Args:
        mu1, mu2: means, [D].
        sigma1, sigma2: covariances, [D, D].
        root1: `matrix_root(sigma1)`, where it is known.

    Returns:
        float; of equal statistics up to some 1e-12 of the traces above or below 0.
    """
    root1 = matrix_root(sigma1) if root1 is None else root1
    product = root1 @ sigma2 @ root1
    values = np.linalg.eigvalsh((product + product.T) / 2)
    root_trace = np.sqrt(np.maximum(values, 0)).sum()
    return float(np.sum((mu1 - mu2) ** 2) + np.trace(sigma1) + np.trace(sigma2) - 2 * root_trace)


def matrix_root(sigma: npt.ArrayLike) -> np.ndarray:
    """The symmetric square root of a covariance, float64 [D, D].

    Eigenvalues that rounding made negative count as 0.
    """
    values, vectors = np.linalg.eigh(np.asarray(sigma, np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


class Statistics:
    """Mean and covariance of rows that come a few at a time, in float64 (Chan et al. 1979).

    They are those of np.mean and np.cov of all rows.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = np.zeros(())
        self._scatter = np.zeros(())
        self._rows: list[np.ndarray] = []
        self._waiting = 0

    def add(self, rows: npt.ArrayLike) -> None:
        """Take rows, [n, D]."""
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
        """(mean [D], covariance [D, D]) of the rows so far, two or more."""
        if self._rows:
            self._merge()
        return self._mean, self._scatter / (self.count - 1)


class API(ComparingMetric):
    """FID. A pass of reals results in 0.

    All images of a pass count (the original dropped a last minibatch that was not full).
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
