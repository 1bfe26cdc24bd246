"""generate_interpolation_video: golden latents and frames, and the video file."""
import os

import numpy as np
import pytest

from pgan.errors import ConfigError
from pgan.scripts import generate_interpolation_video as interpolation
from pgan.scripts.video import encodable, time_to_frame
from tests.support.golden import load_json, load_npz
from tests.support.script_inputs import (
    StandInNetwork,
    check_run_options,
    files_as_originals,
    settings_of_run,
    write_labelled_data,
)
from tests.support.videos import read_video
from util_scripts import generate_interpolation_video

GOLDEN_CASES = load_json('util.json')['generate_interpolation_video']


@pytest.fixture
def written(monkeypatch):
    """Record the arguments of write_video: {'path', 'frames' (all of them), 'num_frames',
    'options'}. The file is written as well.
    """
    noted = {}
    real = interpolation.write_video

    def note(path, frame, num_frames, *options):
        noted.update(path=path, num_frames=num_frames, options=options, frames=[])
        real(path, lambda index: noted['frames'].append(frame(index)) or noted['frames'][-1],
             num_frames, *options)
    monkeypatch.setattr(interpolation, 'write_video', note)
    return noted


@pytest.mark.parametrize('case', GOLDEN_CASES, ids=lambda case: str(case['index']))
def test_golden(use_network, written, capsys, case):
    data, prefix = load_npz('util.npz'), f'interp/{case["index"]}'
    net = use_network(StandInNetwork(case['latent_shape'][0], case['image_shape']))
    folder = generate_interpolation_video(23, **case['kwargs'], config=settings_of_run())
    assert capsys.readouterr().out == case['stdout']
    assert files_as_originals(folder) == case['files'] and os.path.basename(
        written['path']) == case['files'][0]
    latents = data[f'{prefix}/all_latents']
    np.testing.assert_array_equal(np.concatenate(net.latents),
                                  latents.reshape(-1, latents.shape[-1]))
    for options in net.options:
        check_run_options(options, case['run_kwargs'])
    assert all(labels.shape == (len(given), 0) for labels, given in zip(net.labels, net.latents))
    assert written['num_frames'] == case['num_frames'] == len(latents)
    fps = case['kwargs']['mp4_fps']
    assert [time_to_frame(t, fps, case['num_frames'])
            for t, _ in case['time_to_frame']] == [index for _, index in case['time_to_frame']]
    assert dict(zip(('fps', 'codec', 'bitrate'),
                    written['options'])) == case['write_videofile_kwargs']
    np.testing.assert_array_equal(written['frames'][0], data[f'{prefix}/frame0'])
    assert written['frames'][0].dtype == np.uint8

    frames, meta = read_video(written['path'])
    assert len(
        frames) == case['num_frames'] and meta['fps'] == fps and meta['duration'] == pytest.approx(
            case['duration'], abs=0.02)
    expected = encodable(written['frames'][0]).astype(float)
    assert frames.shape[1:] == expected.shape
    assert abs(frames[0].mean() - expected.mean()) < 6 and np.corrcoef(
        frames[0].ravel(), expected.ravel())[0, 1] > 0.7


class Painter(StandInNetwork):
    """Network whose images have one shade, given by the latent."""

    def run(self, latents, labels, **options):
        super().run(latents, labels, **options)
        shade = (latents[:, 0] * 40 + 128).clip(0, 255).astype(np.uint8)
        return np.broadcast_to(shade[:, None, None, None], [len(latents), *self.image_shape])


def expected_frames(net, grid_size, fps, smoothing_sec, zoom):
    """Frames one by one."""
    cells = grid_size[0] * grid_size[1]
    latents = np.concatenate(net.latents).reshape(-1, cells, net.input_shape[1])
    for frame in latents:
        shades = (frame[:, 0] * 40 + 128).clip(0, 255).astype(np.uint8).reshape(
            grid_size[1], grid_size[0])
        size = net.image_shape[-1] * zoom
        yield np.broadcast_to(
            shades.repeat(size, axis=0).repeat(size, axis=1)[:, :, None],
            [*(size * n for n in grid_size[::-1]), 3])


@pytest.mark.parametrize('grid_size, minibatch_size, frames_a_run', [([1, 1], 8, 8), ([2, 1], 8, 4),
                                                                     ([3, 2], 8, 1),
                                                                     ([3, 1], 1, 1)])
