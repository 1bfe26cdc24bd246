"""evaluate_metrics, and metrics during training: images, table, caching, mistakes."""
import gc
import json
import os
import re
import weakref

import numpy as np
import PIL.Image
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import dataset
import metrics.evaluator
import misc
import tfutil
from metrics.evaluator import Evaluator, default_minibatch_size
from pgan.errors import ConfigError, DataError
from pgan.reporting.curves_section import metrics_section
from pgan.reporting.snapshot_metrics import SnapshotMetrics
from pgan.scripts.evaluate_metrics import _Table, evaluate_metrics
from tests.support.golden import GOLDEN
from tests.support.inception_standin import GRAPH_FILE, graph_bytes
from tests.support.script_inputs import settings_of_run
from tests.support.toy_runs import make_toy, run
from tests.support.watching_metrics import Watcher

WATCHER = 'tests.support.watching_metrics.Watcher'
KEEPER = 'tests.support.watching_metrics.Keeper'


@pytest.fixture
def finished(in_tmp):
    """results/000-run: two snapshots of a small conditional network for gray images, and its 40
    images.
    """
    make_toy(channels=1)
    os.makedirs('results/000-run')
    misc.write_config(
        'results/000-run', {
            'dataset': {'tfrecord_dir': 'toy', 'max_label_size': 'full'},
            'train': {'mirror_augment': False}
        })
    for kimg in (3, 12):
        Gs = tfutil.Network('Gs', 'networks.G_paper', num_channels=1, resolution=16, label_size=3,
                            fmap_base=32, fmap_max=8)
        misc.save_pkl((Gs, Gs, Gs), f'results/000-run/network-snapshot-{kimg:06d}.pkl')
    misc.save_pkl((Gs, Gs, Gs), 'results/000-run/network-final.pkl')
    Watcher.made.clear()
    return in_tmp


def evaluate(**options):
    np.random.seed(1000)
    names = options.pop('metrics', [WATCHER])
    defaults = dict(run_id=0, log='metric-test.txt', metrics=names, num_images=18, real_passes=2,
                    minibatch_size=8)
    evaluate_metrics(**{**defaults, **options}, config=settings_of_run())
    return Watcher.made[-1]


# ---------------------------------------------------------------- what metrics see

def test_what_a_metric_sees(finished, capsys):
    watcher = evaluate()
    assert watcher.options == (18, [3, 16, 16], 'uint8', 8)
    assert [mode for mode, _ in watcher.passes] == ['warmup', 'reals', 'fakes', 'fakes', 'fakes']
    assert [len(minibatch) for minibatch in watcher.passes[0][1]] == [8] * 10
    for number in range(1, 5):  # no image is used twice, so the last minibatch is smaller
        assert [minibatch.shape for minibatch in watcher.passes[number][1]] == [(8, 3, 16, 16),
                                                                                (8, 3, 16, 16),
                                                                                (2, 3, 16, 16)]
    reals = np.concatenate([watcher.images(1), watcher.images(2)])
    known = {
        image.tobytes()
        for image in dataset.TFRecordDataset('datasets/toy').read_images(range(40))
    }
    assert len({image.tobytes() for image in reals}) == 36  # the second draw differs
    assert all((image == image[:1]).all() and image[0].tobytes() in known for image in reals)
    assert not any(
        image[0].tobytes() in known
        for image in np.concatenate([watcher.images(3), watcher.images(4)]))


def test_networks_that_were_measured_are_released(finished, monkeypatch):
    """Otherwise, the snapshots of a long run fill the memory of a GPU."""
    loaded, alive, load = [], [], misc.load_generator

    def note(*arguments):
        alive.append(sum(each() is not None for each in loaded))
        Gs = load(*arguments)
        loaded.append(weakref.ref(next(iter(Gs.trainables.values()))))
        return Gs
    monkeypatch.setattr(misc, 'load_generator', note)
    gc.disable()
    try:
        evaluate(real_passes=1)
    finally:
        gc.enable()
    assert alive == [0, 0]


