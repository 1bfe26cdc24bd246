"""The example of docs/own_functions.md, from training to metrics, in a user's folder. The scripts
import its module again, as new processes would.
"""
import contextlib
import os
import shlex
import sys

import pytest

import misc
import tfutil
import train
from pgan import settings
from pgan.scripts import command_line
from pgan.training.setup import load_networks, load_training_set
from tests.support.document_blocks import blocks

BLOCKS = [block for block in blocks() if block.document == 'own_functions.md']
PROGRAMS = {'PROGRAM/train.py': train.main, 'PROGRAM/util_scripts.py': command_line.main}
# At the size of a test: these lines, added to those of own.py.
SMALLER = ['--set', 'train.total_kimg=0.2', '--set', 'train.dry_step=False',
           '--set', 'sched.minibatch_dict={16: 16}', '--set', 'sched.tick_kimg_base=0.1',
           '--set', "grid.size='1080p'", '--set', 'grid.layout=random']


def carry_out(line):
    """Run a command of the document in this process, where nothing of the user's is imported yet.
    """
    _, program, *words = shlex.split(line)
    sys.modules.pop('my_gan', None)
    tfutil.network._known_functions.clear()
    try:
        code = PROGRAMS[program]([*words, *(SMALLER if program == 'PROGRAM/train.py' else [])])
    except SystemExit as end:
        code = end.code
    finally:
        misc.restore_output()
    assert not code, line


@pytest.fixture
def written(in_tmp, monkeypatch):
    """The current folder holds the example's files."""
    for block in BLOCKS:
        if block.language == 'python':
            (in_tmp / block.text.split()[1].rstrip(',')).write_text(block.text)
    monkeypatch.setattr(tfutil.network, '_known_functions', {})
    yield in_tmp
    for name in ('my_gan', 'my_losses'):
        sys.modules.pop(name, None)


def test_the_whole_example(written, capsys):
    commands, = [block.text.splitlines() for block in BLOCKS if block.language == 'sh']
    path = list(sys.path)
    for line in commands:
        carry_out(line)
    assert sys.path == path and len(commands) == 3
    assert 'my_gan.Disks: endless images of 1x16x16' in capsys.readouterr().out
    assert len(list((written / 'results/001-fake-images-0').glob('*.png'))) == 4
    text = (written / 'results/000-disks/metric-own.txt').read_text()
    assert 'SWDx1e3_16' in text and 'Brightness' in text and '\nReals ' in text and '\n0 ' in text
    assert (written / 'results/000-disks/report.html').exists()
    train_on_with_its_networks()


def train_on_with_its_networks():
    """A run that is configured with other functions takes over the networks of run 0."""
    sys.modules.pop('my_gan')
    tfutil.network._known_functions.clear()
    with contextlib.ExitStack() as stack:
        stack.callback(sys.path.remove, os.getcwd())
        sys.path.append(os.getcwd())
        config = settings.load(['own.py'], ['G.func=networks.G_paper', 'D.func=networks.D_paper'])
        G, _, _ = load_networks(config, load_training_set(config), 0, None)
    assert G.activation_dtype == 'float32' and G.output_shape == [None, 1, 16, 16]


@pytest.mark.slow
def test_the_module_is_asked_for_where_it_is_missing(written, capsys):
    carry_out('python PROGRAM/train.py --config own.py')
    os.unlink('my_gan.py')
    with pytest.raises(AssertionError):
        carry_out('python PROGRAM/util_scripts.py generate_fake_images --run_id 0 --num_pngs 1')
    error = capsys.readouterr().err
    assert "error: The run uses 'my_gan.own_G'" in error and 'Copy my_gan.py' in error
