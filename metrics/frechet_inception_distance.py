"""Frechet Inception distance (Heusel et al. 2017): the distance of two Gaussians fitted to
Inception's features of reals and fakes.
"""
import numpy as np

from metrics.inception import ComparingMetric

# Rows collected before they enter the covariance: one large matrix product instead of many small
# ones.
_ROWS = 512


def frechet_distance(mu1, sigma1, mu2, sigma2, root1=None):
    """|mu1 - mu2|^2 + Tr(sigma1 + sigma2 - 2 sqrt(sigma1 sigma2)), the squared 2-Wasserstein
    distance (Dowson and Landau 1982).

    The trace of the root is taken of the symmetric sqrt(sigma1) sigma2 sqrt(sigma1), which has the
    same eigenvalues. They are real, also where a covariance does not have full rank.

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


def matrix_root(sigma):
    """The symmetric square root of a covariance, float64 [D, D]; eigenvalues that rounding made
    negative count as 0.
    """
    values, vectors = np.linalg.eigh(np.asarray(sigma, np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


class Statistics:
    """Mean and covariance of rows that come a few at a time, in float64: those of np.mean and
    np.cov of all rows (Chan et al. 1979).
    """

    def __init__(self):
        self.count = 0
        self._mean = self._scatter = 0.0
        self._rows = []
        self._waiting = 0

    def add(self, rows):
        """Take rows, [n, D]."""
        self._rows.append(np.asarray(rows, np.float64))
        self._waiting += len(rows)
        if self._waiting >= _ROWS:
            self._merge()

    def _merge(self):
        rows = np.concatenate(self._rows)
        self._rows, self._waiting = [], 0
        total = self.count + len(rows)
        mean = rows.mean(axis=0)
        rows -= mean
        step = mean - self._mean
        self._scatter = self._scatter + rows.T @ rows + np.outer(
            step, step) * (self.count * len(rows) / total)
        self._mean = self._mean + step * (len(rows) / total)
        self.count = total

    def result(self):
        """(mean [D], covariance [D, D]) of the rows so far, two or more."""
        if self._rows:
            self._merge()
        return self._mean, self._scatter / (self.count - 1)


class API(ComparingMetric):
    """FID. All images of a pass count (the original dropped a last minibatch that was not full). A
    pass of reals results in 0.
    """
    _state_names = dict(fid_mean=1, fid_covariance=2)

    def get_metric_names(self):
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
        if self._root is None:
            self._root = matrix_root(self._reals['fid_covariance'])
        return [
            frechet_distance(self._reals['fid_mean'], self._reals['fid_covariance'], mean,
                             covariance, self._root)
        ]

    def set_reals_state(self, state):
        super().set_reals_state(state)
        self._root = None
