"""misc.results compared with the golden cases; damaged folders; two runs that start at the same
time.
"""
import concurrent.futures
import os
import re
import types

import numpy as np
import pytest

import misc
from misc import results
from pgan.errors import DataError
from tests.support.golden import GOLDEN, load_json, load_npz

JSON = load_json('misc.json')
NPZ = load_npz('misc.npz')
KINDS = {'OSError': OSError, 'KeyError': KeyError}


def make_tree(entries):
    """Create empty files, and folders for entries that end with '/'."""
    for entry in entries:
        os.makedirs(entry if entry.endswith('/') else os.path.dirname(entry), exist_ok=True)
        if not entry.endswith('/'):
            open(entry, 'w').close()


def check(case, function, *args, **kwargs):
    """Compare with the value or exception of a golden case."""
    if 'raises' in case:
        with pytest.raises(KINDS[case['raises']]) as caught:
            function(*args, **kwargs)
        assert isinstance(caught.value, DataError)
        assert case['args'][0] in str(caught.value)
    else:
        assert function(*args, **kwargs) == case['value']


# ------------------------------------------------------------ creating folders


@pytest.mark.parametrize('case', JSON['create_result_subdir'],
                         ids=lambda case: ' '.join(case['existing']) or 'none')
def test_create_result_subdir(case, in_tmp, capsys):
    make_tree([f'results/{entry}' for entry in case['existing']])
    assert misc.create_result_subdir('results', case['desc'],
                                     {'b': 1, 'a': 'text'}) == case['returned']
    assert capsys.readouterr().out == case['stdout']
    assert os.listdir(case['returned']) == case['created_files']
    with open(os.path.join(case['returned'], 'config.txt')) as file:
        assert file.read() == 'a = text\nb = 1\n'


def test_create_result_subdir_without_config(in_tmp):
    folder = misc.create_result_subdir('deep/results', r'fake-images-results/010-x\y')
    assert folder == 'deep/results/000-fake-images-results-010-x-y'
    assert os.listdir(folder) == []


def test_the_log_starts_in_the_new_folder(in_tmp):
    misc.init_output_logging()
    try:
        print('Initializing...')
        folder = misc.create_result_subdir('results', 'x')
    finally:
        misc.restore_output()
    with open(os.path.join(folder, 'log.txt')) as file:
        assert file.read() == 'Initializing...\nSaving results to results/000-x\n'


def test_write_config_has_the_golden_form(in_tmp):
    """config.txt written from parsed values is identical to the original's, byte for byte."""
    with open(GOLDEN / 'sample_config.txt') as file:
        golden = file.read()
    values = dict(line.split(' = ', 1) for line in reversed(golden.splitlines()))
    misc.write_config(
        '.',
        {name: eval(text) if text[0] in '{0123456789' else text
         for name, text in values.items()})
    with open('config.txt') as file:
        assert file.read() == golden
    misc.write_config('.', {'two': 'a\nb'})
    with open('config.txt') as file:
        assert file.read() == "two = 'a\\nb'\n"


def test_runs_that_start_at_once_get_different_numbers(in_tmp, capsys):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        folders = list(
            pool.map(lambda i: misc.create_result_subdir('results', f'run{i}'), range(32)))
    assert sorted(int(re.search(r'/(\d+)-', folder)[1]) for folder in folders) == list(range(32))


def test_a_number_taken_meanwhile_is_skipped(in_tmp, monkeypatch):
    make_tree(['results/000-x/'])
    monkeypatch.setattr(results.os, 'listdir', lambda folder: [])
    assert misc.create_result_subdir('results', 'x') == 'results/001-x'


def test_result_dir_that_is_a_file(in_tmp):
    make_tree(['./results'])
    with pytest.raises(DataError, match="Cannot make a result folder in 'results'"):
        misc.create_result_subdir('results', 'x')


# ------------------------------------------------------------ finding

@pytest.fixture
def tree(in_tmp):
    make_tree(JSON['tree'])
    return in_tmp


@pytest.mark.parametrize('case', JSON['locate_result_subdir'], ids=lambda case: repr(case['query']))
def test_locate_result_subdir(case, tree):
    check(case, misc.locate_result_subdir, case['query'])


@pytest.mark.parametrize('case', JSON['list_network_pkls'],
                         ids=lambda case: f'{case["query"]}-{case["include_final"]}')
def test_list_network_pkls(case, tree):
    check(case, misc.list_network_pkls, case['query'], case['include_final'])


@pytest.mark.parametrize('case', JSON['locate_network_pkl'],
                         ids=lambda case: f'{case["query"]}-{case["snapshot"]}')
