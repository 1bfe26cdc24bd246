"""Cache of the metrics' statistics of the reals: damaged files and unwritable folders are ignored.
"""
import os
import types

import numpy as np
import pytest

import dataset
from metrics.cache import RealsCache
from tests.support.damage import check_all, damaged, find_all, flips_within, half_precision
from tests.support.faults import ERRORS, Disk, Killed, check_message, faults_of, start_anew, tree


class KeepsArrays:
    """A metric that only has a state."""

    def __init__(self):
        self.state = {
            'features': np.random.RandomState(0).randn(200, 8).astype(np.float32),
            'number': np.array(200)
        }

    def get_reals_state(self):
        return self.state

    def set_reals_state(self, state):
        self.state = dict(features=state['features'], number=state['number'])


@pytest.mark.usefixtures('limits')
def test_kept_reals(labelled):
    """A damaged cache is ignored: the random state and the data set's position stay unchanged."""
    folder, _ = labelled
    dset, metric = dataset.TFRecordDataset(folder), KeepsArrays()
    kept = metric.state
    cache = RealsCache('cache', dset, [metric], ['name'], {'num_images': 3})
    np.random.seed(1)
    name, start = cache.path(), np.random.get_state()
    np.random.rand(3)
    expected = np.random.get_state()
    dset.position = 5
    cache.save(name, [1.5, float('nan')])
    path = types.SimpleNamespace(
        **{
            key: getattr(labelled[1].parent.parent / name, key)
            for key in ('read_bytes', 'write_bytes', 'name')
        })

    def read():
        np.random.set_state(start)
        dset.position, metric.state = 0, None
        return cache.load()

    def is_kept_or_nothing(result, data):
        if result is None:
            assert (np.random.get_state()[1] == start[1]
                    ).all() and np.random.get_state()[2] == start[2] and dset.position == 0
            return
        assert result[0] == 1.5 and np.isnan(result[1]) and dset.position == 5
        assert np.random.get_state()[2] == expected[2] and (np.random.get_state()[1]
                                                            == expected[1]).all()
        for key, value in kept.items():
            np.testing.assert_array_equal(metric.state[key], value)

    data = path.read_bytes()
    is_kept_or_nothing(read(), data)
    headers = [at + shift for at in find_all(data, b'\x93NUMPY') for shift in range(80)]
    for cases in (damaged(data, 800,
                          seed=1), damaged(data, 600, seed=2, kinds=[flips_within(headers)]),
                  half_precision(data), other_shapes(data)):
        check_all(path, cases, read, is_kept_or_nothing)


def other_shapes(data):
    for text, other in ((b'(624,)', b'(24,) '), (b'(2,)', b'(1,)'), (b'(200, 8)', b'(200, 4)'),
                        (b"'<i8'", b"'<i1'"), (b"'<f8'", b"'<f2'")):
        yield f'{text} as {other}', data.replace(text, other)


class Known:
    """A metric that only has a state."""

    def __init__(self, version):
        self.state = {'features': np.full([50, 4], version, np.float32)}

    def get_reals_state(self):
        return self.state

    def set_reals_state(self, state):
        self.state = {'features': state['features']}


def test_metrics_go_on_without_their_cache(room, monkeypatch, capsys):
    dset = dataset.TFRecordDataset('../data/0')

    def keep(version):
        np.random.seed(1)
        cache = RealsCache('cache', dset, [Known(version)], ['x'], {})
        cache.save(cache.path(), [float(version)])

    def kept():
        np.random.seed(1)
        metric = Known(-1)
        values = RealsCache('cache', dset, [metric], ['x'], {}).load()
        assert values is None or (metric.state['features'] == values[0]).all()
        return values

    for old in (False, True):
        start_anew({})
        if old:
            keep(0)
        before = tree()
        for operation, number in list(faults_of(keep, room, monkeypatch)):
            for cause in ERRORS.values():
                start_anew(before)
                capsys.readouterr()
                with Disk(room, operation, number, cause).installed(monkeypatch):
                    keep(1)
                assert tree().items() - {('cache', None)} == before.items() - {('cache', None)}
                check_message(capsys.readouterr().err.strip(), "cache", os.strerror(cause))
                assert kept() == ([0.0] if old else None)
            start_anew(before)
            with Disk(room, operation, number,
                      Killed).installed(monkeypatch), pytest.raises(Killed):
                keep(1)
            assert kept() == ([0.0] if old else None)
