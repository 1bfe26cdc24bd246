"""training/checkpoint.py and misc/resuming.py in isolation: retention, failing disks, damaged
files.
"""
import errno
import glob
import json
import os
import pathlib
import random

import numpy as np
import pytest
import tensorflow as tf

from misc import resuming, run_files
from pgan.errors import ConfigError, DataError, UserError
from pgan.training.checkpoint import KEPT, Checkpoints, random_state, restore_random_state
from tests.support.damage import check_error, damaged, time_limit
from tests.support.faults import OPERATIONS, Disk, Killed, file_size_limit, tree
from tests.support.training_steps import make
from tfutil.devices import make_devices

VALUES = {
    'loop': {'cur_nimg': 7, 'previous_lod': None}, 'list': [1, 2.5, 'x'],
    'latents': np.arange(6, dtype=np.float32).reshape(2, 3)
}


@pytest.fixture(scope='module')
def parts():
    """Networks and optimizers, built once."""
    steps, _ = make()
    return (steps.G, steps.D, steps.Gs), (steps.G_opt, steps.D_opt)


@pytest.fixture
def make_checkpoints(in_tmp, parts):
    os.mkdir('checkpoints')
    return lambda: Checkpoints('.', make_devices(), *parts)


def all_variables(parts):
    networks, optimizers = parts
    variables = [var for net in networks for var in net.vars.values()]
    return variables + [
        var for opt, net in zip(optimizers, networks)
        for var in tf.nest.flatten(opt.state_variables(net.trainables))
    ]


def set_all(parts, seed):
    """Set every variable to new values, and return them."""
    rnd = np.random.RandomState(seed)
    for var in all_variables(parts):
        var.assign(rnd.randn(*var.shape))
    return values_of(parts)


def values_of(parts):
    return [var.numpy().tobytes() for var in all_variables(parts)]


def test_everything_comes_back(make_checkpoints, parts):
    """Every variable of networks and optimizers, values of every type, and the random state."""
    random.gauss(0, 1)
    np.random.randn(3)
    saved = set_all(parts, 1)
    make_checkpoints().save({**VALUES, 'random': random_state()})
    draws = random.gauss(0, 1), random.random(), np.random.randn(3).tolist()
    set_all(parts, 2)
    restored = make_checkpoints().restore()
    assert values_of(parts) == saved
    restore_random_state(restored.pop('random'))
    assert (random.gauss(0, 1), random.random(), np.random.randn(3).tolist()) == draws
    assert restored.pop('latents').tobytes() == VALUES['latents'].tobytes()
    assert restored == {name: value for name, value in VALUES.items() if name != 'latents'}


def test_the_newest_three_are_kept(make_checkpoints):
    checkpoints = make_checkpoints()
    assert checkpoints.restore() is None
    for number in range(5):
        checkpoints.save({'number': number})
    assert sorted(glob.glob('checkpoints/*.index')) == [
        f'checkpoints/ckpt-{number}.index' for number in (3, 4, 5)
    ] and KEPT == 3
    again = make_checkpoints()
    assert again.restore() == {'number': 4}
    again.save({'number': 5})
    assert sorted(glob.glob('checkpoints/*.index')) == [
        f'checkpoints/ckpt-{number}.index' for number in (4, 5, 6)
    ]


def test_networks_of_another_shape_are_refused(make_checkpoints, parts):
    make_checkpoints().save(VALUES)
    (G, D, Gs), optimizers = parts
    with pytest.raises(ConfigError, match='networks of this configuration are not those of '
                                          '.*ckpt-1.*Resume with the G, D'):
        Checkpoints('.', make_devices(), (D, G, Gs), optimizers[::-1]).restore()


def test_what_a_killed_process_left_is_removed_and_nothing_else(make_checkpoints, parts):
    make_checkpoints().save(VALUES)
    saved = tree('checkpoints')
    leftovers = [
        'ckpt-2.data-00000-of-00001', 'ckpt-2.index.tempstate17',
        'ckpt-2_temp/part-00000-of-00001.index'
    ]
    os.mkdir('checkpoints/ckpt-2_temp')
    for name in leftovers + ['run.json', 'notes.txt']:
        pathlib.Path('checkpoints', name).write_text('x')
    assert make_checkpoints().restore()['list'] == VALUES['list']
    assert tree('checkpoints').keys() == saved.keys() | {'run.json', 'notes.txt'}


