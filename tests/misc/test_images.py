"""misc.images compared with the golden cases, and cases that they do not cover."""
import os
import pathlib
import re

import numpy as np
import PIL.Image
import pytest

import misc
from misc import images
from tests.support.golden import load_json, load_npz

JSON = load_json('misc.json')
NPZ = load_npz('misc.npz')


def recipe(text):
    """Evaluate an array recipe 'RandomState(s).randint(a, b, size=[...]).astype(t)'."""
    form = r'RandomState\((\d+)\)\.randint\((\d+), (\d+), size=\[(.*)\]\)\.astype\((\w+)\)'
    seed, low, high, size, dtype = re.fullmatch(form, text).groups()
    shape = [int(part) for part in size.split(',')]
    return np.random.RandomState(int(seed)).randint(int(low), int(high), size=shape).astype(dtype)


def same(received, expected):
    return received.dtype == expected.dtype and received.shape == expected.shape and np.array_equal(
        received, expected)


# ------------------------------------------------------------ ranges

@pytest.mark.parametrize('case', JSON['adjust_dynamic_range'], ids=lambda case: case['index'])
def test_adjust_dynamic_range(case):
    received = misc.adjust_dynamic_range(NPZ[f'drange/{case["index"]}/in'], case['drange_in'],
                                         case['drange_out'])
    assert same(received, NPZ[f'drange/{case["index"]}/out'])


def test_adjust_dynamic_range_takes_lists_and_tuples_alike():
    data = np.arange(4, dtype=np.uint8)
    assert misc.adjust_dynamic_range(data, (0, 255), [0, 255]) is data


# ------------------------------------------------------------ grids

@pytest.mark.parametrize('case', JSON['create_image_grid'], ids=lambda case: case['index'])
def test_create_image_grid(case):
    received = misc.create_image_grid(recipe(case['images']), case['grid_size'])
    assert same(received, NPZ[f'grid/{case["index"]}'])


def test_create_image_grid_errors():
    with pytest.raises(ValueError, match='7 images do not fit into a grid of 3 x 2'):
        misc.create_image_grid(np.zeros([7, 1, 4, 4]), (3, 2))
    with pytest.raises(ValueError, match=r'Received: shape \[4, 4\]'):
        misc.create_image_grid(np.zeros([4, 4]))


# ------------------------------------------------------------ PIL and files

@pytest.mark.parametrize('case', JSON['convert_to_pil_image'], ids=lambda case: case['index'])
def test_convert_to_pil_image(case):
    received = misc.convert_to_pil_image(NPZ[f'pil/{case["index"]}/in'], case['drange'])
    assert (received.mode, list(received.size)) == (case['mode'], case['size'])
    assert same(np.asarray(received), NPZ[f'pil/{case["index"]}/out'])


@pytest.mark.parametrize('case', JSON['convert_to_pil_image_raises'],
                         ids=lambda case: str(case['shape']))
def test_convert_to_pil_image_shapes(case):
    if 'value' in case:
        assert str(misc.convert_to_pil_image(np.zeros(case['shape'])).size) == case['value']
    else:
        with pytest.raises(ValueError, match='Received: shape'):
            misc.convert_to_pil_image(np.zeros(case['shape']))


@pytest.mark.parametrize('case', JSON['save_image_grid'], ids=lambda case: case['index'])
def test_save_image_grid(case, in_tmp):
    misc.save_image_grid(NPZ[f'savegrid/{case["index"]}/in'], 'grid.png', case['drange'],
                         case['grid_size'])
    with PIL.Image.open('grid.png') as image:
        assert (image.mode, image.format, list(image.size)) == (case['mode'], case['format'],
                                                                case['size'])
        assert same(np.asarray(image), NPZ[f'savegrid/{case["index"]}/out'])


