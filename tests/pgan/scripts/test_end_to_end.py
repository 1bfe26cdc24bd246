"""Scripts as users run them: train a small conditional network, then run each script with train.py.
"""
import glob
import itertools
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

import misc
import train
from tests.support.golden import ROOT
from tests.support.toy_runs import TINY, make_toy
from tests.support.videos import read_video

QUICK = """
dataset.max_label_size = 'full'
train.update(total_kimg=1.2, G_smoothing=0.9)
sched = EasyDict(minibatch_base=16, lod_initial_resolution=16, lod_training_kimg=0,
                 lod_transition_kimg=0, G_lrate_base=0.01, tick_kimg_base=0.2, tick_kimg_dict={})
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Folder with results/000-tiny, a run on three classes of brightness."""
    folder = tmp_path_factory.mktemp('scripts')
    make_toy(folder / 'datasets/toy')
    (folder / 'tiny.py').write_text(TINY + QUICK)
    done = command(folder, '--config', 'tiny.py')
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run_here(trained, monkeypatch, capsys):
    """Function run_here(*arguments) to exit code: runs train.py in this process, in `trained`."""
    monkeypatch.chdir(trained)

    def run(*arguments):
        try:
            return train.main(arguments)
        except SystemExit as end:
            return end.code
        finally:
            misc.restore_output()
    return run


def command(folder, *arguments):
    return subprocess.run([sys.executable, ROOT / 'train.py', *arguments], cwd=folder,
                          capture_output=True, text=True)


def script(run_here, lines):
    """Run the script chosen by lines of a configuration file. Return (result folder, log)."""
    pathlib.Path('script.py').write_text(lines)
    before = set(results())
    assert run_here('--config', 'script.py') == 0
    result, = (pathlib.Path('results') / name for name in set(results()) - before)
    assert {'_done.txt', 'config.txt', 'log.txt'} < set(os.listdir(result))
    log = (result / 'log.txt').read_text()
    assert log.endswith('Exiting...\n')
    return result, log


def results():
    return sorted(name for name in os.listdir('results') if name != 'index.html')


@pytest.mark.slow
def test_fake_images(run_here):
    result, said = script(run_here, "train = EasyDict(func='util_scripts.generate_fake_images', "
                                    "run_id=0, grid_size=[5, 3], num_pngs=2, labels='rows'); desc "
                                    "= f'fakes-{train.run_id}'\n")
    names = sorted(path.name for path in result.glob('*.png'))
    assert names == [f'000-tiny-network-final-rows-00000{number}.png' for number in (0, 1)]
    assert result.name.endswith('-fakes-0')
    assert 'Generating png 1 / 2...' in said and 'Note: the labels' not in said
    pictures = [np.asarray(PIL.Image.open(result / name)) for name in names]
    assert all(picture.shape == (48, 80, 3)
               for picture in pictures) and (pictures[0] != pictures[1]).any()
    Gs = misc.load_pkl('results/000-tiny/network-final.pkl')[2]
    images = Gs.run(
        np.random.RandomState(1000).randn(15, 8).astype(np.float32),
        np.eye(3, dtype=np.float32).repeat(5, axis=0))
    expected = misc.create_image_grid(np.rint(images * 127.5 + 127.5).clip(0, 255),
                                      (5, 3)).transpose(1, 2, 0)
    assert np.abs(pictures[0] - expected).max() <= 1


@pytest.mark.slow
def test_interpolation_video(run_here):
    result, _ = script(run_here, 'train = '
                                 "EasyDict(func='util_scripts.generate_interpolation_video', "
                                 'run_id=0, grid_size=[3, 2], image_zoom=3, duration_sec=2.0, '
                                 "mp4_fps=10); desc = f'interpolation-{train.run_id}'\n")
    frames, meta = read_video(str(result / '000-tiny-network-final-lerp.mp4'))
    assert frames.shape == (20, 96, 144,
                            3) and meta['fps'] == 10 and meta['duration'] == pytest.approx(2.0)
    steps = np.abs(np.diff(np.concatenate([frames, frames[:1]]).astype(int),
                           axis=0)).mean(axis=(1, 2, 3))
    assert (steps > 0).all() and steps[-1] < 3 * steps.mean()


@pytest.mark.slow
def test_training_video(run_here):
    log, ticks = pathlib.Path('results/000-tiny/log.txt'), itertools.count(1)
    # Pretend that every tick took ten seconds: the real time depends on the machine.
    log.write_text(
        re.sub(r'time .*? sec/tick', lambda match: 'time '
               f'{misc.format_time(10 * next(ticks)):<12} '
               'sec/tick', log.read_text()))
    result, _ = script(run_here, "train = EasyDict(func='util_scripts.generate_training_video', "
                                 "run_id='000-tiny', duration_sec=1.0); desc = 'training-video'\n")
    frames, meta = read_video(str(result / '000-tiny-train.mp4'))
    pictures = [
        np.asarray(PIL.Image.open(path))
        for path in sorted(glob.glob('results/000-tiny/fakes*.png'))
    ]
    assert len(pictures) == 2
    assert frames.shape == (
        30, *pictures[0].shape) and meta['fps'] == 30 and meta['duration'] == pytest.approx(1.0)
    bottom, top = frames[:, -40:].astype(int), frames[:, :-60].astype(int)
    assert np.abs(bottom[0] - bottom[-1]).max() > 200 and bottom.max() > 230  # changing labels
    luma = [0.299, 0.587, 0.114]  # colours are coarser in a video
    errors = np.array(
        [[np.abs((frame - picture[:-60].astype(int)) @ luma).mean() for picture in pictures]
         for frame in top])
    assert errors.min(axis=1).max() < 6 < errors.max(axis=1).min()
    assert errors[0].argmin() == 0 and errors[-1].argmin() == 1


@pytest.mark.slow
def test_set_on_the_command_line_and_a_network_without_its_data(trained, tmp_path):
    """In another folder, with only the network's file."""
    done = command(
        tmp_path, '--set', "train={'func': 'util_scripts.generate_fake_images', "
        "'run_id': "
        f"{str(trained / 'results/000-tiny/network-final.pkl')!r}}}", '--set', 'train.num_pngs=2',
        '--set', 'train.png_prefix=x', '--set', 'desc=here')
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / 'results/000-here')) == [
        '_done.txt', 'config.txt', 'environment.json', 'log.txt', 'x000000.png', 'x000001.png']
    assert "Note: the labels of the data set" in done.stdout and 'datasets/toy' in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize('func, assignment, text', [
    ('generate_fake_images', 'train.num_png=3', "Did you mean 'num_pngs'"),
    ('generate_interpolation_video', 'train.grid_size=[0,1]', 'train.grid_size'),
    ('generate_training_video', 'train.run_id=77', '77'),
])
def test_mistakes(run_here, capsys, func, assignment, text):
    before = results()
    assert run_here('--set', f"train={{'func': 'util_scripts.{func}', 'run_id': 0}}", '--set',
                    assignment) == 1
    said = capsys.readouterr().err
    message = said[said.index('error: '):]
    assert text in message and message.count(
        '\n') == 1 and 'Traceback' not in said and results() == before
