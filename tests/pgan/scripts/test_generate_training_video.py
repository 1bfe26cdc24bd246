"""generate_training_video: golden choice of pictures and labels, unusual logs and folders, and
the video file.
"""
import os

import numpy as np
import PIL.Image
import pytest

import misc
from pgan.errors import ConfigError, DataError
from pgan.scripts import generate_training_video as training_video
from pgan.scripts.generate_training_video import (
    TrainingFrames,
    find_snapshots,
    parse_log,
    parse_time,
    shrink_to_fit,
)
from tests.support.golden import load_json, load_npz
from tests.support.script_inputs import files_as_originals, settings_of_run
from tests.support.videos import read_video
from util_scripts import generate_training_video

GOLDEN = load_json('util.json')
LINE = ('tick {:<5d} kimg {:<8.1f} lod {:<5.2f} minibatch 16   time {:<12s} sec/tick 12.2    '
        'sec/kimg 1.74    maintenance 3.1\n')


@pytest.fixture
def big_run(in_tmp):
    """Run 31 of the golden data: its log, and a picture per tick, some missing. The shade of a
    picture gives its number.
    """
    case, folder = GOLDEN['generate_training_video'], 'results/031-big-run'
    os.makedirs(folder)
    with open(f'{folder}/log.txt', 'w') as file:
        file.write(case['log_txt'])
    kimgs = [0, 2, 4, 160, 300, 400, 512, 1024, 2048, 4000, 12000]
    for i, kimg in enumerate(kimgs):
        if f'fakes{kimg:06d}.png' not in case['missing_pngs']:
            save_picture(f'{folder}/fakes{kimg:06d}.png', 20 * i, case['frame_size'])
    return folder


def save_picture(path, shade, size=(60, 40)):
    PIL.Image.new('RGB', size, (shade,) * 3).save(path)


@pytest.fixture
def drawn(monkeypatch):
    """Record the strings that are drawn, with their options."""
    labels, real = [], misc.draw_text_label

    def note(img, text, x, y, **options):
        labels.append(dict(text=text, x=x, y=y, **options))
        return real(img, text, x, y, **options)
    monkeypatch.setattr(misc, 'draw_text_label', note)
    return labels


def test_golden_frames(big_run, drawn):
    case = GOLDEN['generate_training_video']
    snapshots = find_snapshots(big_run)
    frames = TrainingFrames(snapshots, case['duration_sec'], case['time_warp'])
    for golden in case['frames']:
        drawn.clear()
        frame = frames.at(golden['t'])
        assert os.path.basename(snapshots.paths[frames.choose(golden['t'])[0]]) == golden['png']
        assert drawn == golden['labels'], golden['t']
        shade = np.asarray(PIL.Image.open(f'{big_run}/{golden["png"]}'))[0, 0]
        assert frame.shape == (
            40, 60,
            3) and frame.dtype == np.uint8 and np.abs(frame[0, 0] - shade.astype(int)).max() < 8


def test_golden_frames_of_another_warp(big_run, drawn):
    case = GOLDEN['generate_training_video_2']
    snapshots = find_snapshots(big_run)
    frames = TrainingFrames(snapshots, case['duration_sec'], case['time_warp'])
    for golden in case['frames']:
        drawn.clear()
        frames.at(golden['t'])
        assert os.path.basename(snapshots.paths[frames.choose(golden['t'])[0]]) == golden['png']
        assert [label['text'] for label in drawn] == golden['texts']


