"""Sizes chosen by resolution, and sizes given."""
import types

import pytest

from pgan.errors import ConfigError
from pgan.scripts.option_checks import chosen_shrink, chosen_zoom


def generator_of(resolution):
    return types.SimpleNamespace(output_shape=[None, 3, resolution, resolution])


@pytest.mark.parametrize('resolution, grid_size, shrink', [
    (1024, [15, 8], 4), (1024, [1, 1], 1), (128, [15, 8], 1), (32, [15, 8], 1), (512, [15, 8], 2),
    (1024, [1, 3], 2), (4, [4000, 1], 4), (4, [1, 3000], 4),
])
def test_a_grid_fits_into_a_4k_picture(resolution, grid_size, shrink):
    assert chosen_shrink(generator_of(resolution), None, grid_size) == shrink
    assert chosen_shrink(generator_of(resolution), 3, grid_size) == 3


def test_an_image_keeps_a_pixel():
    with pytest.raises(ConfigError, match='train.image_shrink.*1 to 32.*33'):
        chosen_shrink(generator_of(32), 33, [1, 1])


@pytest.mark.parametrize('frame_size, zoom', [
    ([96, 64], 4), ([32, 32], 8), ([128, 128], 2), ([256, 256], 1), ([1024, 1024], 1),
    ([96, 96], 3), ([3840, 32], 1), ([1920, 32], 2), ([32, 4000], 1),
])
def test_a_frame_is_large_enough_to_see(frame_size, zoom):
    assert chosen_zoom(None, frame_size) == zoom
    assert chosen_zoom(1, frame_size) == 1
