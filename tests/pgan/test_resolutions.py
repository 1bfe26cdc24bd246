"""resolutions: valid resolutions and their logarithms."""
import numpy as np
import pytest

from pgan.resolutions import is_resolution, log2_of


@pytest.mark.parametrize('value', [4, 8, 1024, 2**40, np.int64(16), np.uint8(128)])
def test_powers_of_two_from_4_up_are_resolutions(value):
    assert is_resolution(value)


@pytest.mark.parametrize('value', [0, 1, 2, -4, 3, 6, 12, 1023, 4.0, '4', None, True, np.int64(6)])
def test_everything_else_is_not(value):
    assert not is_resolution(value)


def test_logarithms_are_exact():
    assert [log2_of(2**n) for n in range(60)] == list(range(60))
    assert log2_of(np.int64(32)) == 5 and type(log2_of(np.int64(32))) is int
    assert log2_of(48) == 5
