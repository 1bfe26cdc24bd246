"""train.py end to end on tiny networks: files of a run, and messages about mistakes."""
import glob
import os
import pickle
import re
import resource
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

import misc
from misc.environment import read_environment
from pgan.training import threads
from pgan.training.step import TrainingSteps
from tests.support.golden import ROOT, load_json
from tests.support.toy_runs import check_files, files_of, run, ticks_of


@pytest.mark.slow
def test_unconditional_through_every_stage(toy, own_threads):
    """In a subprocess, as users run it; files, log and TensorBoard tags are the original's."""
    done = subprocess.run([sys.executable, ROOT / 'train.py', '--config', 'tiny.py'],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = 'results/000-tiny'
    check_files(folder)
    parts = read_environment(folder)[-1]['minibatch_parts']
    on_two_cores = threads.usable_cores() == 2 and not tf.config.list_physical_devices('GPU')
    assert parts == (2 if on_two_cores else 1)
    lods = [float(tick['lod']) for tick in ticks_of(folder)]
    assert lods[0] > 1 and lods[-1] == 0 and lods == sorted(lods, reverse=True)
    with open(f'{folder}/log.txt') as file:
        log = file.read()
    steps = [
        'Initializing TensorFlow...', 'Running train.train_progressive_gan()...',
        'Streaming data using '
        'dataset.TFRecordDataset...', 'Dataset shape = [3, 16, 16]', 'Dynamic range = [0, 255]',
        'Label size    = 0', 'Constructing networks...', 'G  ', 'D  ',
        'Building TensorFlow graph...', 'Setting up snapshot image grid...',
        'Setting up result dir...', 'Saving results to results/000-tiny', 'Training...', 'tick 1 ',
        'Exiting...'
    ]
    assert [line for line in log.split('\n')
            if line.startswith(tuple(steps))][:16][:-1] == pytest.approx([
                line for step in steps[:-1] for line in log.split('\n') if line.startswith(step)
            ][:15])
    assert log.endswith('Exiting...\n') and 'kimg/s' not in log

    events = EventAccumulator(folder)
    events.Reload()
    golden = load_json('sample_run.json')['tags']
    assert sorted(events.Tags()['scalars']) == sorted(golden['scalars'])
    assert not events.Tags()['histograms'] and not events.Tags()['graph'] and events.Tags(
    )['tensors'] == ['_hparams_/session_start_info', 'custom_scalars__config__']
    check_layout(Layout.FromString(events.Tensors('custom_scalars__config__')[0]
                                   .tensor_proto.string_val[0]), golden['scalars'])
    kimg = [event.value for event in events.Scalars('Progress/kimg')]
    assert [event.step
            for event in events.Scalars('Progress/kimg')] == [round(k * 1000) for k in kimg]
    assert all(
        np.isfinite(event.value) for tag in golden['scalars'] for event in events.Scalars(tag))


def check_layout(layout, tags):
    """Each chart of the CUSTOM SCALARS page shows something."""
    charts = [chart for category in layout.category for chart in category.chart]
    assert len(charts) == 9
    for chart in charts:
        for expression in chart.multiline.tag:
            found = [tag for tag in tags if re.fullmatch(expression, tag)]
            assert found or expression == 'Overfitting/held_out_scores', (chart.title, expression)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_conditional_with_a_row_per_class_in_bfloat16(toy, capsys):
    (toy / 'datasets' / 'toy' / 'toy-classes.txt').write_text('ant\nbee\ncat\n')
    assert run("dataset.max_label_size='full'", 'grid.layout=row_per_class', 'G.dtype=bfloat16',
               'D.dtype=bfloat16', 'num_gpus=1') == 0
    folder = 'results/000-tiny'
    assert (toy / folder / 'rows.txt').read_text().startswith('row 0: class 0, ant\n')
    for name in ('ant', 'bee', 'cat'):  # next to fakes and reals
        assert (toy / folder / 'report.html').read_text().count(f'<span>{name}</span>') == 2
    os.unlink(f'{folder}/rows.txt')  # exists only for named classes
    check_files(folder)
    ticks_of(folder)
    G, D, Gs = misc.load_pkl(f'{folder}/network-final.pkl')
    assert G.static_kwargs['dtype'] == 'bfloat16' and G.input_shapes[1] == [
        None, 3
    ] and D.output_shapes[1] == [None, 3]
    assert all(np.isfinite(net.get_var(name)).all() for net in (G, D, Gs) for name in net.vars)
    rows = row_means(f'{folder}/reals.png', size=16)
    # rows cycle through the classes, which differ by 60
    assert (np.diff(rows[:3]) > 40).all() and abs(rows[0] - rows[3]) < 20


def row_means(path, size):
    from PIL import Image
    pixels = np.asarray(Image.open(path), np.float32)
    return pixels.reshape(-1, size, *pixels.shape[1:]).mean(axis=(1, 2, 3))


@pytest.mark.slow
def test_synthetic_data_linear_structure_histograms_and_graph(toy):
    """Linear networks train at the full resolution; weights of layers that the lod does not use do
    not change.
    """
    assert run(
        "dataset={'class_name': 'dataset.SyntheticDataset', 'resolution': 8, "
        "'num_channels': 1}", 'train.total_kimg=0.05', 'G.structure=linear', 'D.structure=linear',
        'train.save_tf_graph=True', 'train.save_weight_histograms=True') == 0
    folder = 'results/000-tiny'
    check_files(folder)
    events = EventAccumulator(folder)
    events.Reload()
    assert events.Tags()['graph']
    assert 'G/4x4/Conv/weight' in events.Tags(
    )['histograms'] and 'D/4x4/Dense1/weight' in events.Tags()['histograms']


def weights(path):
    return [{name: net.get_var(name) for name in net.trainables} for net in misc.load_pkl(path)]


@pytest.mark.slow
def test_resuming_from_a_snapshot_and_from_the_wrong_one(toy, capsys):
    assert run('train.total_kimg=0.05') == 0
    still = ('sched.G_lrate_base=1e-20', 'sched.D_lrate_base=1e-20', 'train.G_smoothing=1.0')
    assert run('train.total_kimg=0.1', 'train.resume_run_id=0', 'train.resume_kimg=0.05',
               'train.resume_time=3600', *still) == 0
    ticks = ticks_of('results/001-tiny')
    assert ticks[-1]['time'].startswith('1h') and float(ticks[0]['kimg']) >= 0.1
    for before, after in zip(weights('results/000-tiny/network-final.pkl'),
                             weights('results/001-tiny/network-final.pkl')):
        assert all(np.abs(before[name] - after[name]).max() <= 1e-6 for name in before)
    capsys.readouterr()
    assert run('train.resume_run_id=0', "dataset.max_label_size='full'") == 1
    assert 'labels of 0 components' in capsys.readouterr().err
    misc.save_pkl((1, 2, 3), 'numbers.pkl')
    assert run('train.resume_run_id=numbers.pkl') == 1
    assert 'three networks G, D, Gs' in capsys.readouterr().err


class Recorder(TrainingSteps):
    """Training steps that record their arguments and do not train."""
    made = None

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.calls = []
        Recorder.made = self

    def step(self, kind, moment):
        if kind == 'G':
            self.calls.append(('G', moment.lod, moment.minibatch, moment.G_lrate))
            return 0
        images, _ = self.minibatches.take(moment.minibatch, moment.lod)
        assert images.shape == [moment.minibatch, 3, *[16 >> int(moment.lod)] * 2]
        self.calls.append(('D', moment.lod, moment.minibatch, moment.D_lrate))
        return moment.minibatch

    def reset_optimizers(self):
        self.calls.append(('reset',))


@pytest.mark.slow
@pytest.mark.parametrize('reset', [True, False])
def test_the_loops_order_of_things(toy, monkeypatch, reset):
    """Updates, rates, sizes and resets, exactly as configured."""
    monkeypatch.setattr('pgan.training.loop.TrainingSteps', Recorder)
    assert run('train.D_repeats=2', 'train.minibatch_repeats=3',
               f'train.reset_opt_for_new_lod={reset}', 'train.total_kimg=0.576',
               'train.image_snapshot_ticks=2', 'train.network_snapshot_ticks=3',
               'sched.minibatch_dict={8: 16}', 'sched.lod_training_kimg=0.096',
               'sched.lod_transition_kimg=0.096', 'sched.tick_kimg_base=0.096',
               'sched.G_lrate_base=0.001', 'sched.D_lrate_base=0.002',
               'sched.G_lrate_dict={16: 0.003}', 'sched.D_lrate_dict={16: 0.004}',
               'D_opt.beta2=0.5', 'G_opt.beta2=0.6', 'G_loss.cond_weight=2.0',
               'D_loss.wgan_lambda=3.0', 'train.G_smoothing=0.7') == 0
    steps = Recorder.made
    cur_nimg, lods, expected = 0, [], []
    while cur_nimg < 576:
        kimg = cur_nimg / 1000
        lod = max(2 - int(kimg / 0.192) - max(kimg % 0.192 - 0.096, 0) / 0.096, 0)
        minibatch = {0: 8, 1: 16, 2: 8}[int(lod)]
        rates = (0.003, 0.004) if lod < 1 else (0.001, 0.002)
        crossing = not lods or int(lods[-1]) != int(lod) or np.ceil(lods[-1]) != np.ceil(lod)
        expected += [('reset',)] if crossing and reset else []
        expected += ([('D', pytest.approx(lod), minibatch, rates[1])] * 2 +
                     [('G', pytest.approx(lod), minibatch, rates[0])]) * 3
        cur_nimg += 6 * minibatch
        lods.append(lod)
    assert steps.calls == expected
    assert steps.training_set.position == cur_nimg and steps.training_set.random_seed == 1000
    assert (steps.D_opt.beta2, steps.G_opt.beta2, steps.options.G_smoothing) == (0.5, 0.6, 0.7)
    assert steps.G_loss.keywords == {'cond_weight': 2.0
                                     } and steps.D_loss.keywords == {'wgan_lambda': 3.0}


@pytest.mark.slow
def test_snapshots_come_when_asked_for(toy, monkeypatch):
    """Ticks of 2 kimg: names contain the kimg, so the exact set can be checked."""
    monkeypatch.setattr('pgan.training.loop.TrainingSteps', Recorder)
    assert run('train.total_kimg=10', 'sched.tick_kimg_base=2', 'sched.lod_training_kimg=0',
               'sched.lod_transition_kimg=0', 'sched.lod_initial_resolution=16',
               'sched.minibatch_base=100', 'D.mbstd_group_size=1', 'train.minibatch_repeats=1',
               'train.image_snapshot_ticks=2', 'train.network_snapshot_ticks=3') == 0
    names = set(files_of('results/000-tiny'))
    assert {n
            for n in names
            if n.startswith('fakes')} == {f'fakes{k:06d}.png'
                                          for k in (0, 4, 8, 10)}
    assert {n
            for n in names if n.startswith('network')
            } == {f'network-{n}.pkl'
                  for n in ('snapshot-000006', 'snapshot-000010', 'final')}


@pytest.mark.slow
def test_fakes_are_drawn_by_the_running_average(toy, monkeypatch):
    """A smoothing of 1 keeps Gs unchanged while G learns: the last picture equals the first."""
    pictures = []
    monkeypatch.setattr('pgan.reporting.snapshots.misc.save_image_grid',
                        lambda images, path, **_: pictures.append((path, images.copy())))
    assert run('train.total_kimg=0.05', 'sched.lod_initial_resolution=16',
               'sched.lod_training_kimg=0', 'sched.lod_transition_kimg=0', 'train.G_smoothing=1.0',
               'sched.tick_kimg_base=1', 'sched.G_lrate_base=0.1') == 0
    G, _, Gs = weights('results/000-tiny/network-final.pkl')
    assert any((G[name] != Gs[name]).any() for name in G)
    (_, first), (_, last) = [picture for picture in pictures if 'fakes' in picture[0]]
    # src + (own - src) * 1 equals own up to rounding
    assert np.abs(first - last).max() <= 1e-3 < first.std()


@pytest.mark.slow
def test_a_diverged_run_is_given_up(toy, capsys):
    """Labels and rates that diverge: a warning per tick, then an error, not a series of broken
    snapshots.
    """
    assert run('sched.G_lrate_base=1e30', 'sched.D_lrate_base=1e30', 'train.total_kimg=2',
               'sched.lod_training_kimg=2', 'sched.tick_kimg_base=0.1') == 1
    captured = capsys.readouterr()
    assert "updates in this tick were skipped" in captured.out and 'diverged' in captured.err
    assert 'Traceback' not in captured.err


@pytest.mark.slow
def test_float16_with_loss_scaling(toy):
    """The scale starts far too high, falls until updates are applied, and the final weights are
    finite.
    """
    assert run('G.dtype=float16', 'D.dtype=float16', 'G.pixelnorm_epsilon=1e-4',
               'G_opt.use_loss_scaling=True', 'D_opt.use_loss_scaling=True', 'train.total_kimg=0.8',
               'sched.lod_training_kimg=0.8') == 0
    events = EventAccumulator('results/000-tiny')
    events.Reload()
    for tag in ('TrainG/loss_scaling_log2', 'TrainD/loss_scaling_log2'):
        scale = [event.value for event in events.Scalars(tag)]
        assert scale[0] > scale[-1] and 0 < scale[-1] < 40
        assert events.Scalars(tag.replace('loss_scaling_log2',
                                          'overflow_frequency'))[-1].value < 0.5
    assert all(
        np.isfinite(value).all() for net in weights('results/000-tiny/network-final.pkl')
        for value in net.values())


@pytest.mark.slow
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


@pytest.mark.slow
def test_default_configuration_without_data(in_tmp):
    """Possibly the first command of a new user."""
    done = subprocess.run([sys.executable, ROOT / 'train.py'], capture_output=True, text=True)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    message = done.stderr[done.stderr.index('error: '):]
    for text in ('datasets/celebahq', 'create_celebahq', 'any data: bash '):
        assert text in message
    assert os.listdir() == []


@pytest.mark.parametrize('assignment, texts', [
    ('dataset.tfrecord_dir=toys', ["'datasets/toys' not found", 'dataset_tool.py']),
    ('train.total_kimgs=3', ["Did you mean 'total_kimg'"]),
    ('G.fmap_bas=3', ["Did you mean 'fmap_base'"]),
    ('trian.total_kimg=3', ["Did you mean 'train'"]),
    ('G.func=networks.G_papre', ["Did you mean 'G_paper'"]),
    ('D_loss.func=losses.D_wgangp_acgan', ['losses']),
    ("dataset={'class_name': 'dataset.SyntheticDataset', 'resolution': 48}", ['48', 'power of two'
                                                                              ]),
    ('sched.minibatch_base=6', ['6', '4', 'mbstd_group_size']),
    ('num_gpus=16', ['num_gpus = 16 leaves nothing for each GPU', 'preset']),
    ('grid.layout=row_per_class', ['max_label_size']), ('grid.size=8k', ['1080p', "'8k'"]),
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


@pytest.mark.slow
def test_a_disk_that_fills_while_a_run_saves(toy):
    """A limit on file size stands for the full disk: it interrupts the first checkpoint. Finished
    files stay.
    """
    assert run('train.total_kimg=0.05') == 0  # existing files must survive
    before = files_of('results/000-tiny')
    limit = 200_000
    done = subprocess.run([
        sys.executable, ROOT / 'train.py', '--config', 'tiny.py', '--set', 'train.total_kimg=0.05',
        '--set', 'G.fmap_max=64', '--set', 'G.fmap_base=256', '--set', "dataset.resolution=8",
        '--set', 'desc=full'
    ], capture_output=True, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                                (limit, limit)))
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    assert 'the checkpoint cannot be written' in done.stderr[done.stderr.index('error: '):]
    assert files_of('results/000-tiny') == before
    assert not [
        name for name in os.listdir('results/001-full') if 'network' in name or 'tmp' in name
    ]