def test_locate_network_pkl(case, tree):
    check(case, misc.locate_network_pkl, case['query'], case['snapshot'])


def test_another_result_dir(tree):
    os.rename('results', 'else')
    assert misc.locate_network_pkl(
        1, result_dir='else') == 'else/001-second/network-snapshot-012000.pkl'
    with pytest.raises(DataError, match="no folder 'results'"):
        misc.locate_result_subdir(1)


def test_messages_say_what_there_is(tree):
    with pytest.raises(DataError, match='Several match: results/002-dup-a, results/002-dup-b'):
        misc.locate_result_subdir(2)
    with pytest.raises(DataError, match="Found in 'results': ..., .*008-both2.*1234-big"):
        misc.locate_result_subdir(99)
    with pytest.raises(DataError, match='network-snapshot-000002.pkl, '
                                        'network-snapshot-000010.pkl, network-final.pkl'):
        misc.locate_network_pkl(0, 3)
    with pytest.raises(DataError, match=r"'results/003-empty' holds no network-\*\.pkl"):
        misc.locate_network_pkl(3)


def test_messages_name_the_closest_runs_first(in_tmp):
    make_tree(f'results/{name}/' for name in (
        '006-katzen', '007-hunde', '010-katzen2', '011-pgan', '014-pgan', '_metrics-cache'))
    for query, close in (('katzen', "'006-katzen' or '010-katzen2'"), ('kazten', "'006-katzen'"),
                         ('KATZEN', "'010-katzen2' or '006-katzen'"), ('006-katze', "'006-katzen'"),
                         (12, "'011-pgan' or '010-katzen2' or '014-pgan'"), (8, None),
                         ('12', "'011-pgan'"), ('hunde/', "'007-hunde'"),
                         ('results/006-katze', "'006-katzen'")):
        with pytest.raises(DataError) as caught:
            misc.locate_result_subdir(query)
        said = str(caught.value)
        assert f'Did you mean {close or ""}' in said, said
        assert 'the closest first: ' in said and '_metrics' not in said
    with pytest.raises(DataError) as caught:
        misc.locate_result_subdir('xyzzy')
    assert 'mean' not in str(caught.value) and '007-hunde' in str(caught.value)
    make_tree(['results/006-katzen/network-final.pkl'])
    with pytest.raises(DataError, match="mean 'results/006-katzen/network-final.pkl'"):
        misc.locate_network_pkl('results/006-katzn/network-final.pkl')


def test_folders_of_images_are_not_taken_for_runs(in_tmp):
    make_tree(f'results/{name}/' for name in ('000-pgan', '001-fake-images-0', '002-x', '003-y'))
    misc.write_config('results/000-pgan', {'train': {'func': 'train.train_progressive_gan'}})
    misc.write_config('results/001-fake-images-0', {
        'train': {'func': 'util_scripts.generate_fake_images', 'run_id': 0}})
    misc.write_config('results/002-x', {'train': 'damaged'})
    with pytest.raises(DataError, match="Found in 'results': 000-pgan, 002-x, 003-y.$"):
        misc.locate_result_subdir('xyzzy')
    with pytest.raises(DataError, match='It is the output of generate_fake_images for the run 0. '
                                        'Name that run'):
        misc.locate_network_pkl(1)
    with pytest.raises(DataError) as caught:
        misc.locate_network_pkl(3)
    assert '--resume' not in str(caught.value)
    make_tree(['results/000-pgan/checkpoints/run.json'])
    with pytest.raises(DataError, match=r'continue it: .*train.py --resume results/000-pgan$'):
        misc.locate_network_pkl(0)


@pytest.mark.parametrize(('path', 'expected'), JSON['get_id_string_for_network_pkl'])
def test_get_id_string_for_network_pkl(path, expected):
    assert misc.get_id_string_for_network_pkl(path) == expected


def test_load_network_pkl(tree):
    misc.save_pkl({'a': np.arange(3)}, 'results/000-first/network-snapshot-000010.pkl')
    assert misc.load_network_pkl(0, 10)['a'].tolist() == [0, 1, 2]


# ------------------------------------------------------------ latents

@pytest.mark.parametrize('case', JSON['random_latents'], ids=lambda case: case['index'])
def test_random_latents(case):
    G = types.SimpleNamespace(input_shape=case['input_shape'])
    state = np.random.RandomState(case['seed'])
    np.random.seed(case['global_seed'])
    for key, source in [('first', state), ('second', state), ('global', None)]:
        received = misc.random_latents(case['num'], G, random_state=source)
        assert received.dtype == case['dtype']
        assert list(received.shape) == case['shape']
        assert np.array_equal(received, NPZ[f'latents/{case["index"]}/{key}'])


