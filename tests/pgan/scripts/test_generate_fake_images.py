"""generate_fake_images: golden latents, pixels, files and text; labels of conditional networks;
mistakes.
"""
import os

import numpy as np
import PIL.Image
import pytest

import misc
from pgan.errors import ConfigError, DataError
from tests.support.golden import load_json, load_npz
from tests.support.script_inputs import (
    StandInNetwork,
    check_run_options,
    files_as_originals,
    settings_of_run,
    write_labelled_data,
)
from util_scripts import generate_fake_images

GOLDEN_CASES = load_json('util.json')['generate_fake_images']


@pytest.mark.parametrize('case', GOLDEN_CASES, ids=lambda case: str(case['index']))
def test_golden(use_network, capsys, case):
    data, prefix = load_npz('util.npz'), f'fake_images/{case["index"]}'
    net = use_network(
        StandInNetwork(case['latent_shape'][0], [3, 8, 8] if case['index'] < 2 else [3, 16, 16]))
    folder = generate_fake_images(**case['kwargs'], config=settings_of_run())
    assert capsys.readouterr().out == case['stdout']
    assert folder == 'results/024-out' and files_as_originals(folder) == case['files']
    for i, name in enumerate(name for name in case['files'] if name.endswith('.png')):
        np.testing.assert_array_equal(net.latents[i], data[f'{prefix}/latents/{i}'])
        assert net.latents[i].dtype == np.float32 and list(
            net.labels[i].shape) == case['labels_shape']
        check_run_options(net.options[i], case['run_kwargs'])
        np.testing.assert_array_equal(np.asarray(PIL.Image.open(f'{folder}/{name}')),
                                      data[f'{prefix}/png/{i}'])


def test_grayscale_stays_grayscale(use_network):
    use_network(StandInNetwork(4, [1, 8, 8]))
    folder = generate_fake_images(23, grid_size=[2, 1], png_prefix='', config=settings_of_run())
    image = PIL.Image.open(f'{folder}/000000.png')
    assert image.mode == 'L' and image.size == (16, 8)


# ---------------------------------------------------------------- labels

def labels_given(net, **options):
    generate_fake_images(23, config=settings_of_run(), **options)
    assert all(labels.dtype == np.float32 for labels in net.labels)
    return np.concatenate(net.labels)


def test_one_class_for_all(use_network):
    net = use_network(StandInNetwork(4, [3, 8, 8], label_size=3))
    np.testing.assert_array_equal(labels_given(net, grid_size=[2, 2], labels=2, num_pngs=2),
                                  np.tile([0, 0, 1], (8, 1)))


def test_a_class_per_row_begins_again_after_the_last(use_network):
    net = use_network(StandInNetwork(4, [3, 8, 8], label_size=3))
    assert labels_given(net, grid_size=[2, 4],
                        labels='rows').argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2, 0, 0]


def test_random_labels_are_those_of_the_data_set(use_network, capsys):
    """Labels that are not one-hot, as frequent as in the data set; the latents are those of any
    network.
    """
    net = use_network(StandInNetwork(4, [3, 8, 8], label_size=2))
    write_labelled_data([[0.5, 2.0]] * 6 + [[0.0, 3.0]] * 2)
    drawn = labels_given(net, grid_size=[10, 10], num_pngs=2)
    assert {tuple(row) for row in drawn.tolist()} == {(0.5, 2.0), (0.0, 3.0)}
    assert 0.6 < np.mean(drawn[:, 0] == 0.5) < 0.9
    assert (net.labels[0] != net.labels[1]).any()
    np.testing.assert_array_equal(np.concatenate(net.latents),
                                  np.random.RandomState(1000).randn(200, 4).astype(np.float32))
    assert 'Note' not in capsys.readouterr().out