def test_frames_drawn_ahead_are_the_same(use_network, written, grid_size, minibatch_size,
                                         frames_a_run):
    """Check each cell's shade in each frame of the file, too."""
    net = use_network(Painter(3, [1, 8, 8]))
    generate_interpolation_video(23, grid_size=grid_size, duration_sec=1.1, mp4_fps=10,
                                 smoothing_sec=0.2, minibatch_size=minibatch_size, image_zoom=2,
                                 config=settings_of_run())
    cells = grid_size[0] * grid_size[1]
    expected_runs = [min(frames_a_run, 11 - start) * cells for start in range(0, 11, frames_a_run)]
    assert [len(latents) for latents in net.latents] == expected_runs
    frames, _ = read_video(written['path'])
    expected = np.stack(list(expected_frames(net, grid_size, 10, 0.2, 2)))
    np.testing.assert_array_equal(np.stack(written['frames']), expected)
    assert expected.std() > 10 and np.abs(frames - expected.astype(int)).max() <= 8


def test_the_end_leads_to_the_start():
    """The step from the last frame to the first is as small as the others. Longer smoothing gives
    smaller steps.
    """
    steps = []
    for smoothing in (3, 12):
        latents = interpolation.wandering_latents(StandInNetwork(64, [3, 8, 8]), 60, 2, smoothing,
                                                  random_seed=3)
        assert latents.dtype == np.float32 and np.mean(np.square(latents)) == pytest.approx(
            1, abs=1e-5)
        way = np.linalg.norm(np.diff(np.concatenate([latents, latents[:1]]), axis=0), axis=-1)
        assert way[-1].max() < 1.5 * way.mean()
        steps.append(way.mean())
    assert steps[1] < steps[0] / 2


def test_each_cell_keeps_its_label(use_network):
    net = use_network(StandInNetwork(4, [3, 8, 8], label_size=3))
    write_labelled_data(np.eye(3))
    generate_interpolation_video(23, grid_size=[2, 2], duration_sec=0.5, mp4_fps=10,
                                 config=settings_of_run())
    labels = np.concatenate(net.labels).reshape(5, 4, 3)
    assert (labels == labels[0]).all() and len(np.unique(labels[0].argmax(axis=1))) > 1

    net = use_network(StandInNetwork(4, [3, 8, 8], label_size=3))
    with open('datasets/toy/toy-classes.txt', 'w') as file:
        file.write('ant\nbee\ncat\n')
    folder = generate_interpolation_video(23, grid_size=[1, 4], duration_sec=0.5, mp4_fps=10,
                                          labels='rows', config=settings_of_run())
    assert np.concatenate(net.labels).argmax(axis=1).tolist() == [0, 1, 2, 0] * 5
    with open(f'{folder}/rows.txt') as file:
        assert file.read().startswith('row 0: class 0, ant\nrow 1: class 1, bee\n')


def test_name_codec_and_shrink_are_passed_on(use_network):
    net = use_network(StandInNetwork(4, [3, 32, 32]))
    folder = generate_interpolation_video('023-run', snapshot=100, duration_sec=0.5, mp4_fps=4,
                                          mp4='mine.avi', mp4_codec='mpeg4', mp4_bitrate='1M',
                                          image_shrink=2, config=settings_of_run(num_gpus=2))
    frames, meta = read_video(f'{folder}/mine.avi')
    assert frames.shape == (2, 16, 16, 3) and meta['codec'] == 'mpeg4'
    assert net.options[0]['out_shrink'] == 2 and net.options[0]['num_gpus'] == 2


@pytest.mark.parametrize('option, value', [('grid_size', [1, 0]), ('grid_size', ['1', '1']),
                                           ('image_shrink', 0), ('image_shrink', 33),
                                           ('image_zoom', 0), ('image_zoom', 1.5),
                                           ('duration_sec', 0), ('duration_sec', 0.01),
                                           ('smoothing_sec', -1), ('smoothing_sec', 'long'),
                                           ('mp4', 'video'), ('mp4_fps', 0), ('mp4_codec', 'h265x'),
                                           ('mp4_bitrate', 'high'), ('random_seed', 'abc'),
                                           ('minibatch_size', 0), ('labels', 'columns'),
                                           ('labels', 9)])
def test_options_that_cannot_be_used(use_network, option, value):
    use_network(StandInNetwork(4, [3, 32, 32], label_size=2))
    with pytest.raises(ConfigError, match=f'train.{option}'):
        generate_interpolation_video(23, **{option: value}, config=settings_of_run())
    assert os.listdir('results') == ['023-run']