def test_generators_are_asked_for_labels_of_the_data_set(finished, monkeypatch):
    asked = []
    original = tfutil.Network.run

    def note(self, latents, labels, **options):
        asked.append((latents.copy(), labels.copy()))
        return original(self, latents, labels, **options)
    monkeypatch.setattr(tfutil.Network, 'run', note)
    watcher = evaluate(real_passes=1)
    latents, labels = (np.concatenate(parts) for parts in zip(*asked))
    assert latents.shape == (36, 8) and labels.shape == (36, 3) and (labels.sum(
        axis=1) == 1).all() and (labels.sum(axis=0) > 3).all()
    Gs = misc.load_pkl('results/000-run/network-snapshot-000012.pkl')[2]  # newest first
    expected = Gs.run(latents[:8], labels[:8], out_mul=127.5, out_add=127.5, out_dtype=np.uint8)
    np.testing.assert_array_equal(watcher.passes[2][1][0], np.repeat(expected, 3, axis=1))


def test_reals_are_mirrored_if_the_run_did_so(finished):
    misc.write_config('results/000-run',
                      {'dataset': {'tfrecord_dir': 'toy'}, 'train': {'mirror_augment': True}})
    Gs = tfutil.Network('Gs', 'networks.G_paper', num_channels=1, resolution=16, label_size=0,
                        fmap_base=32, fmap_max=8)
    for kimg in (3, 12):
        misc.save_pkl((Gs, Gs, Gs), f'results/000-run/network-snapshot-{kimg:06d}.pkl')
    watcher = evaluate(real_passes=1)
    known = {
        image.tobytes()
        for image in dataset.TFRecordDataset('datasets/toy').read_images(range(40))
    }
    as_they_are = sum(image[0].tobytes() in known for image in watcher.images(1))
    mirrored = sum(
        np.ascontiguousarray(image[0, :, ::-1]).tobytes() in known for image in watcher.images(1))
    assert as_they_are + mirrored == 18 and 4 <= mirrored <= 14


@pytest.mark.parametrize('resolution, expected', [(4, 256), (32, 256), (64, 128), (1024, 8),
                                                  (4096, 4)])
def test_minibatches_fit_into_memory(resolution, expected):
    assert default_minibatch_size(resolution) == expected


def test_numbers_below_one_are_refused():
    for options in (dict(num_images=0, minibatch_size=1), dict(num_images=1, minibatch_size=0)):
        with pytest.raises(ConfigError, match='at least 1'):
            Evaluator([], dataset.SyntheticDataset(16), **options)


# ---------------------------------------------------------------- the table

@pytest.mark.slow
def test_the_table_has_the_form_of_the_originals(finished, capsys):
    os.rename('datasets/toy', 'datasets/small')
    make_toy(resolution=32, channels=1, count=100)
    Gs = tfutil.Network('Gs', 'networks.G_paper', num_channels=1, resolution=32, label_size=3,
                        fmap_base=32, fmap_max=8)
    misc.save_pkl((Gs, Gs, Gs), 'results/000-run/network-snapshot-000014.pkl')
    for kimg in (3, 12):
        os.unlink(f'results/000-run/network-snapshot-{kimg:06d}.pkl')
    np.random.seed(1000)
    evaluate_metrics(0, 'metric-test.txt', ['swd', 'msssim'], 100, 2, 32, config=settings_of_run())
    # without what train.py prints around it
    golden = (GOLDEN / 'sample_metric_log.txt').read_text().splitlines()[2:-1]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(golden)
    for line, expected in zip(lines, golden):
        # Everything is equal, whitespace included, except values, times, and the names of the run
        # and the data set.
        def shape(text):
            text = re.sub(r'results/.*/', 'results/RUN/',
                          re.sub(r'\d+\.\d{4} *', lambda m: f'#{len(m[0])}', text))
            return re.sub(r'\d+s +', lambda m: f'T{len(m[0])}', text)
        assert shape(line).replace('= 3', '= 0') == shape(expected)


@pytest.mark.slow
def test_the_same_in_every_file(finished, capsys):
    watcher = evaluate()
    rows = [json.loads(line) for line in open('results/000-run/metric-test.jsonl')]
    assert [row['snapshot'] for row in rows] == ['Reals', 'Reals2', '12', '3']
    for number, row in enumerate(rows, 1):
        assert row['Mean'] == pytest.approx(
            watcher.images(number).mean()) and row['Count'] == 18 and row['seconds'] >= 0
    printed = capsys.readouterr().out.splitlines()
    start = printed.index('Snapshot  Time_eval   Mean    Count ')
    for line, row in zip(printed[start + 2:], rows):
        assert line.split(
        )[0] == row['snapshot'] and line[22:] == f'{row["Mean"]:<8.2f}{row["Count"]:<6.0f}'
    with PIL.Image.open('results/000-run/metric-test.png') as picture:
        assert picture.size == (800, 520) and len(np.unique(np.asarray(picture.convert('L')))) > 10
    evaluate()
    # appended
    assert len(open('results/000-run/metric-test.jsonl').readlines()) == 8


