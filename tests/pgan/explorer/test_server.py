"""explorer/server.py and session.py: images, arrays and tasks as requested by the page."""
import io
import json
import os
import shlex
import shutil
import types
import urllib.parse

import numpy as np
import PIL.Image
import pytest

import misc
from pgan import settings
from pgan.errors import ConfigError
from pgan.explorer import directions, projections
from pgan.explorer.recipes import Point
from pgan.explorer.worker import View
from pgan.scripts.command_line import parse_args
from pgan.scripts.generate_fake_images import generate_fake_images
from pgan.scripts.generator import draw
from pgan.scripts.seeds import closed_loop, seed_latents, slerp
from tests.support.explorer_inputs import Browser, open_session, random_generator
from tests.support.script_inputs import settings_of_run
from tests.support.videos import read_video


def pixels(data):
    return np.asarray(PIL.Image.open(io.BytesIO(data)))


def png(array):
    encoded = io.BytesIO()
    PIL.Image.fromarray(array).save(encoded, 'PNG')
    return encoded.getvalue()


def test_what_the_page_is_told(browser):
    about = json.loads(browser.get('/about'))
    assert about['title'] == '003-toy' and about['resolution'] == 16
    assert about['classes'] == ['cat', 'dog', '<b>bird</b>'] and about['dataset'] is True
    assert [each['kimg'] for each in about['snapshots']] == [100, 200, None]
    assert about['snapshot'] == 2 and about['preview'] is False
    assert about['lods'] == [dict(lod=2, side=4), dict(lod=1, side=8), dict(lod=0, side=16)]


def test_the_shown_command_finds_the_same_data(toy_run):
    """It repeats the folders that --config or --set gave the explorer, and no other option."""
    session = open_session(settings.load([], ['desc=explore', 'num_gpus=1', *(
        settings.assignment(name, getattr(toy_run, name)) for name in ('result_dir', 'data_dir'))]),
        run_id=os.path.join(toy_run.result_dir, '003-toy'))
    try:
        words = shlex.split(session.about()['command'])
    finally:
        session.end()
    args = parse_args(words[2:] + ['--seeds', '1,2', '--duration_sec', '1'])
    config = settings.load(args.config, args.set)
    assert config.data_dir == toy_run.data_dir and config.result_dir == toy_run.result_dir
    assert len(args.set) == 2 and not args.config


@pytest.mark.parametrize('labels, recipe', [(None, '42'), (2, '42:2')])
def test_saved_images_are_those_of_the_script_byte_for_byte(browser, toy_run, tmp_path, labels,
                                                            recipe):
    config = types.SimpleNamespace(**{**vars(toy_run), 'result_dir': str(tmp_path)})
    network = str(browser.session.run.path)
    folder = generate_fake_images(network, seeds=42, labels=labels, config=config)
    with open(f'{folder}/seed0042.png', 'rb') as file:
        expected = file.read()
    response = browser.send(f'/image?of={recipe}&download=1')
    assert response.get_data() == expected
    assert 'attachment; filename="' in response.headers['Content-Disposition']
    shown = pixels(browser.get(f'/image?of={recipe}'))
    difference = np.abs(shown.astype(int) - pixels(expected))
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01  # other rounding


def test_snapshots_and_levels_of_detail(browser):
    images = [pixels(browser.get(f'/image?of=7&snapshot={index}')) for index in (0, 1, 2, 0)]
    assert not np.array_equal(images[0], images[1]) and not np.array_equal(images[1], images[2])
    np.testing.assert_array_equal(images[0], images[3])
    # The first snapshot has only grown to 8x8.
    np.testing.assert_array_equal(images[0][::2, ::2], images[0][1::2, 1::2])
    sides = [pixels(browser.get(f'/image?of=7&lod={lod}')).shape[0] for lod in (2, 1, 0)]
    assert sides == [4, 8, 16]
    whole, half = (pixels(browser.get(f'/image?of=7&shrink={shrink}')) for shrink in (1, 2))
    means = whole.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    assert np.abs(means - half).max() <= 1
    np.testing.assert_array_equal(whole, pixels(browser.get('/image?of=7&lod=0')))