# ------------------------------------------------------------ the data set of an earlier run

@pytest.fixture
def loaded(in_tmp, monkeypatch):
    """Stand-in for dataset.load_dataset; returns the list of its calls."""
    calls = []

    def load_dataset(**kwargs):
        calls.append(kwargs)
        return 'the data set'
    monkeypatch.setattr('dataset.load_dataset', load_dataset)
    os.makedirs('results/000-run')
    return calls


def write_config_txt(text):
    with open('results/000-run/config.txt', 'w') as file:
        file.write(text)


@pytest.mark.parametrize('case', JSON['load_dataset_for_previous_run/cases'],
                         ids=range(len(JSON['load_dataset_for_previous_run/cases'])))
def test_load_dataset_for_previous_run(case, loaded):
    write_config_txt(case['config_txt'])
    if 'raises' in case:
        with pytest.raises(KINDS[case['raises']]) as caught:
            misc.load_dataset_for_previous_run(0, **case['call_kwargs'])
        assert isinstance(caught.value, DataError)
        assert case['args'][0] in str(caught.value)
        return
    assert misc.load_dataset_for_previous_run(0, **case['call_kwargs']) == ('the data set',
                                                                            case['mirror_augment'])
    assert loaded == [case['load_dataset_kwargs']]


@pytest.mark.parametrize(('name', 'expected'), JSON['load_dataset_for_previous_run/names'])
def test_names_of_older_versions(name, expected, loaded):
    write_config_txt(f"dataset = {{'tfrecord_dir': {name!r}}}\n")
    misc.load_dataset_for_previous_run(0)
    assert loaded[0]['tfrecord_dir'] == expected


def test_a_folder_that_exists_is_no_older_name(loaded):
    os.makedirs('data/faces-256')
    write_config_txt("dataset = {'tfrecord_dir': 'faces-256'}\n")
    misc.load_dataset_for_previous_run('000-run', data_dir='data')
    assert loaded == [{'data_dir': 'data', 'tfrecord_dir': 'faces-256'}]


@pytest.mark.parametrize('given, recorded, used', [
    ('datasets', 'elsewhere', 'elsewhere'),  # trained with --set data_dir=elsewhere
    ('here', 'elsewhere', 'here'), ('datasets', 'nowhere', 'datasets'),
    ('datasets', None, 'datasets'), ('datasets', '', 'datasets')])
def test_the_data_set_is_found_where_the_run_found_it(loaded, capsys, given, recorded, used):
    for folder in ('elsewhere/mine', 'here/mine', 'mine'):
        os.makedirs(folder)
    line = '' if recorded is None else f'data_dir = {recorded}\n'
    write_config_txt(f"{line}dataset = {{'tfrecord_dir': 'mine'}}\n")
    misc.load_dataset_for_previous_run(0, data_dir=given)
    assert loaded == [{'data_dir': used, 'tfrecord_dir': 'mine'}]
    assert ("'datasets/mine' does not exist. Using 'elsewhere/mine'" in capsys.readouterr().out
            ) == (used == 'elsewhere')


def test_another_data_set_is_looked_for_in_data_dir_only(loaded):
    os.makedirs('elsewhere/mine')
    write_config_txt("data_dir = elsewhere\ndataset = {'tfrecord_dir': 'mine'}\n")
    misc.load_dataset_for_previous_run(0, tfrecord_dir='other')
    assert loaded == [{'data_dir': 'datasets', 'tfrecord_dir': 'other'}]


@pytest.mark.parametrize('line', [
    "dataset = __import__('os').system('touch hacked')", 'dataset = {', 'dataset = 3',
    "train = {'a': open('hacked', 'w')}", "dataset = {'tfrecord_dir': 'x', 'resolution': 2"
])
def test_config_txt_is_read_not_run(line, loaded):
    write_config_txt(f"dataset = {{'tfrecord_dir': 'x'}}\n{line}\n")
    with pytest.raises(DataError, match='an invalid line') as caught:
        misc.load_dataset_for_previous_run(0)
    assert line in str(caught.value)
    assert not os.path.exists('hacked')


def test_run_without_a_readable_config(loaded):
    with pytest.raises(DataError, match='Found in the folder: nothing'):
        misc.load_dataset_for_previous_run(0)
    with open('results/000-run/config.txt', 'wb') as file:
        file.write(b'\xff\xfe')
    with pytest.raises(DataError, match='Cannot read'):
        misc.load_dataset_for_previous_run(0)


def test_a_result_dir_that_is_a_file(in_tmp):
    with open('results', 'w'):
        pass
    with pytest.raises(DataError, match="'results': that is a file, not a folder"):
        misc.create_result_subdir('results', 'x')
