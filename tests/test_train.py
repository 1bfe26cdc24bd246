"""train.py from end to end on tiny networks: what a run leaves behind, and what a user's mistakes get."""
import glob
import os
import pickle
import re
import resource
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, load_json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import misc
import train
from importers.exporter import TFRecordExporter

TICK = re.compile(
    r'^tick (?P<tick>\d+) +kimg (?P<kimg>\d+\.\d) +lod (?P<lod>\d+\.\d\d) +minibatch (?P<minibatch>\d+) +time (?P<time>(?:\d+d )?(?:\d+h )?'
    r'(?:\d+m )?\d+[sm]?) +sec/tick (?P<sec_per_tick>\d+\.\d) +sec/kimg (?P<sec_per_kimg>\d+\.\d\d) +maintenance (?P<maintenance>\d+\.\d)$')

TINY = '''
desc = 'tiny'
dataset = EasyDict(tfrecord_dir='toy')
train = EasyDict(func='train.train_progressive_gan', total_kimg=0.4, network_snapshot_ticks=2)
G.update(fmap_base=32, fmap_max=8)
D.update(fmap_base=32, fmap_max=8)
sched = EasyDict(minibatch_base=8, lod_training_kimg=0.064, lod_transition_kimg=0.064, tick_kimg_base=0.1, tick_kimg_dict={})
'''


def make_toy(folder='datasets/toy', resolution=16, channels=3, labels=True, count=40):
    """A data set of coloured noise; class i is the brighter the larger i."""
    rnd = np.random.RandomState(0)
    with TFRecordExporter(folder, count, print_progress=False) as exporter:
        for i in range(count):
            exporter.add_image((rnd.randint(0, 80, [channels, resolution, resolution]) + 60 * (i % 3)).astype(np.uint8))
        if labels:
            exporter.add_labels(np.eye(3, dtype=np.float32)[np.arange(count) % 3])


@pytest.fixture
def toy(in_tmp, capsys):
    """The current folder holds datasets/toy and tiny.py; afterwards stdout and stderr are what they were."""
    make_toy()
    (in_tmp / 'tiny.py').write_text(TINY)
    yield in_tmp
    misc.restore_output()


def run(*assignments, config='tiny.py'):
    """train.py in this process. Returns its exit code."""
    argv = ['--config', config] if config else []
    for assignment in assignments:
        argv += ['--set', assignment]
    try:
        return train.main(argv)
    except SystemExit as end:
        return end.code


def files_of(folder):
    return {re.sub(r'events\.out\.tfevents.*', 'EVENTS', name): os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)}


def ticks_of(folder):
    with open(os.path.join(folder, 'log.txt')) as file:
        lines = [line.rstrip('\n') for line in file if line.startswith('tick')]
    matches = [TICK.match(line) for line in lines]
    assert lines and all(matches), lines
    return matches


def check_files(folder, last_kimg=0):
    """Exactly the files of a finished run: as the original's, none empty but the last."""
    files = files_of(folder)
    assert files.pop('_training-done.txt') == 0 and all(files.values())
    fakes = {name for name in files if re.fullmatch(r'fakes\d{6}\.png', name)}
    snapshots = {name for name in files if re.fullmatch(r'network-snapshot-\d{6}\.pkl', name)}
    assert fakes and snapshots
    assert set(files) - fakes - snapshots == {'log.txt', 'config.txt', 'reals.png', 'network-final.pkl', 'EVENTS'}


