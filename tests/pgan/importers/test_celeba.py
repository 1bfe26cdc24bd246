"""CelebA: the crop, and folders that are not CelebA."""
import os

import numpy as np
import pytest

import dataset_tool
from pgan.importers import celeba as celeba_importer
from tests.support.data_inputs import fails
from tests.support.importer_inputs import noise, pixels_of

# --------------------------------------------------------------------------------------------------
# CelebA and HDF5.

@pytest.fixture
def celeba(in_tmp, monkeypatch):
    monkeypatch.setattr(celeba_importer, 'NUM_IMAGES', 2)
    os.makedirs('in/img_align_celeba_png')
    for number in (1, 2):
        noise(178, 218, seed=number).save(f'in/img_align_celeba_png/{number:06d}.png')
    return in_tmp


def test_celeba_cuts_where_it_is_told_to(celeba):
    dataset_tool.main(['create_celeba', 'out', 'in', '--cx', '64', '--cy', '154'])
    order = np.arange(2)
    np.random.RandomState(123).shuffle(order)
    expected = [
        np.asarray(noise(178, 218, seed=number + 1))[90:218, 0:128].transpose(2, 0, 1)
        for number in order
    ]
    assert np.array_equal(pixels_of('out')[0], expected)


@pytest.mark.parametrize('option, value', [('--cx', '63'), ('--cx', '115'), ('--cy', '63'),
                                           ('--cy', '155')])
def test_celeba_cuts_stay_inside(option, value, celeba, capsys):
    message = fails(['create_celeba', 'out', 'in', option, value], capsys)
    assert option in message and f'Received: {value}.' in message


@pytest.mark.parametrize('folder', ['img_align_celeba', 'img_align_celeba/img_align_celeba'])
def test_the_jpeg_version_is_taken_with_a_note(folder, celeba, capsys):
    os.makedirs(f'jpeg/{folder}')
    for number in (1, 2):
        noise(178, 218, seed=number).save(f'jpeg/{folder}/{number:06d}.jpg')
    dataset_tool.main(['create_celeba', 'out', 'jpeg'])
    assert pixels_of('out')[0].shape == (2, 3, 128, 128)
    assert f"'jpeg/{folder}' holds the JPEG version" in capsys.readouterr().err
    dataset_tool.main(['create_celeba', 'png', 'in'])
    assert capsys.readouterr().err == ''
    os.unlink(f'jpeg/{folder}/000002.jpg')
    assert 'Expected to find 2 images, *.jpg' in fails(['create_celeba', 'x', 'jpeg'], capsys)


def test_celeba_that_is_not_celeba_is_refused(celeba, capsys):
    noise(178, 178).save('in/img_align_celeba_png/000002.png')
    message = fails(['create_celeba', 'out', 'in'], capsys)
    assert '000002.png' in message and '3 channels of 178x178' in message
    assert 'https://mmlab' in message
    message = fails(['create_celeba', 'out', 'in/img_align_celeba_png'], capsys)
    assert "'in/img_align_celeba_png/img_align_celeba_png' does not exist" in message
    assert 'Found there: 000001.png, 000002.png' in message
    os.makedirs('deep/in')
    os.rename('in', 'deep/in/celeba')
    assert "There is one in 'deep/in/celeba'" in fails(['create_celeba', 'out', 'deep/in'], capsys)