def test_tables_of_other_settings_are_kept_apart(in_tmp, capsys):
    os.makedirs('run')
    for settings, value in (('num_images=10', 1.25), ('num_images=10', 1.5),
                            ('num_images=20 against=validation', 7.75)):
        table = _Table('run/metric-a.txt', settings)
        table.begin(['Mean'], ['%-8.2f'])
        table.add('3', 1.0, [value])
        said = capsys.readouterr().out
        assert ('Settings of this table: num_images=20 against=validation. Those above: '
                'num_images=10.' in said) == (value == 7.75)
    with open('run/metric-a.jsonl', 'a') as file:
        file.write('{"snapshot": "3", "Mean": 9.5}\n')  # of an older version
    table = _Table('run/metric-a.txt', 'num_images=10')
    table.begin(['Mean'], ['%-8.2f'])
    assert 'Those above: num_images=10; num_images=20 against=validation; unknown.' in (
        capsys.readouterr().out)
    page = metrics_section('run', [], None)
    titles = re.findall('<h3>(.*?)</h3>', page)
    assert titles == ['metric-a, num_images=10', 'metric-a, num_images=20 against=validation',
                      'metric-a']
    assert '<td>1.5</td>' in page and '<td>1.25</td>' not in page
    assert 'settings' not in page and '<td>7.75</td>' in page and '<td>9.5</td>' in page


# ---------------------------------------------------------------- keeping the reals

@pytest.mark.slow
@pytest.mark.parametrize('mirror', [False, True])
def test_reals_are_looked_at_once(finished, mirror):
    data = {'tfrecord_dir': 'toy', 'max_label_size': 'full'}
    misc.write_config('results/000-run', {'dataset': data, 'train': {'mirror_augment': mirror}})
    first = evaluate(metrics=[KEEPER])
    again = evaluate(metrics=[KEEPER])
    assert [mode for mode, _ in again.passes] == ['warmup', 'fakes', 'fakes', 'fakes']
    assert again.state == first.images(1).mean()
    for number in (2, 3, 4):  # later results are as if they had been used
        np.testing.assert_array_equal(first.images(number), again.images(number - 1))
    rows = [json.loads(line) for line in open('results/000-run/metric-test.jsonl')]
    assert rows[0]['Mean'] == rows[4]['Mean'] and rows[4]['Count'] == 18


@pytest.mark.slow
@pytest.mark.exhaustive
def test_other_reals_are_looked_at_again(finished):
    evaluate(metrics=[KEEPER])
    for options in (dict(num_images=19), dict(minibatch_size=6),
                    dict(metrics=[WATCHER])):
        assert 'reals' in [mode for mode, _ in evaluate(**{'metrics': [KEEPER], **options}).passes]
    make_toy('datasets/toy2', channels=1, count=41)
    os.rename('datasets/toy', 'datasets/old')
    os.rename('datasets/toy2', 'datasets/toy')
    assert 'reals' in [mode for mode, _ in evaluate(metrics=[KEEPER]).passes]
    assert 'reals' not in [mode for mode, _ in evaluate(metrics=[KEEPER]).passes]
    os.utime('datasets/toy/toy2-r04.tfrecords', (1, 1))  # rewritten
    assert 'reals' in [mode for mode, _ in evaluate(metrics=[KEEPER]).passes]
    for name in os.listdir('results/_metrics-cache'):
        with open(f'results/_metrics-cache/{name}', 'r+b') as file:
            file.truncate(100)
    assert 'reals' in [mode for mode, _ in evaluate(metrics=[KEEPER]).passes]


# ---------------------------------------------------------------- images that were held out

HOLDING_OUT = {'tfrecord_dir': 'toy', 'max_label_size': 'full', 'validation': 0.5}


