"""explorer/recipes.py: meaning of recipes, and refusal of all other strings."""
import numpy as np
import pytest

from pgan.errors import ConfigError
from pgan.explorer.recipes import DEEPEST, Point, mixed, point_of, read_recipe
from pgan.scripts.seeds import slerp


class Made:
    """Sources whose latents are identified by their values."""

    def of_seed(self, seed, label):
        return Point(np.array([[seed, 1.0]], np.float32),
                     np.eye(3, dtype=np.float32)[[label or 0]])

    def of_projection(self, number, step):
        return Point(np.array([[number, -1 if step is None else step]], np.float32),
                     np.zeros([1, 3], np.float32))

    def direction(self, number):
        return np.eye(2, dtype=np.float32)[[number]]


def latents(text):
    return point_of(read_recipe(text), Made()).latents[0].tolist()


@pytest.mark.parametrize('text, expected', [
    ('42', [42, 1]), ('4294967295', [4294967296, 1]), ('p7', [7, -1]), ('p7.12', [7, 12]),
    ('sum(9,4,2)', [7, 1]), ('move(5,0=1.5,1=-2)', [6.5, -1]), ('move(5)', [5, 1]),
    ('mix(3,8,0)', [3, 1]), ('mix(3,8,1)', [8, 1]), ('sum(sum(9,4,2),p1,3:2)', [9, 3]),
])
def test_latents(text, expected):
    assert latents(text) == expected


def test_labels():
    of = lambda text: point_of(read_recipe(text), Made()).labels[0].tolist()
    assert of('4:2') == [0, 0, 1] and of('sum(4:2,4:1,4:0)') == [0, 0, 1] == of('move(4:2,0=1)')
    assert of('mix(4:2,4:1,0.25)') == [0, 0.25, 0.75]


def test_mixing_goes_along_the_sphere():
    """Interpolation is the same as in generate_interpolation_video."""
    a, b = (Made().of_seed(seed, None) for seed in (3, 8))
    found = mixed(a, b, 0.3)
    np.testing.assert_array_equal(found.latents, slerp(a.latents, b.latents, 0.3).astype('f'))
    assert latents('mix(3,8,0.3)') == found.latents[0].tolist()
    assert found.latents.dtype == np.float32


@pytest.mark.parametrize('text', [
    '', ' ', '-1', '4294967296', '4.5', '42:', '42:x', '42 ', ' 42', '42;7', 'nan', 'p', 'p-1',
    'mix(1,2)', 'mix(1,2,1.01)', 'mix(1,2,-0.1)', 'mix(1,2,nan)', 'mix(1,2,1e9)', 'mix(1,2,0.5',
    'mix(1,2,0.5))', 'sum(1,2)', 'sum(1,2,3,4)', 'move(1,0=11)', 'move(1,0=inf)', 'move(1,0)',
    'move(1,-1=2)', 'move()', 'mix', '../../etc/passwd', '4２', '٤', '\x00', 'move(1,0=0.1234567)',
    'mix(' * 500, '1' * 5000,
])
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigError, match='recipe'):
        read_recipe(text)


def test_recipes_within_recipes_have_an_end():
    def nested(depth):
        return '1' if not depth else f'move({nested(depth - 1)},0=1)'
    read_recipe(nested(DEEPEST))
    with pytest.raises(ConfigError):
        read_recipe(nested(DEEPEST + 1))