def test_unconditional_through_every_stage(toy):
    """In a process of its own, as users run it; the files, the log and the TensorBoard tags are the original's."""
    done = subprocess.run([sys.executable, ROOT / 'train.py', '--config', 'tiny.py'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = 'results/000-tiny'
    check_files(folder)
    lods = [float(tick['lod']) for tick in ticks_of(folder)]
    assert lods[0] > 1 and lods[-1] == 0 and lods == sorted(lods, reverse=True)
    with open(f'{folder}/log.txt') as file:
        log = file.read()
    steps = ['Initializing TensorFlow...', 'Running train.train_progressive_gan()...', 'Streaming data using dataset.TFRecordDataset...',
             'Dataset shape = [3, 16, 16]', 'Dynamic range = [0, 255]', 'Label size    = 0', 'Constructing networks...', 'G  ', 'D  ',
             'Building TensorFlow graph...', 'Setting up snapshot image grid...', 'Setting up result dir...',
             'Saving results to results/000-tiny', 'Training...', 'tick 1 ', 'Exiting...']
    assert [line for line in log.split('\n') if line.startswith(tuple(steps))][:16][:-1] == pytest.approx(
        [line for step in steps[:-1] for line in log.split('\n') if line.startswith(step)][:15])
    assert log.endswith('Exiting...\n') and 'kimg/s' not in log

    events = EventAccumulator(folder)
    events.Reload()
    golden = load_json('sample_run.json')['tags']
    assert sorted(events.Tags()['scalars']) == sorted(golden['scalars'])
    assert not events.Tags()['histograms'] and not events.Tags()['graph'] and not events.Tags()['tensors']
    kimg = [event.value for event in events.Scalars('Progress/kimg')]
    assert [event.step for event in events.Scalars('Progress/kimg')] == [round(k * 1000) for k in kimg]
    assert all(np.isfinite(event.value) for tag in golden['scalars'] for event in events.Scalars(tag))


def test_conditional_with_a_row_per_class_in_bfloat16(toy, capsys):
    assert run("dataset.max_label_size='full'", 'grid.layout=row_per_class', 'G.dtype=bfloat16', 'D.dtype=bfloat16', 'num_gpus=1') == 0
    folder = 'results/000-tiny'
    check_files(folder)
    ticks_of(folder)
    G, D, Gs = misc.load_pkl(f'{folder}/network-final.pkl')
    assert G.static_kwargs['dtype'] == 'bfloat16' and G.input_shapes[1] == [None, 3] and D.output_shapes[1] == [None, 3]
    assert all(np.isfinite(net.get_var(name)).all() for net in (G, D, Gs) for name in net.vars)
    rows = row_means(f'{folder}/reals.png', size=16)
    assert (np.diff(rows[:3]) > 40).all() and abs(rows[0] - rows[3]) < 20  # rows go round the classes, which differ by 60


def row_means(path, size):
    from PIL import Image
    pixels = np.asarray(Image.open(path), np.float32)
    return pixels.reshape(-1, size, *pixels.shape[1:]).mean(axis=(1, 2, 3))


def test_synthetic_data_linear_structure_histograms_and_graph(toy):
    """Linear networks train at the full resolution; weights of layers that the lod leaves unused stay as they were."""
    assert run("dataset={'class_name': 'dataset.SyntheticDataset', 'resolution': 8, 'num_channels': 1}", 'train.total_kimg=0.05',
               'G.structure=linear', 'D.structure=linear', 'train.save_tf_graph=True', 'train.save_weight_histograms=True') == 0
    folder = 'results/000-tiny'
    check_files(folder)
    events = EventAccumulator(folder)
    events.Reload()
    assert events.Tags()['graph']
    assert 'G/4x4/Conv/weight' in events.Tags()['histograms'] and 'D/4x4/Dense1/weight' in events.Tags()['histograms']


def test_resuming_from_a_snapshot_and_from_the_wrong_one(toy, capsys):
    assert run('train.total_kimg=0.05') == 0
    assert run('train.total_kimg=0.1', 'train.resume_run_id=0', 'train.resume_kimg=0.05', 'train.resume_time=3600') == 0
    ticks = ticks_of('results/001-tiny')
    assert ticks[-1]['time'].startswith('1h') and float(ticks[0]['kimg']) >= 0.1
    capsys.readouterr()
    assert run('train.resume_run_id=0', "dataset.max_label_size='full'") == 1
    assert 'labels of 0 components' in capsys.readouterr().err


def test_same_seed_same_run_other_seed_another(toy):
    for i, seed in enumerate((1, 1, 2)):
        assert run('train.total_kimg=0.05', f'random_seed={seed}') == 0, i
    texts = [pickle.dumps({n: net.get_var(n) for net in misc.load_pkl(path)[:2] for n in net.vars})
             for path in sorted(glob.glob('results/*/network-final.pkl'))]
    assert texts[0] == texts[1] != texts[2]


# ---------------------------------------------------------------- mistakes

def expect_error(capsys, code, *texts):
    captured = capsys.readouterr()
    assert code == 1, captured.err
    message = captured.err[captured.err.index('error: '):]
    assert message.count('\n') == 1 and 'Traceback' not in captured.err, captured.err
    for text in texts:
        assert text in message, message
    assert not os.path.exists('results')


def test_default_configuration_without_data(in_tmp):
    """The very first thing a newcomer may type."""
    done = subprocess.run([sys.executable, ROOT / 'train.py'], capture_output=True, text=True)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    message = done.stderr[done.stderr.index('error: '):]
    for text in ('datasets/celebahq', 'create_celebahq', 'bash quickstart.sh'):
        assert text in message
    assert os.listdir() == []


@pytest.mark.parametrize('assignment, texts', [
    ('dataset.tfrecord_dir=toys', ["'datasets/toys' not found", 'dataset_tool.py']),
    ('train.total_kimgs=3', ["Did you mean 'total_kimg'"]),
    ('G.fmap_bas=3', ["Did you mean 'fmap_base'"]),
    ('trian.total_kimg=3', ["Did you mean 'train'"]),
    ('G.func=networks.G_papre', ["Did you mean 'G_paper'"]),
    ('D_loss.func=losses.D_wgangp_acgan', ['losses']),
    ("dataset={'class_name': 'dataset.SyntheticDataset', 'resolution': 48}", ['48', 'power of two']),
    ('sched.minibatch_base=6', ['6', '4', 'mbstd_group_size']),
    ('num_gpus=2', ['num_gpus', 'preset-v2-1gpu']),
    ('grid.layout=row_per_class', ['max_label_size']),
    ('grid.size=8k', ['1080p', "'8k'"]),
    ("tf_config={'gpu_options.alow_growth': True}", ["Did you mean 'gpu_options.allow_growth'"]),
])
def test_mistakes_in_the_configuration(toy, capsys, assignment, texts):
    expect_error(capsys, run(assignment), *texts)


def test_truncated_data_file(toy, capsys):
    path = 'datasets/toy/toy-r04.tfrecords'
    os.truncate(path, os.path.getsize(path) - 100)
    expect_error(capsys, run(), 'toy-r04.tfrecords')


def test_labels_of_the_wrong_length(toy, capsys):
    with open('datasets/toy/toy-rxx.labels', 'wb') as file:
        np.save(file, np.zeros([39, 3], np.float32))
    expect_error(capsys, run("dataset.max_label_size='full'"), 'toy-rxx.labels', '39', '40')


def test_a_disk_that_fills_while_a_snapshot_is_written(toy):
    """A limit on file size stands for the full disk: it stops the pickle half-way. The finished snapshots stay, no part of one is left."""
    assert run('train.total_kimg=0.05') == 0  # what is there before must survive
    before = files_of('results/000-tiny')
    limit = 200_000
    done = subprocess.run(
        [sys.executable, ROOT / 'train.py', '--config', 'tiny.py', '--set', 'train.total_kimg=0.05', '--set', 'G.fmap_max=64',
         '--set', 'G.fmap_base=256', '--set', "dataset.resolution=8", '--set', 'desc=full'],
        capture_output=True, text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    assert 'network-snapshot-000000.pkl' in done.stderr[done.stderr.index('error: '):]
    assert files_of('results/000-tiny') == before
    assert not [name for name in os.listdir('results/001-full') if 'network' in name or 'tmp' in name]