def test_golden_big_picture(big_run, drawn):
    case = GOLDEN['generate_training_video_big']
    pixels = np.random.RandomState(70).randint(0, 256, size=[16, 1924, 3], dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(f'{big_run}/fakes000002.png')
    frame = TrainingFrames(find_snapshots(big_run), 20.0, 1.5).at(0.0)
    assert list(frame.shape) == case['out_shape'] and frame.dtype == case['out_dtype']
    np.testing.assert_array_equal(frame[:, :8],
                                  load_npz('util.npz')['training_video/big_out_sample'])
    assert [[label['text'], label['x'], label['y']] for label in drawn] == case['label_positions']


@pytest.mark.parametrize('size, expected', [((1920, 1080), (1920, 1080)), ((1921, 8), (960, 4)),
                                            ((8, 1081), (4, 540)), ((3840, 2160), (1920, 1080)),
                                            ((7680, 100), (1920, 25))])
def test_pictures_are_halved_until_they_fit(size, expected):
    picture = np.full([size[1], size[0], 3], 7, np.uint8)
    shrunk = shrink_to_fit(picture)
    assert shrunk.shape == (expected[1], expected[0], 3) and (shrunk == 7).all()
    assert shrunk.dtype == (np.uint8 if size == expected else np.float32)


@pytest.mark.parametrize('case, text', [('generate_training_video', '031-big-run-train.mp4'),
                                        ('generate_training_video_2', 'named.mp4')])
def test_golden_files(big_run, monkeypatch, capsys, case, text):
    case, noted = GOLDEN[case], {}
    monkeypatch.setattr(
        training_video, 'write_video', lambda path, frame, num_frames, fps, codec, bitrate:
        (noted.update(num_frames=num_frames, options=dict(fps=fps, codec=codec, bitrate=bitrate)),
         open(path, 'w').close()))
    options = case['write_videofile_kwargs']
    folder = generate_training_video(31, case['duration_sec'], case['time_warp'],
                                     mp4=None if 'big' in text else text, mp4_fps=options['fps'],
                                     mp4_codec=options['codec'], mp4_bitrate=options['bitrate'],
                                     config=settings_of_run())
    assert folder == 'results/032-out' and files_as_originals(
        folder) == case['files'] and text in case['files']
    assert noted == dict(num_frames=round(case['duration_sec'] * options['fps']), options=options)
    assert capsys.readouterr().out == GOLDEN['generate_training_video']['stdout']


def test_the_video_shows_what_was_chosen(big_run):
    folder = generate_training_video(31, duration_sec=4.0, mp4_fps=5, config=settings_of_run())
    frames, meta = read_video(f'{folder}/031-big-run-train.mp4')
    assert frames.shape == (20, 40, 60,
                            3) and meta['fps'] == 5 and meta['duration'] == pytest.approx(4.0)
    expected = TrainingFrames(find_snapshots(big_run), 4.0, 1.5)
    for i, frame in enumerate(frames):
        assert np.abs(frame.astype(int) - expected.at(i / 5)).mean() < 4
        # above the labels: the shade alone
        assert abs(frame[:8].astype(int) - expected.at(i / 5)[:8]).max() <= 8


def test_pictures_in_memory_are_few(big_run, monkeypatch):
    read = []
    monkeypatch.setattr(training_video, 'read_picture',
                        lambda path: read.append(path) or np.zeros([40, 60, 3], np.uint8))
    frames = TrainingFrames(find_snapshots(big_run), 10.0, 1.0)
    for t in np.linspace(0, 10, 200):
        frames.at(t)
    assert len(read) == len(set(read)) > 4 and frames.picture.cache_info().currsize <= 2


def test_grayscale_pictures_are_shown_in_three_channels(big_run):
    PIL.Image.new('L', (60, 40), 90).save(f'{big_run}/fakes000002.png')
    frame = TrainingFrames(find_snapshots(big_run), 10.0, 1.0).at(0)
    assert frame.shape == (40, 60, 3) and frame[0, 0].min() == frame[0, 0].max() in (88, 89, 90)


# ---------------------------------------------------------------- logs


@pytest.mark.parametrize(
    'seconds',
    [0, 12, 59, 60, 119, 3599, 3600, 3675, 86399, 86400, 90060, 4 * 86400 + 15 * 3600 + 360])
def test_times_are_read_as_they_are_written(seconds):
    assert parse_time(misc.format_time(seconds)) == seconds
    assert [tick.time
            for tick in parse_log(LINE.format(1, 1, 1, misc.format_time(seconds)))] == [seconds]


def log(*ticks):
    return 'Training...\n' + ''.join(
        LINE.format(i + 1, kimg, 0, time) for i, (kimg, time) in enumerate(ticks))


def test_a_run_that_goes_on_in_the_same_log():
    """Resumed from 20 kimg with a continuous clock: the ticks of the second attempt count."""
    text = log((10, '10s'), (20, '20s'), (30, '30s')) + log((30.5, '35s'), (40, '45s'))
    assert [(tick.kimg, tick.time) for tick in parse_log(text)] == [(10, 10), (20, 20), (30, 30),
                                                                    (30.5, 35), (40, 45)]
    text = log((10, '10s'), (20, '20s'), (30, '30s')) + log((25, '26s'), (40, '45s'))
    assert [(tick.kimg, tick.time) for tick in parse_log(text)] == [(10, 10), (20, 20), (25, 26),
                                                                    (40, 45)]


def test_a_clock_that_began_at_zero_again():
    text = log((10, '1m 00s'), (20, '2m 00s')) + log((30, '30s'), (40, '40s')) + log((50, '5s'),
                                                                                     (60, '15s'))
    assert [tick.time for tick in parse_log(text)] == [60, 120, 150, 160, 165, 175]


def test_a_new_run_in_the_same_log():
    assert [(tick.kimg, tick.time)
            for tick in parse_log(log((10, '10s'), (20, '20s')) + log((5, '7s'), (11, '12s')))
            ] == [(5, 7), (11, 12)]


def test_a_line_that_is_being_written():
    whole = log((10, '10s'), (20, '1h 02m 03s'))
    for cut in range(len(whole) - 1, len(log((10, '10s'))), -1):
        ticks = parse_log(whole[:cut])
        assert ticks[:1] == parse_log(log(
            (10, '10s'))) and all(tick.time == 3723 for tick in ticks[1:])


def test_lines_that_are_no_tick_lines():
    assert parse_log('a tick 1 kimg 2.0 lod 3.00 time 4s sec/tick\nkimg 7.0 and lod 1.00\ntime 5m '
                     '00s only\n') == []


# ---------------------------------------------------------------- pictures

def make_run(ticks, pictures):
    os.makedirs('results/000-small')
    with open('results/000-small/log.txt', 'w') as file:
        file.write(log(*ticks))
    for i, kimg in enumerate(pictures):
        save_picture(f'results/000-small/fakes{kimg:06d}.png', i)


def chosen(folder='results/000-small'):
    snapshots = find_snapshots(folder)
    return [(tick.kimg, int(path[-10:-4])) for tick, path in zip(snapshots.ticks, snapshots.paths)]


def test_kimg_that_the_log_has_rounded_up(in_tmp):
    """3.96 kimg is 4.0 in the log and 3 in the name. The picture of an earlier tick is not shown
    for a later one.
    """
    make_run([(2.0, '2s'), (4.0, '4s'), (5.0, '5s'), (6.0, '6s')], [0, 2, 3, 5])
    assert chosen() == [(2.0, 2), (4.0, 3), (5.0, 5)]


def test_pictures_every_other_tick(in_tmp):
    make_run([(10.2, '1s'), (20.4, '2s'), (30.6, '3s'), (40.8, '4s')], [0, 20, 40])
    assert chosen() == [(20.4, 20), (40.8, 40)]
    assert find_snapshots('results/000-small').total_time == 4


def test_the_whole_time_counts_even_without_a_last_picture(in_tmp):
    make_run([(10.2, '10s'), (20.4, '20s')], [10])
    assert find_snapshots('results/000-small').total_time == 20


# ---------------------------------------------------------------- mistakes

def test_runs_that_cannot_be_used(in_tmp):
    make_run([(10.2, '1s')], [])
    cases = [(7, '7'), ('results/000-small', r'fakes000010.png')]
    os.makedirs('results/001-empty')
    cases.append((1, 'log.txt'))
    os.makedirs('results/002-short')
    with open('results/002-short/log.txt', 'w') as file:
        file.write(GOLDEN['generate_training_video']['log_txt'].split('tick 1')[0])
    cases.append((2, 'no line like'))
    before = sorted(os.listdir('results'))
    for run_id, text in cases:
        with pytest.raises(DataError, match=text):
            generate_training_video(run_id, config=settings_of_run())
    assert sorted(os.listdir('results')) == before


def test_a_damaged_picture(big_run):
    os.truncate(f'{big_run}/fakes000160.png', 70)
    with pytest.raises(DataError, match='fakes000160.png'):
        generate_training_video(31, duration_sec=1.0, config=settings_of_run())
    assert files_as_originals('results/032-out') == ['config.txt']


@pytest.mark.parametrize('option, value', [('duration_sec', 0), ('duration_sec', float('nan')),
                                           ('duration_sec', '3'), ('time_warp', 0),
                                           ('time_warp', '1.5'), ('mp4', 'x/y.mp4'), ('mp4_fps', 0),
                                           ('mp4_codec', 'x265'), ('mp4_bitrate', '')])
def test_options_that_cannot_be_used(big_run, option, value):
    with pytest.raises(ConfigError, match=f'train.{option}'):
        generate_training_video(31, **{option: value}, config=settings_of_run())
    assert os.listdir('results') == ['031-big-run']