# ---------------------------------------------------------------- disks that fail

def test_a_disk_that_is_full(make_checkpoints, parts):
    """TensorFlow writes the files under a file size limit. The previous checkpoint stays usable."""
    saved = set_all(parts, 1)
    make_checkpoints().save({'number': 0})
    largest = max(os.path.getsize(path) for path in glob.glob('checkpoints/ckpt-1.*'))
    for size in (0, 1, 100, largest // 2, largest - 1):
        set_all(parts, 2)
        checkpoints = make_checkpoints()
        assert checkpoints.restore() == {'number': 0}
        with file_size_limit(size), pytest.raises(DataError) as caught:
            checkpoints.save({'number': 1})
        check_error(caught.value, f'limit {size}', 'checkpoint')
        assert 'train.py --resume ' in str(caught.value)
        set_all(parts, 2)
        assert make_checkpoints().restore() == {'number': 0} and values_of(parts) == saved


@pytest.mark.parametrize('cause', [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_when_asked_to_keep_it(make_checkpoints, parts, in_tmp, monkeypatch,
                                                 cause):
    checkpoints = make_checkpoints()
    with Disk(in_tmp, 'fsync', 0, cause).installed(monkeypatch), pytest.raises(
            DataError, match='the checkpoint cannot be written'):
        checkpoints.save({'number': 0})


def test_files_that_are_cut_on_a_disk_that_fails(in_tmp, monkeypatch):
    """After any failure, the files of the checkpoint are intact, and the next attempt succeeds."""
    def prepare():
        for path in ('log.txt', 'log-interrupted.txt', 'events.out.tfevents.1',
                     'events.out.tfevents.2'):
            pathlib.Path(path).unlink(missing_ok=True)
        pathlib.Path('log.txt').write_text('kept' + 'tail' * 300)
        pathlib.Path('events.out.tfevents.1').write_text('KEPT' + 'TAIL')
        pathlib.Path('events.out.tfevents.2').write_text('NEW')
    sizes = {'log.txt': 4, 'events.out.tfevents.1': 4}
    prepare()
    with Disk(in_tmp).installed(monkeypatch) as disk:
        resuming.cut_appended('.', sizes)
    expected = {
        'log.txt': b'kept', 'log-interrupted.txt': b'tail' * 300, 'events.out.tfevents.1': b'KEPT'
    }
    assert tree() == expected
    for operation in OPERATIONS:
        for number in range(disk.counts[operation]):
            for cause in (errno.ENOSPC, errno.EIO, Killed):
                prepare()
                with Disk(in_tmp, operation, number, cause).installed(monkeypatch), pytest.raises(
                        Killed if cause is Killed else DataError):
                    resuming.cut_appended('.', sizes)
                now = tree()
                assert now['log.txt'].startswith(
                    b'kept') and now['events.out.tfevents.1'].startswith(b'KEPT')
                assert len(now['log.txt']) == 1204 or now['log-interrupted.txt'] == b'tail' * 300
                resuming.cut_appended('.', sizes)
                assert {name: data
                        for name, data in tree().items()
                        if name in sizes} == {name: expected[name]
                                              for name in sizes}
                for path in glob.glob('.*.tmp'):
                    os.unlink(path)


def test_files_shorter_than_they_were(in_tmp):
    """A power cut may lose data not yet on disk; lost data is not replaced by zeros."""
    pathlib.Path('log.txt').write_text('ke')
    resuming.cut_appended('.', {'log.txt': 4})
    assert tree() == {'log.txt': b'ke'}


# ---------------------------------------------------------------- damaged files

@pytest.mark.slow
def test_damaged_checkpoints(make_checkpoints, parts, capsys):
    """The previous checkpoint is used if there is one, otherwise an error. Restored numbers are
    never different from the saved ones.
    """
    older = set_all(parts, 1)
    checkpoints = make_checkpoints()
    checkpoints.save({'number': 0})
    newer = set_all(parts, 2)
    checkpoints.save({'number': 1})
    served = {0: 0, 1: 0}
    for path in [path for path in glob.glob('checkpoints/*') if 'ckpt-1.' not in path]:
        original = pathlib.Path(path).read_bytes()
        for case, data in damaged(original, 16, seed=len(path)):
            pathlib.Path(path).write_bytes(data)
            set_all(parts, 3)
            with time_limit():
                number = make_checkpoints().restore()['number']
            assert values_of(parts) == (newer if number else older), case
            assert ('cannot be read' in capsys.readouterr().err) == (number == 0)
            served[number] += 1
            pathlib.Path(path).write_bytes(original)
    # only TensorFlow's list, and bytes without effect, still lead to the latest
    assert served[0] >= 16 and served[1] >= 16, served


def test_damaged_checkpoints_without_another(make_checkpoints, parts):
    set_all(parts, 1)
    make_checkpoints().save({'number': 0})
    for path in glob.glob('checkpoints/ckpt-1.*'):
        original = pathlib.Path(path).read_bytes()
        for case, data in damaged(original, 16, seed=len(path)):
            pathlib.Path(path).write_bytes(data)
            with time_limit():
                try:
                    assert make_checkpoints().restore() == {'number': 0}, case
                except UserError as error:
                    check_error(error, case, 'ckpt-1')
            pathlib.Path(path).write_bytes(original)


def test_damaged_notes_of_how_a_run_was_started(in_tmp):
    resuming.write_run('.', ['tiny.py'], ['num_gpus=2'], {'train': {'total_kimg': 3}, 'desc': 'x'},
                       ['cond'])
    os.makedirs('results')
    os.rename('checkpoints', 'results/checkpoints')
    os.makedirs('results/000-x')
    os.rename('results/checkpoints', 'results/000-x/checkpoints')
    path = pathlib.Path('results/000-x/checkpoints/run.json')
    original, readable = path.read_bytes(), 0
    run = resuming.find_run('', 'results')
    assert (run.path, run.assignments, run.values) == ('results/000-x', ('num_gpus=2', ),
                                                       {'train.total_kimg': '3', 'desc': "'x'"})
    assert resuming.find_run('0', 'results') == resuming.find_run('results/000-x', 'results') == run
    for case, data in damaged(original, 400, seed=5):
        path.write_bytes(data)
        try:
            found = resuming.find_run('', 'results')
        except UserError as error:
            check_error(error, case, 'run.json')
            continue
        assert all(
            isinstance(text, str) for text in (*found.config_files, *found.assignments, *found.uses,
                                               *found.values, *found.values.values())), case
        readable += 1
    assert 0 < readable < 200


def test_the_newest_unfinished_run(in_tmp):
    for name, done in (('000-a', False), ('002-b', False), ('010-c', True), ('003-old', None)):
        if done is None:
            os.makedirs(f'results/{name}')
        else:
            resuming.write_run(f'results/{name}', [], [], {})
        if done:
            pathlib.Path(f'results/{name}/{run_files.DONE_MARK}').touch()
    assert resuming.find_run('', 'results').path == 'results/002-b'
    assert resuming.find_run('10', 'results').is_done
    path = pathlib.Path('results/002-b/checkpoints/run.json')
    assert json.loads(path.read_text())['values'] == {}


@pytest.mark.parametrize('old', [False, True])
def test_the_folder_of_checkpoints(in_tmp, parts, old):
    """A folder named by an older version is still used. The new name is one that TensorBoard, which
    asks TensorFlow for each run's latest checkpoint, does not mistake for a list of checkpoints.
    """
    if old:
        os.makedirs('results/000-x/checkpoint')
    resuming.write_run('results/000-x', [], [], {'desc': 'x'})
    with resuming.only_process('results/000-x'):
        Checkpoints('results/000-x', make_devices(), *parts).save({'number': 3})
    assert resuming.find_run('', 'results').values == {'desc': "'x'"}
    assert Checkpoints('results/000-x', make_devices(), *parts).restore() == {'number': 3}
    assert os.listdir('results/000-x') == ['checkpoint' if old else 'checkpoints']
    names = {'in-use', 'run.json', 'checkpoint', 'ckpt-1.index', 'ckpt-1.data-00000-of-00001'}
    assert set(os.listdir(run_files.checkpoint_folder('results/000-x'))) == names