def test_snapshots_that_come_while_it_runs(browser):
    """New snapshots of a running run are appended; existing indices do not change."""
    run = browser.session.run
    path = os.path.join(run.folder, 'network-snapshot-000300.pkl')
    shutil.copy(run.snapshots[0].path, path)
    try:
        snapshots = json.loads(browser.get('/about'))['snapshots']
        assert [each['kimg'] for each in snapshots] == [100, 200, None, 300]
        first = browser.get('/image?of=7&snapshot=0')
        assert browser.get('/image?of=7&snapshot=3') == first
    finally:
        os.unlink(path)
    assert browser.send('/image?of=8&snapshot=3').status_code == 200  # cached
    del run.snapshots[3]


def test_images_are_kept_and_drawn_once(browser, monkeypatch):
    data = browser.get('/image?of=123456')
    monkeypatch.setattr(browser.session.worker, 'image', None)
    response = browser.send('/image?of=123456')
    assert response.get_data() == data and 'immutable' in response.headers['Cache-Control']


def test_sheets_and_arrays(browser):
    recipes = ['3', '4:1', 'mix(3,4,0.5)']
    query = urllib.parse.urlencode([('of', recipe) for recipe in recipes])
    sheet = pixels(browser.get(f'/sheet?{query}'))
    np.testing.assert_array_equal(sheet[:16, 16:32], pixels(browser.get(
        '/image?of=4:1&download=1')))
    latents, labels = (np.load(io.BytesIO(browser.get(f'/{name}?{query}')))
                       for name in ('latents', 'labels'))
    Gs = browser.session.run.Gs
    assert latents.dtype == np.float32 and latents.shape == (3, *Gs.input_shape[1:])
    np.testing.assert_array_equal(latents[0], seed_latents(Gs, 3)[0])
    assert labels[1].tolist() == [0, 1, 0] and labels.shape == (3, 3)
    browser.session.painter.use(2)
    np.testing.assert_array_equal(draw(Gs, latents[1:2], labels[1:2], 1)[0].transpose(1, 2, 0),
                                  sheet[:16, 16:32])


# ---------------------------------------------------------------- tasks

def test_directions_are_found_and_move_images(browser, monkeypatch):
    monkeypatch.setattr(directions, 'SAMPLES', 200)
    monkeypatch.setattr(browser.session, 'directions', None)
    assert browser.send('/image?of=move(7,0=2)').status_code == 400  # not computed yet
    task = browser.start('/directions', {})
    assert task['state'] == 'done' and len(task['shares']) > 2 and task['kept']
    assert json.loads(browser.get('/about'))['directions']['layer'] == '8x8 activations'
    still, moved = (pixels(browser.get(f'/image?of={recipe}'))
                    for recipe in ('move(7)', 'move(7,0=4)'))
    assert np.abs(still.astype(int) - moved).mean() > 5
    assert browser.send('/image?of=move(7,99=2)').status_code == 400


def test_a_picture_is_projected(browser, monkeypatch):
    monkeypatch.setattr(projections, 'STEPS', 12)
    monkeypatch.setattr(projections, 'NUM_CANDIDATES', 48)
    target = browser.get('/image?of=5:1&download=1')
    task = browser.start('/projections?class=1', target)
    number = task['projection']
    assert task['state'] == 'done' and task['done'] == task['total'] == 12 and task['psnr'] > 0
    shown = pixels(browser.get(f'/tasks/{task["task"]}/target'))
    assert np.abs(shown.astype(int) - pixels(target)).max() <= 1
    assert browser.get(f'/image?of=p{number}.0') != browser.get(f'/image?of=p{number}')
    latents = np.load(io.BytesIO(browser.get(f'/latents?of=p{number}')))
    np.testing.assert_allclose(np.square(latents).mean(), 1, rtol=1e-3)
    assert np.load(io.BytesIO(browser.get(f'/labels?of=p{number}'))).tolist() == [[0, 1, 0]]
    assert browser.send('/image?of=p999').status_code == 400
    assert browser.send(f'/image?of=p{number}.13').status_code == 400