def images_of(part):
    """Return all images of a part, as bytes."""
    held = dataset.TFRecordDataset('datasets/toy', validation=0.5, part=part)
    return {image.tobytes() for image in held.read_images(range(held.num_images))}


@pytest.mark.slow
@pytest.mark.parametrize('metric', [WATCHER, KEEPER])
def test_reals_of_the_part_that_is_asked_for(finished, metric):
    """The cached reals of the other part, of the same size, are not used."""
    misc.write_config('results/000-run', {'dataset': HOLDING_OUT})
    for part in ('training', 'validation'):
        watcher = evaluate(real_passes=1, metrics=[metric], against=part)
        seen = {image[0].tobytes() for image in watcher.images(1)}
        assert len(seen) == 18 and seen <= images_of(part)


def test_a_run_that_held_nothing_out_says_so(finished):
    with pytest.raises(ConfigError, match='held no images out .*--set dataset.validation=0.1'):
        evaluate(against='validation')


def test_metrics_while_training_look_at_the_part_that_is_asked_for(finished):
    config = settings_of_run(dataset=HOLDING_OUT, random_seed=1000)
    Gs = misc.load_pkl('results/000-run/network-final.pkl')[2]
    for part in ('training', 'validation'):
        SnapshotMetrics([WATCHER], 18, config, False, against=part)(Gs)
        assert {image[0].tobytes() for image in Watcher.made[-1].images(0)} <= images_of(part)


# ---------------------------------------------------------------- as users run it

@pytest.mark.slow
@pytest.mark.exhaustive
def test_all_metrics_through_train_py(toy, capsys):
    """A small run, then every metric of it, with a small network in place of Inception."""
    assert run('train.total_kimg=0.2', 'train.network_snapshot_ticks=1') == 0
    os.makedirs('results/_inception')
    with open(f'results/_inception/{GRAPH_FILE}', 'wb') as file:
        file.write(graph_bytes(16))
    with open('evaluate.py', 'w') as file:
        file.write("train = EasyDict(func='util_scripts.evaluate_metrics', run_id=0, "
                   "log='metric-all.txt', metrics=['swd', 'fid', 'is', 'kid', 'pr'], "
                   "num_images=30, real_passes=2)\ndesc = 'metrics'")
    misc.restore_output()  # a subprocess would have its own log
    assert run(config='evaluate.py') == 0
    rows = [json.loads(line) for line in open('results/000-tiny/metric-all.jsonl')]
    kimg = sorted((int(re.search(r'(\d+).pkl', name)[1])
                   for name in os.listdir('results/000-tiny') if 'snapshot' in name), reverse=True)
    assert [row['snapshot'] for row in rows] == ['Reals', 'Reals2', *map(str, kimg)]
    assert list(rows[0])[2:4] == ['SWDx1e3_16', 'SWDx1e3_avg']
    assert list(rows[0])[4:-1] == [
        'FID', 'IS_mean', 'IS_std', 'KIDx1e3_mean', 'KIDx1e3_std', 'Precision', 'Recall'
    ]
    assert all(np.isfinite(list(row.values())[1:-1]).all() for row in rows)
    assert {row['settings'] for row in rows} == {'num_images=30'}
    # a barely trained network generates noise, which is far off
    assert rows[0]['FID'] == 0 and 0 < rows[1]['FID'] < 0.5 * rows[-1]['FID']
    table = open('results/000-tiny/metric-all.txt').read()
    assert table.count(
        '\nReals'
    ) == 2 and 'Exiting...' in table and 'Running util_scripts.evaluate_metrics()...' in table
    # the inception score has no cache
    assert sorted(os.listdir('results')) == ['000-tiny', '_inception', 'index.html']


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize('options, words',
                         [(dict(run_id=7), 'Cannot locate result subdir'),
                          (dict(log='a/b.txt'), 'train.log'),
                          (dict(log='log.txt'), 'training has written'),
                          (dict(log='metric.csv'), 'ends in .txt'),
                          (dict(metrics='swd'), r"\['swd'\]"), (dict(metrics=[]), 'list of names'),
                          (dict(metrics=['sdw']), "Did you mean 'swd'"),
                          (dict(real_passes=0), 'train.real_passes'),
                          (dict(num_images=0), 'num_images'),
                          (dict(metrics=['fid'], inception='nowhere.pb'), 'nowhere.pb')])
