"""All files of the program on a disk that fails at every step: afterwards the old or the new file
exists, and an error is reported.
"""
import gc
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import misc
import tfutil
from metrics import inception
from pgan import files
from pgan.data.writer import TFRecordExporter, clear_leftovers
from pgan.errors import DataError
from pgan.inspection.extraction import extract
from pgan.scripts import evaluate_metrics as evaluation
from pgan.scripts import generator
from pgan.scripts import project_image as projection
from pgan.scripts.video import write_video
from tests.support.faults import (
    ERRORS,
    Disk,
    Killed,
    check_message,
    faults_of,
    file_size_limit,
    picture,
    start_anew,
    tree,
)
from tests.support.golden import ROOT

# ------------------------------------------------------------ what is written

NETWORKS = []


def network(version):
    """A small network whose values depend on the version; built once."""
    if not NETWORKS:
        options = dict(num_channels=1, resolution=4, fmap_base=4, fmap_max=4, latent_size=3)
        NETWORKS.extend(tfutil.Network('G', 'networks.G_paper', **options) for _ in range(2))
        for number, net in enumerate(NETWORKS):
            net.set_var('4x4/Dense/weight',
                        np.full(net.vars['4x4/Dense/weight'].shape, number, np.float32))
    return NETWORKS[version]


def write_dataset(version):
    images = np.random.RandomState(version).randint(0, 256, [6, 1, 16, 16], dtype=np.uint8)
    with TFRecordExporter('toy', 6, print_progress=False, force=True) as out:
        for image in images:
            out.add_image(image)
        out.add_labels(np.full([6, 3], version, np.float32))
        out.add_class_names([f'class {version}'] * 3)


def write_rows(version):
    """A row of a metric's table, next to those of earlier versions."""
    table = evaluation._Table('metric.txt', 'num_images=10')
    table.begin(['FID'], ['%-10.4f'])
    table.add('Reals', 1.0, [float(version)])


def write_projection(version):
    os.makedirs('run', exist_ok=True)
    found = types.SimpleNamespace(latents=np.full([2, 3], version, np.float32),
                                  labels=np.full([1, 2], version, np.float32))
    target = np.full([1, 3, 16, 16], version - 0.5, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projection, 'draw',
                      lambda *args, **options: picture(version)[np.newaxis, :, :16, :16])
        patch.setattr(projection, 'write_video', lambda *args: None)
        projection.save('run', None, target, found, 2, 1)


def write_inception(version):
    """The downloaded graph."""
    with pytest.MonkeyPatch.context() as patch:
        for name, result in (('_fetch', b''), ('_unpack', bytes([version]) * 1000), ('_parse',
                                                                                     None)):
            patch.setattr(inception, name, lambda *args, result=result: result)
        inception._download('url', '_inception')


def write_extracted(version):
    """The images of one of two data sets, as files."""
    extract(f'../data/{version}', 'pictures', force=True)


def plot(version):
    evaluation.plot([{'snapshot': '1', 'FID': float(version)}, {'snapshot': '2', 'FID': 3.0}],
                    ['FID'], 'metric.png')


# Functions of the version: 0 is the existing file, 1 is being written.
WRITERS = {
    'snapshot': lambda version: misc.save_pkl(
        (np.full(500, version, np.float32), 'x'), 'network-final.pkl'),
    'networks': lambda version: misc.save_pkl(
        (network(version), ) * 3, 'network-snapshot-000010.pkl'),
    'png': lambda version: misc.save_image(picture(version), 'fakes.png', drange=[0, 255]),
    'jpg': lambda version: misc.save_image(picture(version), 'fakes.jpg', drange=[0, 255]),
    'image grid': lambda version: misc.save_image_grid(
        picture(version)[:, np.newaxis], 'reals.png', drange=[0, 255]),
    'config.txt': lambda version: misc.write_config(
        '.', {f'name{number}': 'x' * 50 + str(version)
              for number in range(20)}),
    'weights': lambda version: network(version).save_weights('weights.npz'),
    'data set': write_dataset,
    'text appended': lambda version: files.atomic_append('rows.jsonl', f'{version}\n' * 200),
    'metric rows': write_rows, 'metric plot': plot, 'projection': write_projection,
    'inception graph': write_inception, 'extracted images': write_extracted,
    'done': lambda version: generator.mark_done('.'),
}
SEVERAL_FILES = ('projection', 'extracted images')  # each file is complete


