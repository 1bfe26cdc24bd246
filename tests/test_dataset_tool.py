"""The command line that creates data sets, compared with the original's output for the same input.
"""
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

import dataset
import dataset_tool
import train
from pgan import settings
from pgan.data.writer import TFRecordExporter
from pgan.errors import DataError
from pgan.importers import celeba
from tests.support.data_inputs import CASES, fails, sha256, write_input
from tests.support.golden import ROOT

CREATE = [
    name for name, case in CASES.items()
    if case['exit'] == 0 and case['command'].startswith('create_')
]
# sorted so that the slow ones, of tens of thousands of images, come last
CREATE.sort(key=lambda name: name in ('cifar10', 'cifar100', 'svhn'))
EXTRACT = [name for name, case in CASES.items() if case['command'] == 'extract']
COMPARE = [name for name, case in CASES.items() if case['command'] == 'compare']
FAIL = [
    name for name, case in CASES.items()
    if case['command'] == 'create_from_images' and case['exit'] == 1
]

# Names that scripts and notebooks for the original import.
NAMES = {
    'config': 'EasyDict desc result_dir data_dir random_seed tf_config dataset train G D sched',
    'dataset': 'TFRecordDataset SyntheticDataset load_dataset',
    'dataset_tool': 'TFRecordExporter display extract compare create_mnist create_mnistrgb '
                    'create_cifar10 create_cifar100 create_svhn create_lsun create_celeba '
                    'create_celebahq create_from_images create_from_hdf5',
    'loss': 'G_wgan_acgan D_wgangp_acgan',
    'misc': 'load_pkl save_pkl load_network_pkl list_network_pkls locate_result_subdir '
            'load_dataset_for_previous_run random_latents adjust_dynamic_range save_image '
            'create_image_grid convert_to_pil_image save_image_grid create_result_subdir '
            'apply_mirror_augment setup_text_label draw_text_label',
    'networks': 'G_paper D_paper',
    'tfutil': 'init_tf run Network Optimizer autosummary save_summaries finalize_autosummaries '
              'import_obj call_func_by_name lerp lerp_clip log2 exp2 flatten set_vars '
              'create_session init_uninited_vars shape_to_list is_tf_expression',
    'train': 'train_progressive_gan TrainingSchedule process_reals setup_snapshot_image_grid',
    'util_scripts': 'generate_fake_images generate_interpolation_video generate_training_video '
                    'evaluate_metrics',
}


@pytest.mark.parametrize('module', NAMES)
def test_what_users_import_from_the_original_is_there(module):
    found = importlib.import_module(module)
    assert [name for name in NAMES[module].split() if not hasattr(found, name)] == []