def test_random_labels_depend_on_the_seed_alone(use_network):
    drawn = []
    for seed in (1, 1, 2):
        net = use_network(StandInNetwork(4, [3, 8, 8], label_size=5))
        drawn.append(labels_given(net, grid_size=[5, 5], random_seed=seed).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize('trouble, text', [('no config', 'config.txt'), ('no data', 'datasets/toy'),
                                           ('other labels', '2 components')])
def test_without_the_data_set_a_class_at_random(use_network, capsys, trouble, text):
    net = use_network(StandInNetwork(4, [3, 8, 8], label_size=3))
    if trouble == 'no data':
        misc.write_config('results/023-run',
                          {'dataset': {'tfrecord_dir': 'toy', 'max_label_size': 'full'}})
    elif trouble == 'other labels':
        write_labelled_data(np.eye(2))
    drawn = labels_given(net, grid_size=[6, 6])
    assert sorted(np.unique(drawn.argmax(axis=1))) == [0, 1, 2] and (drawn.sum(
        axis=1) == 1).all() and (drawn.max(axis=1) == 1).all()
    said = capsys.readouterr().out
    assert 'Note: ' in said and 'gets a random class' in said and text in said


# ---------------------------------------------------------------- mistakes

@pytest.mark.parametrize('options, texts', [
    (dict(grid_size=[0, 2]), ['train.grid_size', '[0, 2]']),
    (dict(grid_size=3), ['train.grid_size']),
    (dict(grid_size=[1, 2, 3]), ['train.grid_size']),
    (dict(num_pngs=0), ['train.num_pngs', 'at least 1', '0']),
    (dict(image_shrink=0), ['train.image_shrink']),
    (dict(image_shrink=9), ['train.image_shrink', 'integer from 1 to 8', '9']),
    (dict(image_shrink=2.5), ['train.image_shrink', '2.5']),
    (dict(minibatch_size=0), ['train.minibatch_size']),
    (dict(num_pngs=1.5), ['train.num_pngs', '1.5']),
    (dict(random_seed=-1), ['train.random_seed', '-1']),
    (dict(png_prefix='sub/pre'), ['train.png_prefix', 'sub/pre']),
    (dict(labels='row'), ['train.labels', "'rows'", "'row'"]),
    (dict(labels=True), ['train.labels', 'True']),
    (dict(labels=3), ['train.labels', '0 to 2', '3']),
    (dict(labels=-1), ['train.labels', '-1']),
])
def test_options_that_cannot_be_used(use_network, options, texts):
    use_network(StandInNetwork(4, [3, 8, 8], label_size=3))
    with pytest.raises(ConfigError) as error:
        generate_fake_images(23, config=settings_of_run(), **options)
    assert all(text in str(error.value) for text in texts) and '\n' not in str(error.value)
    assert os.listdir('results') == ['023-run']


@pytest.mark.parametrize('labels', [0, 'rows'])
def test_labels_for_a_network_without_any(use_network, labels):
    use_network(StandInNetwork(4, [3, 8, 8]))
    with pytest.raises(ConfigError, match='train.labels.*without labels.*max_label_size'):
        generate_fake_images(23, labels=labels, config=settings_of_run())


def test_runs_and_files_that_cannot_be_used(use_network, monkeypatch):
    with pytest.raises(DataError, match='24'):
        generate_fake_images(24, config=settings_of_run())
    with pytest.raises(DataError, match='snapshot 7.*network-snapshot-000100.pkl'):
        generate_fake_images(23, snapshot=7, config=settings_of_run())
    monkeypatch.setattr(misc.results, 'load_pkl', lambda path: {'some': 'dict'})
    with pytest.raises(DataError, match='holds no generator.*Received: a dict of 1'):
        generate_fake_images(23, config=settings_of_run())
    assert os.listdir('results') == ['023-run']


def test_done_is_not_said_of_what_failed(use_network, monkeypatch):
    net = use_network(StandInNetwork(4, [3, 8, 8]))
    monkeypatch.setattr(net, 'run', lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        generate_fake_images(23, config=settings_of_run())
    assert '_done.txt' not in os.listdir('results/024-out')


@pytest.mark.parametrize('path', ['./a.pkl', '../here/a.pkl', 'a.pkl'])
def test_no_picture_is_hidden(use_network, monkeypatch, path):
    """The original's name of './a.pkl' begins with a dot."""
    use_network(StandInNetwork(4, [1, 8, 8]))
    os.mkdir('here')
    monkeypatch.chdir('here')
    open('a.pkl', 'w').close()
    folder = generate_fake_images(path, num_pngs=1, config=settings_of_run())
    assert [name for name in os.listdir(folder) if name.endswith('a-000000.png')
            and name[0] != '.'], os.listdir(folder)