@pytest.fixture(params=[False, True], ids=['nothing there', 'old one there'])
def prepare(request, room, monkeypatch):
    """A function from a writer's name to (writer, content before and after, all faults)."""
    def do(name):
        write = WRITERS[name]
        for folder in ('run', '_inception'):  # results are written to existing folders
            os.makedirs(folder)
        if request.param:
            write(0)
        before = tree()
        faults = list(faults_of(write, room, monkeypatch))
        durable = {'fsync'} if name != 'extracted images' else set()
        assert {operation for operation, _ in faults} >= {'open', 'close', 'rename', *durable}
        return write, before, tree(), faults
    return do


def check_whole(name, before, after):
    """Only complete files: those from before or, if several are written, new ones among them."""
    if name not in SEVERAL_FILES:
        assert tree() == before
        return
    now = tree()
    assert before.keys() <= now.keys() <= after.keys()
    for path, data in now.items():
        assert data in (before.get(path, data), after[path]) and (path in before
                                                                  or data == after[path])


@pytest.mark.first(4, rest='slow')
@pytest.mark.parametrize('name', WRITERS)
def test_an_error_leaves_what_was_there(name, prepare, room, monkeypatch, record_property):
    write, before, after, faults = prepare(name)
    for operation, number in faults:
        for cause in ERRORS.values():
            start_anew(before)
            with Disk(room, operation, number, cause).installed(monkeypatch) as disk:
                with pytest.raises(DataError) as caught:
                    write(1)
                assert disk.failed
            check_whole(name, before, after)
            check_message(caught.value, "'toy'" if name == 'data set' else f"'{room}/",
                          os.strerror(cause))
    record_property('faults', 2 * len(faults))


@pytest.mark.first(4, rest='slow')
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.parametrize('name', WRITERS)
def test_a_crash_leaves_what_was_there(name, prepare, room, monkeypatch, record_property):
    """Leftovers are hidden and unlocked; the next attempt succeeds."""
    write, before, after, faults = prepare(name)
    for operation, number in faults:
        start_anew(before)
        with Disk(room, operation, number, Killed).installed(monkeypatch):
            with pytest.raises(Killed):
                write(1)
        if name == 'data set':
            gc.collect(1)  # a dead process holds no locks
            clear_leftovers('toy')
        leftovers = {
            path: data
            for path, data in tree().items() if os.path.basename(path).startswith('.')
        }
        start_anew({path: data for path, data in tree().items() if path not in leftovers})
        check_whole(name, before, after)
        start_anew({**before, **leftovers})
        assert misc.list_network_pkls('.') == [
            f'./{path}' for path in before if path.endswith('.pkl')
        ]
        write(1)
        assert {path: data for path, data in tree().items() if path not in leftovers} == after
    record_property('crashes', len(faults))


# ------------------------------------------------------------ writes of libraries, past Python

@pytest.mark.slow
def test_a_saved_model_is_replaced_whole(room, monkeypatch):
    """TensorFlow writes the file; then it is synced and renamed."""
    export('model', 0)
    before = tree()
    with Disk(room).installed(monkeypatch) as disk:
        export('model', 1)
    assert disk.counts['fsync'] >= 3 and disk.counts['rename'] == 2
    for operation in ('open', 'fsync', 'close', 'rename'):
        for number in {0, disk.counts[operation] - 1}:
            for cause in ERRORS.values():
                start_anew(before)
                with Disk(room, operation, number,
                          cause).installed(monkeypatch), pytest.raises(DataError) as caught:
                    export('model', 1)
                assert tree() == before, (operation, number)
                check_message(caught.value, f"'{room}/model'", os.strerror(cause))
    start_anew(before)
    for size in (0, 100, 3000):
        with file_size_limit(size), pytest.raises(DataError) as caught:
            export('model', 1)
        assert tree() == before
        check_message(caught.value, f"'{room}/model'", 'Nothing was overwritten')


def export(path, version):
    network(version).export(path, overwrite=True)