# --------------------------------------------------------------------------------------------------
# Golden data sets.


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Create a golden data set once: a function from its name to (folder, printed lines)."""
    root = tmp_path_factory.mktemp('datasets')
    results = {}

    def make(name, capsys):
        if name not in results:
            case = CASES[name]
            source, out = root / f'in-{name}', root / name
            write_input(name, source)
            capsys.readouterr()
            dataset_tool.main([
                case['command'], *(arg.replace('<out>', str(out)).replace('<in>', str(source))
                                   for arg in case['args'])
            ])
            said, ours, _ = capsys.readouterr().out.partition('Next, look at it, or train on it:\n')
            results[name] = out, said.replace(str(out), '<out>').replace(str(source),
                                                                         '<in>').splitlines()
            assert bool(ours) == case['command'].startswith('create_')
            shutil.rmtree(source)
        return results[name]

    yield make
    shutil.rmtree(root)  # a gigabyte, and pytest would keep the last three


@pytest.mark.first(22, rest='slow')
@pytest.mark.parametrize('name', CREATE)
def test_create_gives_the_bytes_of_the_original(name, made, capsys, monkeypatch):
    monkeypatch.setattr(celeba, 'NUM_IMAGES', 20)  # as in the original's run
    folder, lines = made(name, capsys)
    case = CASES[name]
    if name == 'lsun-odd-32':
        # In the original, the message about unreadable entries comes from the library; here
        # it names the entry.
        reports = [line for line in lines if line.startswith('Skipped: ')]
        assert len(reports) == 3 and all(
            repr(key) in line
            for key, line in zip(('b-garbage', 'd-palette-gif', 'g-empty'), reports))
        assert lines[:2] + lines[-1:] == case['stdout_lines'][:2] + case['stdout_lines'][
            -1:] and len(lines) == 6
    else:
        assert lines == case['stdout_lines']
    assert sorted(os.listdir(folder)) == sorted(case['files'])
    for file_name, golden in case['files'].items():
        data = (folder / file_name).read_bytes()
        if file_name.endswith('.labels'):
            labels = np.load(folder / file_name, allow_pickle=False)
            assert (list(labels.shape), labels.dtype.name) == (golden['shape'], golden['dtype'])
            assert sha256(labels.tobytes()) == golden['sha256_array']
            # NumPy 1.13's header
            assert len(data) == golden['size'] - golden['npy_header_bytes'] + 80
        else:
            assert (len(data), sha256(data)) == (golden['size'], golden['sha256_data_first'])


def test_no_case_is_left_out():
    assert len(CREATE) == 25 and len(EXTRACT) == 3 and len(COMPARE) == 4 and len(FAIL) == 4
    assert {CASES[name]['command']
            for name in CREATE} | {'create_celebahq', 'create_digits'} == {
                command.__name__
                for command in dataset_tool.COMMANDS
                if command.__name__.startswith('create_')
            }


def test_the_wrong_number_of_portraits_is_refused_with_the_words_of_the_original(in_tmp, capsys):
    write_input('celeba', in_tmp / 'in')
    message = fails(['create_celeba', 'out', 'in'], capsys)
    assert message.startswith(CASES['celeba-err-count']['stdout_lines'][-1].replace(
        'Error', 'error')) and 'Received: 20.' in message


@pytest.mark.slow
def test_cifar10_has_the_published_sizes(made, capsys):
    folder, _ = made('cifar10', capsys)
    assert [path.stat().st_size for path in sorted(folder.iterdir())
            ] == [4900000, 12350000, 41150000, 156350000, 2000080]


@pytest.mark.parametrize('name', EXTRACT)
def test_extract_gives_the_pixels_of_the_original(name, made, capsys, tmp_path):
    case = CASES[name]
    folder, _ = made(re.search(r'output of ([\w-]+)', case['args'][0])[1], capsys)
    dataset_tool.main(['extract', str(folder), str(tmp_path / 'out')])
    lines = capsys.readouterr().out.replace(str(folder),
                                            '<in>').replace(str(tmp_path / 'out'),
                                                            '<out>').splitlines()
    assert lines == case['stdout_lines']
    assert sorted(os.listdir(tmp_path / 'out')) == sorted(case['files'])
    for file_name, golden in case['files'].items():
        with PIL.Image.open(tmp_path / 'out' / file_name) as image:
            assert (image.mode, list(image.size),
                    sha256(image.tobytes())) == (golden['mode'], golden['size'],
                                                 golden['sha256_pixels'])


@pytest.mark.parametrize('name', COMPARE)
def test_compare_prints_what_the_original_prints(name, made, capsys):
    case = CASES[name]
    folders = [
        made(re.search(r'output of ([\w-]+)', arg)[1], capsys)[0] for arg in case['args'][:2]
    ]
    dataset_tool.main(['compare', *map(str, folders), *case['args'][2:]])
    lines = capsys.readouterr().out.replace(f'"{folders[0]}"',
                                            '"<a>"').replace(f'"{folders[1]}"',
                                                             '"<b>"').splitlines()
    assert lines == case['stdout_lines']


def test_compare_finds_different_labels(tmp_path, capsys):
    for name, values in (('a', [[1, 0], [0, 1]]), ('b', [[1, 0], [1, 0]])):
        with TFRecordExporter(tmp_path / name, 2) as out:
            for _ in range(2):
                out.add_image(np.zeros([1, 4, 4], np.uint8))
            out.add_labels(np.array(values))
    dataset_tool.compare(str(tmp_path / 'a'), str(tmp_path / 'b'))
    assert capsys.readouterr().out.splitlines()[-3:] == [
        'Label 1 is different', 'Identical images: 2 / 2', 'Identical labels: 1 / 2'
    ]


def write_bad_images(name, folder):
    shapes = {
        'images-err-notsquare': (8, 16, 3), 'images-err-notpow2': (12, 12, 3),
        'images-err-rgba': (8, 8, 4)
    }
    if name in shapes:
        PIL.Image.fromarray(np.zeros(shapes[name], np.uint8)).save(folder / 'a.png')


@pytest.mark.parametrize('name', FAIL)
def test_bad_image_folders_are_refused_with_the_words_of_the_original(name, in_tmp, capsys):
    (in_tmp / 'in').mkdir()
    write_bad_images(name, in_tmp / 'in')
    assert fails(['create_from_images', 'out', 'in'],
                 capsys).startswith(CASES[name]['stdout_lines'][-1].replace('Error', 'error'))
    assert os.listdir(in_tmp) == ['in']


def test_extract_does_not_overwrite(images, capsys):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    dataset_tool.main(['extract', 'out', 'pngs'])
    assert '--force' in fails(['extract', 'out', 'pngs'], capsys)
    dataset_tool.main(['extract', 'out', 'pngs', '--force'])


def test_extract_wants_a_folder_of_its_own(images, capsys):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    (images / 'file').write_text('')
    for target, words in (('out', 'it is a data set'), ('file', "'file' is a file"),
                          ('file/pngs', 'is a file'), ('', 'is empty')):
        for force in ([], ['--force']):
            assert words in fails(['extract', 'out', target, *force], capsys)
    assert os.listdir('out') == ['out-r02.tfrecords']


# --------------------------------------------------------------------------------------------------
# The command line.


def test_no_arguments_print_the_help(capsys):
    dataset_tool.main([])
    out = capsys.readouterr().out
    assert all(command.__name__ in out for command in dataset_tool.COMMANDS)


@pytest.mark.parametrize('command',
                         [command.__name__ for command in dataset_tool.COMMANDS])
def test_each_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as info:
        dataset_tool.main([command, '-h'])
    assert info.value.code == 0
    assert f'dataset_tool.py {command} ' in capsys.readouterr().out.replace(
        '\n', ' ').split('example:')[1]


def test_the_recipes_for_missing_data_sets_are_commands():
    assert {recipe.split()[0]
            for recipe in dataset._RECIPES.values()
            } <= {command.__name__
                  for command in dataset_tool.COMMANDS}


def test_the_help_begins_with_the_commands_of_the_original_in_its_words(capsys):
    dataset_tool.main([])
    lines = capsys.readouterr().out.splitlines()
    start = lines.index('    display             Display images in dataset.')
    assert lines[0] == 'usage: dataset_tool.py [-h] <command> ...'
    assert lines[start:start + 13] == """\
    display             Display images in dataset.
    extract             Extract images from dataset.
    compare             Compare two datasets.
    create_mnist        Create dataset for MNIST.
    create_mnistrgb     Create dataset for MNIST-RGB.
    create_cifar10      Create dataset for CIFAR-10.
    create_cifar100     Create dataset for CIFAR-100.
    create_svhn         Create dataset for SVHN.
    create_lsun         Create dataset for single LSUN category.
    create_celeba       Create dataset for CelebA.
    create_celebahq     Create dataset for CelebA-HQ.
    create_from_images  Create dataset from a directory full of images.
    create_from_hdf5    Create dataset from legacy HDF5 archive.""".splitlines()


def test_making_a_data_set_needs_no_tensorflow(in_tmp):
    write_input('images-4x4-default', in_tmp / 'in')
    code = ("import sys, dataset_tool; dataset_tool.main(['create_from_images', 'out', 'in']); "
            "dataset_tool.main(['info', 'out', '--verify']); sys.exit('tensorflow' in sys.modules)")
    assert subprocess.run([sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': str(ROOT)},
                          check=False).returncode == 0


@pytest.mark.parametrize('place', ['datasets/my set', 'datasets/a/b', '../other place', 'x', '2018',
                                   'datasets/2018'])
def test_the_next_commands_are_for_the_data_set_wherever_it_is(place, images, capsys, monkeypatch):
    for argv, labels in ((['create_from_images', place, 'in'], 0),
                         (['create_from_images', place, 'all', '--labels', 'folders', '--force'],
                          2)):
        shutil.copytree('in', 'all/a', dirs_exist_ok=True)
        shutil.copytree('in', 'all/b', dirs_exist_ok=True)
        dataset_tool.main(argv)
        look, run = capsys.readouterr().out.partition('train on it:\n')[2].splitlines()[:2]
        config = settings.load([], train.parse_args(shlex.split(run)[2:]).set)
        found = dataset.load_dataset(data_dir=config.data_dir, **config.dataset)
        assert (found.num_images, found.label_size) == (5 + 5 * bool(labels), labels)
        dataset_tool.main(shlex.split(look)[2:])
        assert os.path.isfile(f'sheet{"2" if labels else ""}.png')


def test_a_data_set_is_suggested_where_the_other_program_has_it(images, capsys):
    """train.py looks in data_dir, dataset_tool.py in the current folder."""
    dataset_tool.main(['create_from_images', 'datasets/mine', 'in'])
    dataset_tool.main(['create_from_images', 'here', 'in'])
    for argv in (['info', 'mine'], ['display', 'mine', '--sheet', 'a.png'],
                 ['extract', 'mine', 'x'], ['compare', 'mine', 'here']):
        assert "Did you mean 'datasets/mine'?" in fails(argv, capsys)
    with pytest.raises(DataError, match="'../here' instead of 'here'"):
        dataset.load_dataset(data_dir='datasets', tfrecord_dir='here')


def test_an_unknown_command_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit) as info:
        dataset_tool.main(['create_mnits', 'a', 'b'])
    assert info.value.code == 2 and 'create_mnist' in capsys.readouterr().err