def test_projections_outlive_the_explorer(browser, toy_run, monkeypatch):
    """Their numbers stay valid in bookmarks; two explorers do not replace each other's."""
    monkeypatch.setattr(projections, 'STEPS', 2)
    monkeypatch.setattr(projections, 'NUM_CANDIDATES', 8)
    picture = browser.get('/image?of=5:1&download=1')
    number = browser.start('/projections?class=1', picture)['projection']
    other = Browser(open_session(toy_run))
    try:
        for address in (f'/latents?of=p{number}', f'/labels?of=p{number}', f'/image?of=p{number}'):
            assert other.get(address) == browser.get(address)
        assert other.send(f'/image?of=p{number}.0').status_code == 400
        later = other.start('/projections?class=2', picture)['projection']
        assert later == number + 1 and browser.get(f'/latents?of=p{later}') == other.get(
            f'/latents?of=p{later}')
        # Saved meanwhile by yet another explorer under the number that is next.
        made, points = other.session.projections, browser.session.projections
        taken = points._save(later + 1, points.point(number, None))
        assert made._save(later + 1, made.point(later, None)) == taken + 1 == later + 2
        assert made.point(taken, None) is not made.point(later, None)
    finally:
        other.session.end()


@pytest.mark.parametrize('content', ['no numpy file', 'other shapes', 'folder'])
def test_projections_replace_no_other_file(tmp_path, capsys, content):
    path, Gs = tmp_path / 'explorer-projections.npz', random_generator()
    if content == 'folder':
        path.mkdir()
    elif content == 'other shapes':
        np.savez(path, numbers=np.arange(3), latents=np.zeros([3, 7], np.float32),
                 labels=np.zeros([3, 3], np.float32))
    else:
        path.write_bytes(b'mine')
    before = path.read_bytes() if path.is_file() else None
    kept = projections.Projections(str(path), Gs, 3)
    assert 'Move it away' in capsys.readouterr().out
    point = Point(np.zeros([1, *Gs.input_shape[1:]], np.float32), np.eye(3, dtype=np.float32)[:1])
    assert kept._save(1, point) == 1 and kept.point(1, None) is point
    assert (path.read_bytes() if path.is_file() else None) == before


def test_only_the_newest_projections_are_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(projections, 'MOST_SAVED', 2)
    path, Gs = str(tmp_path / 'x-projections.npz'), random_generator(label_size=0)
    kept = projections.Projections(path, Gs, 0)
    for number in (1, 2, 3):
        kept._save(number, Point(np.full([1, *Gs.input_shape[1:]], number, np.float32),
                                 np.zeros([1, 0], np.float32)))
    again = projections.Projections(path, Gs, 0)
    assert [again.point(number, None).latents.max() for number in (2, 3)] == [2, 3]
    with pytest.raises(ConfigError, match='no projection 1'):
        again.point(1, None)


def test_nearest_training_images(browser):
    task = browser.start('/nearest', {'of': '3', 'snapshot': 2})
    assert task['state'] == 'done' and [space['name'] for space in task['spaces']] == [
        'pixels', 'features']
    neighbours = task['spaces'][0]['neighbours']
    assert len(neighbours) == 6 and neighbours == sorted(neighbours, key=lambda n: n['distance'])
    assert all(space['verdict'].endswith('.') for space in task['spaces'])
    assert task['of'] == 40 and {each['mirrored'] for each in neighbours} <= {True, False}
    data, _ = browser.session.run.data_set()
    image = pixels(browser.get(f'/tasks/{task["task"]}/0/0'))
    expected = data.read_images([neighbours[0]['image']])[0].transpose(1, 2, 0)
    expected = expected[:, ::-1] if neighbours[0]['mirrored'] else expected
    np.testing.assert_array_equal(image, expected)
    assert browser.send(f'/tasks/{task["task"]}/0/6').status_code == 404


