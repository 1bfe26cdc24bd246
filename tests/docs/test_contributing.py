"""CONTRIBUTING.md: its examples, carried out in a copy of the program."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.golden import ROOT

PARTS = ('benchmarks', 'docs', 'tests', 'examples')  # of the repository, that no example needs


def sections():
    """{heading: its text}."""
    parts = re.split(r'^## (.+)\n', (ROOT / 'CONTRIBUTING.md').read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def carry_out(heading, folder):
    """Write the section's new files into the folder, and apply its diffs to others."""
    for language, text in re.findall(r'^```(python|diff)\n(.*?)^```$', sections()[heading],
                                     re.DOTALL | re.MULTILINE):
        if language == 'python':
            name = re.match(r'# (\S+\.py)\n', text)[1]
            assert not (folder / name).exists()
            (folder / name).write_text(text)
        else:
            for name, changes in re.findall(r'^--- (\S+)\n(.*?)(?=^--- |\Z)', text,
                                            re.DOTALL | re.MULTILINE):
                lines = (folder / name).read_text().splitlines()
                (folder / name).write_text('\n'.join(changed(lines, changes)) + '\n')


def changed(lines, changes):
    """Apply a diff to lines; unchanged lines are searched for further down."""
    at = 0
    for change in changes.splitlines():
        if change.startswith('+'):
            lines.insert(at, change[1:])
        else:
            at = find(lines, change[1:], at)
        if change.startswith('-'):
            del lines[at]
        else:
            at += 1
    return lines


def find(lines, text, start):
    """The next place of a line."""
    places = [at for at in range(start, len(lines)) if lines[at].strip() == text.strip()]
    assert places, f'{text!r} is not in the file'
    return places[0]


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    """A copy of the program with the examples in it."""
    folder = tmp_path_factory.mktemp('contributing') / 'copy'
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(
        '.*', '__pycache__', 'datasets', 'results', *PARTS))
    for heading in ('An importer', 'A metric', 'A layer'):
        carry_out(heading, folder)
    return folder


def python(copy, in_folder, *words):
    """Run Python with the copy's modules and the repository's tests.support. Returns the process.
    """
    return subprocess.run([sys.executable, *map(str, words)], cwd=in_folder, capture_output=True,
                          text=True, env={**os.environ, 'PYTHONPATH': f'{copy}:{ROOT}'})


def test_importer(copy, tmp_path):
    make = 'import numpy as np; np.savez("a.npz", images=np.zeros([6, 1, 8, 8], np.uint8) + ' \
           'np.arange(6, dtype=np.uint8)[:, None, None, None], labels=np.arange(6) % 3)'
    python(copy, tmp_path, '-c', make)
    tool = copy / 'dataset_tool.py'
    assert 'create_from_npz     Create dataset from a NumPy archive.' in python(
        copy, tmp_path, tool).stdout
    done = python(copy, tmp_path, tool, 'create_from_npz', 'datasets/a', 'a.npz')
    assert 'Added 6 images.' in done.stdout, done.stderr
    info = python(copy, tmp_path, tool, 'info', 'datasets/a', '--verify').stdout
    assert '6' in info and '8x8' in info
    done = python(copy, tmp_path, tool, 'create_from_npz', 'datasets/b', 'none.npz')
    assert done.returncode == 1 and 'Expected an .npz file' in done.stderr
    assert 'Traceback' not in done.stderr and not (tmp_path / 'datasets/b').exists()


RUN_WITH_A_SNAPSHOT = """
import os, misc, tfutil
from tests.support.toy_runs import make_toy
make_toy()
os.makedirs('results/000-run')
misc.write_config('results/000-run', {'dataset': {'tfrecord_dir': 'toy'}, 'train': {}})
Gs = tfutil.Network('Gs', 'networks.G_paper', num_channels=3, resolution=16, fmap_base=32,
                    fmap_max=8)
layer = Gs.model.blocks[3].parts[1]
print(type(layer).__name__, layer.name, Gs.run(misc.random_latents(2, Gs)).shape)
misc.save_pkl((Gs, Gs, Gs), 'results/000-run/network-snapshot-000001.pkl')
"""


@pytest.mark.slow
@pytest.mark.exhaustive
def test_layer_and_metric(copy, tmp_path):
    """A network with the layer is saved, loaded, and evaluated with the metric."""
    done = python(copy, tmp_path, '-c', RUN_WITH_A_SNAPSHOT)
    assert 'AtrousConv2D Conv1 (2, 3, 16, 16)' in done.stdout, done.stderr
    done = python(copy, tmp_path, copy / 'util_scripts.py', 'evaluate_metrics', '--run_id', '0',
                  '--log', 'metric-color.txt', '--metrics', 'color', '--num_images', '16',
                  '--real_passes', '1')
    assert done.returncode == 0, done.stderr
    table = (tmp_path / 'results/000-run/metric-color.txt').read_text()
    assert re.search(r'^Snapshot +Time_eval +MeanColor', table, re.MULTILINE), table
    assert re.search(r'^Reals +\S+ +0\.000', table, re.MULTILINE), table
    assert re.search(r'^1 +\S+ +[1-9]\d*\.\d{3}', table, re.MULTILINE), table


CHECKED = """
from pgan import settings
from pgan.errors import ConfigError
for value in ('2', '-1', 'x'):
    config = settings.load([], ['dataset.tfrecord_dir=a', f'G_loss.score_weight={value}'])
    try:
        settings.check_config(config)
    except ConfigError as error:
        print(value, 'is refused:', error)
    else:
        print(value, 'is taken')
"""


@pytest.mark.slow
def test_option(copy, tmp_path):
    if not (ROOT / 'pgan/options.py').exists():
        pytest.skip('options are not declared by annotations yet')
    carry_out('An option', copy)
    done = python(copy, tmp_path, '-c', CHECKED)
    assert '2 is taken' in done.stdout, done.stderr
    assert '-1 is refused: G_loss.score_weight' in done.stdout, done.stdout
    assert 'x is refused: G_loss.score_weight' in done.stdout, done.stdout
    assert 'G_loss.score_weight = 2.0' in (copy / 'config.py').read_text()


def test_a_change_of_a_line_that_is_not_there_is_noticed():
    """The checks of this file detect errors."""
    assert changed(['a', 'b'], ' a\n+c\n-b\n') == ['a', 'c']
    with pytest.raises(AssertionError, match='not in the file'):
        changed(['a', 'b'], ' b\n a\n+c')