def test_mistakes_are_named(options, words, finished, capsys):
    with pytest.raises((ConfigError, DataError), match=words):
        evaluate(**options)


def test_a_run_without_snapshots_and_one_without_its_data(finished):
    os.rename('datasets/toy', 'datasets/away')
    with pytest.raises(DataError, match="'datasets/toy' not found"):
        evaluate()
    for kimg in (3, 12):
        os.unlink(f'results/000-run/network-snapshot-{kimg:06d}.pkl')
    with pytest.raises(DataError, match='has no network-snapshot'):
        evaluate()
    assert os.listdir('results') == ['000-run']


# ---------------------------------------------------------------- while training

@pytest.mark.slow
def test_metrics_while_training_change_nothing_else(toy, capsys):
    short = ('train.total_kimg=0.3', 'train.network_snapshot_ticks=1',
             'sched.lod_initial_resolution=16', 'sched.lod_training_kimg=0',
             'sched.lod_transition_kimg=0')
    assert run(*short) == 0
    assert run(*short, f"train.metrics=['swd', '{WATCHER}']",
               'train.metric_images=20') == 0
    with_metrics, plain = (misc.load_pkl(f'results/{name}-tiny/network-final.pkl')
                           for name in ('001', '000'))
    for net, other in zip(with_metrics, plain):
        assert all(np.array_equal(net.get_var(name), other.get_var(name)) for name in net.vars)
    events = EventAccumulator('results/001-tiny')
    events.Reload()
    tags = {tag for tag in events.Tags()['scalars'] if tag.startswith('Metrics/')}
    assert tags == {'Metrics/SWDx1e3_16', 'Metrics/SWDx1e3_avg', 'Metrics/Mean', 'Metrics/Count'}
    snapshots = [
        int(re.search(r'(\d+).pkl', name)[1]) for name in os.listdir('results/001-tiny')
        if 'snapshot' in name
    ]
    values = events.Scalars('Metrics/Mean')
    lines = re.findall(r'^Metrics: SWDx1e3_16 (.*), SWDx1e3_avg (.*), Mean (.*), Count 20.0000$',
                       capsys.readouterr().out, re.M)
    assert len(lines) == len(values) >= max(len(snapshots), 2)
    assert [float(line[2]) for line in lines] == pytest.approx([event.value for event in values],
                                                               abs=1e-4)
    assert [mode for mode, _ in Watcher.made[-1].passes] == ['reals'] + ['fakes'] * len(lines)


def test_metrics_leave_the_random_numbers_of_a_run_alone(finished):
    config = settings_of_run(dataset={'tfrecord_dir': 'toy', 'max_label_size': 'full'},
                             random_seed=1000)
    measure = SnapshotMetrics([WATCHER], 20, config,
                              mirror_augment=True)
    Gs = misc.load_pkl('results/000-run/network-final.pkl')[2]
    np.random.seed(5)
    expected = np.random.rand(3)
    np.random.seed(5)
    first, second = measure(Gs), measure(Gs)
    np.testing.assert_array_equal(np.random.rand(3), expected)
    assert first == second and set(first) == {'Mean', 'Count'}  # the same latents each time
    assert SnapshotMetrics([], 20, config, mirror_augment=True)(Gs) == {}


def test_unknown_metrics_are_refused_before_training(toy, capsys):
    assert run("train.metrics=['fdi']") == 1
    assert "Did you mean 'fid'" in capsys.readouterr().err and not os.path.exists('results')


def test_other_code_may_use_the_evaluator():
    assert metrics.evaluator.to_rgb(np.zeros([2, 1, 4, 4])).shape == (2, 3, 4, 4)
    assert metrics.evaluator.to_rgb(np.zeros([2, 3, 4, 4])).shape == (2, 3, 4, 4)


@pytest.mark.parametrize('wanted, times', [(40, None), (41, '1.02 times'), (2680, '67 times')])
def test_more_images_than_there_are_is_noted(in_tmp, capsys, wanted, times):
    make_toy()
    Evaluator([], dataset.TFRecordDataset('datasets/toy'), wanted, 8)
    out = capsys.readouterr().out
    assert (times in out and 'has 40' in out) if times else not out