@pytest.mark.parametrize('loop', [True, False])
def test_videos(browser, tmp_path, loop):
    task = browser.start('/videos', {'of': ['3', '4', '5'], 'snapshot': 2, 'seconds': 0.4,
                                     'loop': loop})
    assert task['state'] == 'done', task
    (tmp_path / 'walk.mp4').write_bytes(browser.get(f'/tasks/{task["task"]}/video'))
    frames, _ = read_video(str(tmp_path / 'walk.mp4'))
    assert len(frames) == 12 and frames[0].shape == (256, 256, 3)
    ends = [pixels(browser.get(f'/image?of={seed}')) for seed in (3, 5)]
    apart = [np.abs(frames[-1][8::16, 8::16].astype(int) - end).mean() for end in ends]
    assert apart.index(min(apart)) == (0 if loop else 1)


def test_one_video_is_kept(browser):
    walk = {'of': ['3', '4'], 'snapshot': 2, 'seconds': 0.1, 'loop': True}
    first, second = (browser.start('/videos', walk)['task'] for _ in range(2))
    assert browser.send(f'/tasks/{first}/video').status_code == 404
    assert browser.get(f'/tasks/{second}/video')[4:8] == b'ftyp'


def test_a_loop_is_that_of_the_script(browser):
    from pgan.explorer.videos import walk_frames
    points = [browser.session.point(str(seed)) for seed in (3, 7)]
    expected = closed_loop(np.stack([each.latents for each in points]), 9, slerp)
    for frame, latents in zip(walk_frames(points, 9, True), expected, strict=True):
        np.testing.assert_array_equal(frame.latents, latents)
    way = walk_frames(points, 9, False)
    np.testing.assert_array_equal(way[0].latents, points[0].latents)
    np.testing.assert_array_equal(way[-1].latents, points[1].latents)


# ---------------------------------------------------------------- other networks

@pytest.mark.slow
def test_a_large_network_is_previewed_in_its_colours(tmp_path):
    """ToRGB of lower resolutions, which training no longer updates, does not affect previews."""
    Gs = random_generator(resolution=256, fmap_base=256, fmap_max=8, label_size=0, num_channels=1)
    for name, var in Gs.trainables.items():
        if name.startswith('256x256'):  # The images of a trained network change less.
            var.assign(np.zeros(var.shape) if 'bias' in name else var.numpy() * 0.2)
        if name.startswith('ToRGB_lod1'):
            var.assign(var.numpy() * -9)
    path = str(tmp_path / 'alone.pkl')
    misc.save_pkl(Gs, path)
    session = open_session(settings_of_run(result_dir=str(tmp_path)), path)
    browser = Browser(session)
    about = json.loads(browser.get('/about'))
    assert about['preview'] and about['classes'] == [] and not about['dataset']
    session.warm_up()
    preview, own, whole = (pixels(browser.get(f'/image?of=4&{how}')).astype(float)
                           for how in ('preview=1', 'lod=1', 'shrink=2'))
    assert preview.shape == whole.shape == own.shape == (128, 128)
    errors = [np.abs(image - whole).mean() for image in (preview, own)]
    assert errors[0] < 0.5 * errors[1], errors
    assert browser.send('/image?of=4:0').status_code == 400  # no classes
    assert browser.start('/nearest', {'of': '3', 'snapshot': 0})['state'] == 'failed'
    session.end()


def test_memory_of_snapshots_is_bounded(browser, monkeypatch):
    painter = browser.session.painter
    monkeypatch.setattr('pgan.explorer.painter.MOST_WEIGHTS', 1)
    for index in (0, 1, 2, 1):
        browser.session.worker.image(browser.session.point('1'), View(index))
        assert len(painter._values) <= 1