@pytest.mark.parametrize('ending', ['png', 'jpg'])
def test_save_image(ending, in_tmp):
    misc.save_image(NPZ['save_image/in'], 'image.' + ending, [0, 255])
    with PIL.Image.open('image.' + ending) as image:
        assert image.format == JSON['save_image'][f'{ending}_format']
        # JPEG decoders may differ by one level due to rounding.
        np.testing.assert_allclose(
            np.asarray(image).astype(int), NPZ[f'save_image/{ending}'].astype(int),
            atol=int(ending == 'jpg'))
    assert os.listdir() == ['image.' + ending]


def test_save_image_of_unknown_kind(in_tmp):
    with pytest.raises(ValueError, match=r"\.png.*Received: 'image\.gif'"):
        misc.save_image(np.zeros([4, 4]), 'image.gif')
    assert os.listdir() == []


def test_a_failed_save_leaves_the_old_image(in_tmp, monkeypatch):
    misc.save_image(np.zeros([4, 4]), 'image.png')
    before = pathlib.Path('image.png').read_bytes()

    def fail(*args, **kwargs):
        raise RuntimeError('encoder')
    monkeypatch.setattr(PIL.Image.Image, 'save', fail)
    with pytest.raises(RuntimeError):
        misc.save_image(np.ones([4, 4]), 'image.png')
    assert os.listdir() == ['image.png']
    assert pathlib.Path('image.png').read_bytes() == before


# ------------------------------------------------------------ mirroring

@pytest.mark.parametrize('case', JSON['apply_mirror_augment'], ids=lambda case: case['index'])
def test_apply_mirror_augment(case):
    key = f'mirror/{case["index"]}'
    minibatch = NPZ[f'{key}/in'].copy()
    np.random.seed(case['np_random_seed'])
    received = misc.apply_mirror_augment(minibatch)
    assert same(received, NPZ[f'{key}/out'])
    assert np.array_equal(np.random.rand(2), NPZ[f'{key}/next_rand'])
    assert same(minibatch, NPZ[f'{key}/in'])


# ------------------------------------------------------------ text

@pytest.mark.parametrize('case', JSON['draw_text_label'], ids=lambda case: case['index'])
def test_draw_text_label(case, monkeypatch):
    key = f'label/{case["index"]}'
    monkeypatch.setattr(images, '_render_text', lambda text, fontsize: NPZ[f'{key}/rendered'])
    misc.setup_text_label.cache_clear()
    alpha, glow = misc.setup_text_label('text')
    assert np.array_equal(alpha, NPZ[f'{key}/alpha'])
    # SciPy versions sum in different orders.
    np.testing.assert_allclose(glow, NPZ[f'{key}/glow'], rtol=0, atol=1e-15)
    image = NPZ[f'{key}/img'].copy()
    keys = ('x', 'y', 'alignx', 'aligny', 'opacity', 'glow_opacity')
    received = misc.draw_text_label(image, 'text', color=np.array(case['color']),
                                    **{k: case[k]
                                       for k in keys})
    assert same(received, NPZ[f'{key}/out'])
    assert same(image, NPZ[f'{key}/img'])
    misc.setup_text_label.cache_clear()


def test_text_is_rendered():
    """Real glyphs: wide text is wider, ink is inside the mask, a label far outside changes nothing,
    and colours may be a list.
    """
    misc.setup_text_label.cache_clear()
    narrow, wide = misc.setup_text_label('1')[0], misc.setup_text_label('1111')[0]
    assert wide.shape[1] > narrow.shape[1] > 12
    assert 0.9 < wide.max() <= 1
    assert (wide[:6] == 0).all()
    gray = np.full([60, 200, 3], 128, np.uint8)
    drawn = misc.draw_text_label(gray, 'lod 1.50', 100, 30, color=[255, 255, 0])
    assert (drawn[..., 0] > 250).any()
    assert (drawn[..., 2] < 5).any()
    assert np.array_equal(misc.draw_text_label(gray, 'lod', 1000, 30), gray)
    assert np.array_equal(misc.draw_text_label(gray, '', -1000, -30), gray)


def test_label_masks_are_cached_and_cannot_be_changed():
    alpha, _ = misc.setup_text_label('x')
    assert misc.setup_text_label('x')[0] is alpha
    with pytest.raises(ValueError, match='read-only'):
        alpha[0, 0] = 1