@pytest.mark.slow
@pytest.mark.parametrize('number', [0, 1])
def test_a_crash_of_an_export(number, room, monkeypatch):
    """Between the two renames the old folder has another name, and is complete."""
    export('model', 0)
    before = tree('model')
    with Disk(room, 'rename', number, Killed).installed(monkeypatch), pytest.raises(Killed):
        export('model', 1)
    assert os.path.isdir('model') == (number == 0)
    assert before in [tree(name) for name in os.listdir()]
    assert all(name.startswith('.') for name in os.listdir() if name != 'model')
    export('model', 1)
    assert tf.saved_model.load('model') is not None


@pytest.mark.parametrize('operation', ['open', 'fsync', 'rename'])
def test_a_video_is_replaced_whole(operation, room, monkeypatch):
    """ffmpeg writes the file; faults within ffmpeg are tested with the videos."""
    pathlib.Path('out.mp4').write_bytes(b'old')
    for cause in ERRORS.values():
        with Disk(room, operation, 0,
                  cause).installed(monkeypatch), pytest.raises(DataError) as caught:
            write_video('out.mp4', lambda index: np.zeros([16, 16, 3], np.uint8), 2, fps=2,
                        silent=True)
        assert tree() == {'out.mp4': b'old'}
        check_message(caught.value, f"'{room}/out.mp4'", os.strerror(cause))


# Neither writers of several files, nor writers that print: the limit also applies to the files in
# which pytest captures output.
REAL = [
    name for name in WRITERS
    if name not in (*SEVERAL_FILES, 'done', 'text appended', 'metric rows', 'inception graph')
]


@pytest.mark.first(3, rest='slow')
@pytest.mark.parametrize('name', REAL)
def test_real_errors_leave_what_was_there(name, room):
    """The system does not let files grow, in any library that writes them."""
    WRITERS[name](0)
    before = tree()
    WRITERS[name](1)
    largest = max(len(data) for data in tree().values() if data is not None)
    start_anew(before)
    for size in {0, 1, largest // 3, largest // 2, largest - 1}:
        with file_size_limit(size), pytest.raises(DataError) as caught:
            WRITERS[name](1)
        assert tree() == before
        check_message(caught.value, "'toy'" if name == 'data set' else f"'{room}/",
                      'File too large')


# ------------------------------------------------------------ real deaths

DIE = """
import functools, os, sys
import numpy as np
import pytest
import misc
from tests.support.faults import Disk, tree
from pgan.data.writer import TFRecordExporter, clear_leftovers

def write_dataset(version):
    with TFRecordExporter('toy', 3, print_progress=False, force=True) as out:
        for number in range(3):
            out.add_image(np.full([1, 16, 16], version + number, np.uint8))

writers = {
    'snapshot': lambda version: misc.save_pkl([np.full(500, version)] * 3, 'network-final.pkl'),
    'png': lambda version: misc.save_image(
        np.random.RandomState(version).rand(3, 16, 16), 'fakes.png'),
    'config.txt': lambda version: misc.write_config(
        '.', {'a' + str(number): 'x' * 50 + str(version) for number in range(20)}),
    'data set': write_dataset}
deaths = 0
for name, write in writers.items():
    os.makedirs(name)
    os.chdir(name)
    write(0)
    before = tree()
    for operation in ('open', 'write', 'fsync', 'close', 'rename'):
        for number in range(40):
            if (child := os.fork()) == 0:  # dies at this step; ends well if there are fewer steps
                disk = Disk('.', operation, number, functools.partial(os._exit, 9))
                with disk.installed(pytest.MonkeyPatch()):
                    write(1)
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status in (0, 9), status
            if name == 'data set':
                clear_leftovers('toy')
            now = tree()
            if status == 0:
                assert {path: now[path] for path in before} != before
                write(0)
                break
            deaths += 1
            assert {path: now.get(path) for path in before} == before, (name, operation, number)
            new = [os.path.basename(path) for path in now.keys() - before.keys()]
            assert all(path.startswith('.') for path in new), now.keys()
    os.chdir('..')
print(deaths)
"""


@pytest.mark.slow
def test_processes_that_die_in_the_midst_of_it(in_tmp):
    """Processes are really killed, without a chance to clean up, at each step."""
    done = subprocess.run([sys.executable, '-c', DIE], capture_output=True, text=True, env={
        **os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 30
