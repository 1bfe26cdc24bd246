"""One CelebA-HQ image: every stage is bit-identical to Pillow 3.1.1, libjpeg 8d, NumPy 1 and SciPy
1.0.

There are no tolerances: MD5 and SHA-256 sums, and equal arrays.
"""
import concurrent.futures
import importlib.util
import os
import shutil
import zipfile

import numpy as np
import PIL.Image
import pytest
import scipy.ndimage

from pgan.errors import ConfigError, DataError
from pgan.importers.celebahq import delta, exact_blur, exact_jpeg, exact_pillow, recipe
from pgan.importers.celebahq.delta import WrongJpeg, read_delta
from pgan.importers.celebahq.processes import in_processes
from pgan.importers.celebahq.recipe import ImageError, failing_stages, rebuild
from tests.support.celebahq_inputs import (
    CELEBA,
    DELTAS,
    FOLDER,
    IMAGES,
    make_image,
    md5,
    sha256,
    task_of,
    watch_stages,
)
from tests.support.golden import load_json

needs_jpeglib = pytest.mark.skipif(
    importlib.util.find_spec('jpeglib') is None, reason='jpeglib has no wheel for this machine')

RESIZE = {case['name']: case for case in load_json('celebahq/resize.json')['cases']}
QUAD = {case['name']: case for case in load_json('celebahq/quad.json')['cases']}
JPEG = {case['file']: case for case in load_json('celebahq/jpeg.json')['files']}

# --------------------------------------------------------------------------------------------------
# Old libraries.


def test_no_golden_case_is_left_out():
    assert (len(RESIZE), len(QUAD), len(JPEG), len(IMAGES)) == (37, 22, 13, 7)


@pytest.mark.first(6, rest='slow')
@pytest.mark.parametrize('name', RESIZE)
def test_resize_gives_the_pixels_of_pillow_3(name):
    case = RESIZE[name]
    image = make_image(case['recipe'])
    assert sha256(image) == case['in_sha256']
    result = exact_pillow.resize(image, tuple(case['out_size']))
    assert (int(result.sum()), sha256(result)) == (case['sum'], case['sha256'])


@pytest.mark.first(6, rest='slow')
@pytest.mark.parametrize('name', QUAD)
def test_transform_gives_the_pixels_of_pillow_3(name):
    case = QUAD[name]
    image = make_image(case['recipe'])
    assert sha256(image) == case['in_sha256']
    result = exact_pillow.transform(image, tuple(case['out_size']),
                                    np.array(case['quad'], np.float32))
    assert int((result == 0).reshape(*result.shape[:2], -1).all(axis=2).sum()) == case['black']
    assert (int(result.sum()), sha256(result)) == (case['sum'], case['sha256'])


@pytest.mark.parametrize('tile', [7, 1000])
def test_transform_is_the_same_in_tiles_of_any_size(tile, monkeypatch):
    monkeypatch.setattr(exact_pillow, 'TILE', tile)
    for name in ('outside-corner', 'trapezoid', 'one-pixel', 'mirrored'):
        test_transform_gives_the_pixels_of_pillow_3(name)


def test_resizing_holds_few_lines_at_a_time():
    """It reads lines on demand: before each result, only the lines within its taps are read."""
    taken = []
    lines = (taken.append(number) or np.full([3, 2], number, np.uint8) for number in range(200))
    for number, _ in enumerate(exact_pillow.resize_lines(lines, 200, 50)):
        assert len(taken) <= min(4 * (number + 1) + 12, 200)
    assert len(taken) == 200


@needs_jpeglib
@pytest.mark.parametrize('name', JPEG)
def test_decode_gives_the_pixels_of_libjpeg_8d(name):
    case = JPEG[name]
    pixels = exact_jpeg.decode(str(FOLDER / 'jpeg' / name))
    assert (list(pixels.shape), int(pixels.sum()), sha256(pixels)) == (case['shape'], case['sum'],
                                                                       case['sha256'])


@needs_jpeglib
def test_of_several_pictures_in_a_file_the_first_is_decoded(tmp_path):
    """As some cameras write them; Pillow calls such a file MPO."""
    first, second = (PIL.Image.fromarray(make_image(RESIZE[name]['recipe']))
                     for name in ('up8-smooth', 'tiny-7x2'))
    first.save(tmp_path / 'one.jpg', quality=80)
    first.save(tmp_path / 'two.mpo', quality=80, save_all=True, append_images=[second])
    os.rename(tmp_path / 'two.mpo', tmp_path / 'two.jpg')
    with PIL.Image.open(tmp_path / 'two.jpg') as image:
        assert image.format == 'MPO'
    assert np.array_equal(exact_jpeg.decode(str(tmp_path / 'two.jpg')),
                          exact_jpeg.decode(str(tmp_path / 'one.jpg')))


@needs_jpeglib
def test_several_threads_may_decode():
    names = [*JPEG] * 10
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for name, pixels in zip(
                names, pool.map(lambda name: exact_jpeg.decode(str(FOLDER / 'jpeg' / name)),
                                names)):
            assert sha256(pixels) == JPEG[name]['sha256']


def scipys_blur(plane, sigma):
    """The definition: SciPy's own loops over the kernel of SciPy 1.0."""
    for axis in (0, 1):
        plane = scipy.ndimage.correlate1d(plane, exact_blur.gaussian_weights(sigma), axis=axis,
                                          mode='reflect')
    return plane


@pytest.mark.parametrize('shape, sigma', [((300, 411), 20.48), ((700, 130), 11.3), ((64, 257), 3.3),
                                          ((41, 40), 10.0), ((90, 70), 0.6)])
def test_the_blur_gives_the_numbers_of_scipy(shape, sigma):
    plane = np.random.RandomState(5).randint(0, 256, shape).astype(np.float32)
    plane[:20, :30] = 0  # blurred zeros are small numbers and zeros
    assert sha256(exact_blur.gaussian_blur(plane, sigma)) == sha256(scipys_blur(plane, sigma))


def test_the_blur_has_scipy_compute_what_rounding_could_spoil(monkeypatch):
    """SciPy recomputes single pixels, many of them if the error bound is large, but never all."""
    plane = np.random.RandomState(5).randint(0, 256, (200, 300)).astype(np.float32)
    expected = scipys_blur(plane, 9.0)
    asked = []
    correlate1d = scipy.ndimage.correlate1d
    monkeypatch.setattr(
        scipy.ndimage, 'correlate1d',
        lambda x, *args, **kwargs: asked.append(len(x)) or correlate1d(x, *args, **kwargs))
    monkeypatch.setattr(exact_blur, 'ROUNDING', 2.0 ** -36)
    assert sha256(exact_blur.gaussian_blur(plane, 9.0)) == sha256(expected)
    assert 1000 < sum(asked) < 2 * plane.size  # not all pixels, even so


def test_the_taps_of_an_enlargement_add_up_to_one():
    for size, new_size in ((10, 40), (33, 100), (4096, 1024), (3, 1)):
        taps = exact_pillow.lanczos_taps(size, new_size)
        assert len(taps) == new_size
        # of float32 numbers
        assert all(start >= 0 and start + len(row) <= size and abs(row.sum() - 1) < 1e-6
                   for start, row in taps)


# --------------------------------------------------------------------------------------------------
# The recipe.


@pytest.fixture(scope='module')
def stages():
    """Outputs of each stage, by photograph."""
    return dict(in_processes(watch_stages, IMAGES, num_workers=2, num_ahead=7))


@needs_jpeglib
@pytest.mark.slow
@pytest.mark.parametrize('name', IMAGES)
def test_every_stage_is_golden(name, stages):
    golden, (sums, arrays) = IMAGES[name], stages[name]
    assert sums == {stage: value for stage, value in golden['md5'].items() if value is not None}
    assert sums['chw'] == golden['proc_md5']
    for stage in ('quad_initial', 'quad_padded'):
        quad, = arrays[stage]
        assert np.array_equal(quad, np.array(golden['geometry'][stage],
                                             np.float32)) and quad.dtype == np.float32
    assert recipe.face_quad(golden['landmarks'])[1] == golden['geometry']['zoom_initial']
    assert ('median' in arrays) == (golden['geometry']['pad'] is not None)


@pytest.mark.parametrize('beyond, padded', [(-4, False), (-3, True)])
@pytest.mark.parametrize('side', range(4))
def test_a_picture_is_padded_if_more_than_the_border_is_missing(beyond, padded, side):
    """All but 4 of its pixels (in the recipe, the largest pad exceeds border - 4)."""
    border, size = 10, 120
    quad = np.array([[30, 30], [30, 90], [90, 90], [90, 30]], np.float32)
    quad[:, side % 2] += beyond * (-1 if side < 2 else 1) + (-30 if side < 2 else 30)
    picture = recipe._Picture(np.full([size, size, 3], 7, np.uint8), quad.copy(), 10.24,
                              lambda stage, value: None)
    recipe._pad(picture, border)
    pads = 30 if padded else 0  # 307.2 / 10.24
    assert picture.image.shape == (size + 2 * pads, size + 2 * pads, 3) and np.array_equal(
        picture.quad, quad + pads)
    assert (picture.image == 7).all()


@pytest.mark.slow
@needs_jpeglib
def test_rebuild_adds_the_delta():
    image = rebuild(task_of('000001.jpg'))
    assert (image.dtype, image.shape, md5(image)) == (np.uint8, (3, 1024, 1024),
                                                      IMAGES['000001.jpg']['final_md5'])


@pytest.mark.parametrize('name', IMAGES)
def test_deltas_are_golden(name):
    golden = IMAGES[name]['delta']
    delta = read_delta(task_of(name))
    assert (md5(delta), int(np.count_nonzero(delta))) == (golden['md5'], golden['nonzero'])


# --------------------------------------------------------------------------------------------------
# Diagnosis of errors.


def test_this_machine_is_exact():
    failing_stages.cache_clear()
    assert failing_stages() == []


@pytest.fixture
def failing(monkeypatch):
    """No golden MD5 sum is reached, without much computation."""
    monkeypatch.setattr(recipe, 'process', lambda *args: np.zeros([3, 1024, 1024], np.uint8))
    yield monkeypatch
    failing_stages.cache_clear()


def why(task):
    with pytest.raises(ImageError) as caught:
        rebuild(task)
    message = str(caught.value)
    assert message.startswith(f"image {task.index} ('{task.orig_file}'): ") and '\n' not in message
    return message


@needs_jpeglib
def test_a_wrong_proc_md5_names_the_jpeg_file_if_it_is_not_the_original(failing, tmp_path):
    path = tmp_path / '000001.jpg'
    path.write_bytes((CELEBA / 'img_celeba' / '000001.jpg').read_bytes() + b'\0')
    message = why(task_of('000001.jpg', jpeg_path=str(path)))
    assert 'Stage to suspect: the JPEG file.' in message and (f'{str(path)!r}, so that is not the '
                                                              'original file') in message
    assert IMAGES['000001.jpg']['proc_md5'] in message and md5(np.zeros([3, 1024, 1024],
                                                                        np.uint8)) in message


@needs_jpeglib
def test_a_wrong_proc_md5_names_the_landmarks_if_the_machine_is_exact(failing):
    message = why(task_of('000001.jpg'))
    assert ('The JPEG file is the original one, and resizing, warping and blurring are '
            'exact') in message
    assert 'Stage to suspect: the landmarks, or JPEG decoding' in message


@needs_jpeglib
def test_a_wrong_proc_md5_names_the_arithmetic_if_the_machine_is_not_exact(failing):
    failing.setattr(exact_pillow, '_sinc', lambda x: np.float64(1) - np.abs(x) / 3)
    exact_pillow.lanczos_taps.cache_clear()
    try:
        assert 'Stage to suspect: resizing, with wrong results on this machine' in why(
            task_of('000001.jpg'))
    finally:
        exact_pillow.lanczos_taps.cache_clear()


@needs_jpeglib
@pytest.mark.parametrize(
    'landmarks', [[(0, 0)] * 5, [(1e9, 5)] * 5, [(1e30, 1), (-1e30, 1), (0, 0), (5, 5), (9, 9)],
                  [(-400, -400), (-300, -400), (0, 0), (-400, -300),
                   (-300, -300)], [(300, 300), (301, 300), (300, 300), (300, 301), (301, 301)]])
def test_landmarks_of_no_face_are_named(landmarks):
    message = why(task_of('000001.jpg', landmarks=landmarks))
    assert ('are not those of a face in a photograph of 620x701. Stage to suspect: the '
            'landmarks') in message


@needs_jpeglib
def test_a_wrong_final_md5_names_the_delta(monkeypatch):
    zeros = np.zeros([3, 1024, 1024], np.uint8)
    monkeypatch.setattr(recipe, 'process', lambda *args: zeros.copy())
    message = why(task_of('000001.jpg', proc_md5=md5(zeros)))
    assert IMAGES['000001.jpg']['final_md5'] in message and 'Stage to suspect: the delta' in message


def test_the_wrong_key_says_that_the_jpeg_file_is_not_the_original():
    task = task_of('000001.jpg', jpeg_path=str(CELEBA / 'img_celeba' / '000002.jpg'))
    words = ("cannot be decrypted. Its key is the content of '.*000002.jpg', so that is not the "
             'original file')
    with pytest.raises(WrongJpeg, match=words):
        read_delta(task)


@pytest.mark.parametrize('damage, words', [
    (lambda data: None, 'cannot be read: .*No such file'),
    (lambda data: data[:1000], 'cannot be read: File is not a zip file'),
    (lambda data: data[:500] + b'\0' * 200 + data[700:], 'cannot be read: Bad CRC-32'),
])
def test_damaged_archives_are_named(damage, words, tmp_path):
    path = tmp_path / 'deltas00000.zip'
    data = damage((DELTAS / 'deltas00000.zip').read_bytes())
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError, match=f"'delta00000.dat' in '{path}' {words}.*download it again"):
        read_delta(task_of('000004.jpg', zip_path=str(path)))


def test_a_delta_that_is_none_is_named(tmp_path, monkeypatch):
    path = tmp_path / 'deltas00000.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('delta00000.dat', b'')
    with pytest.raises(DataError, match="has no 'delta00001.dat'"):
        read_delta(task_of('000001.jpg', zip_path=str(path)))
    for content in (b'no bz2', b'BZh91AY&SY', delta.bz2.compress(b'short')):
        monkeypatch.setattr(delta, '_decrypt', lambda *args, content=content: content)
        with pytest.raises(DataError, match='does not hold an array of 3x1024x1024'):
            read_delta(task_of('000004.jpg', zip_path=str(path)))


@needs_jpeglib
def test_damaged_jpeg_files_are_named(tmp_path):
    path = tmp_path / 'x.jpg'
    data = (CELEBA / 'img_celeba' / '000006.jpg').read_bytes()
    start = data.index(b'\xff\xc4')  # the Huffman tables
    for content in (b'', b'no jpeg', data[:100],
                    data[:start + 2] + b'\xff' * 30 + data[start + 32:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match='x.jpg'):
            exact_jpeg.decode(str(path))
    with pytest.raises(DataError, match="No such file.*nowhere.jpg"):
        exact_jpeg.decode(str(tmp_path / 'nowhere.jpg'))
    shutil.copy(FOLDER / 'jpeg' / 'china-263x177-gray-q85.jpg', path)
    assert 'is grayscale' in why(task_of('000001.jpg', jpeg_path=str(path)))


def test_a_missing_jpeglib_says_how_to_get_it(monkeypatch, tmp_path):
    exact_jpeg.load_library.cache_clear()
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ConfigError, match='not installed. Install it: pip install -r '
                                          'requirements-celebahq.txt. There are wheels for Linux '
                                          'on x86-64, macOS and Windows. On other'):
        exact_jpeg.load_library()
    (tmp_path / 'cjpeglib').mkdir()
    spec = importlib.util.spec_from_file_location('jpeglib', tmp_path / '__init__.py',
                                                  submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: spec)
    with pytest.raises(ConfigError, match='has no .*cjpeglib_8d'):
        exact_jpeg.load_library()
    (tmp_path / 'cjpeglib' / 'cjpeglib_8d.abi3.so').write_bytes(b'no library')
    with pytest.raises(ConfigError, match='does not load'):
        exact_jpeg.load_library()


def test_a_missing_cryptography_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'cryptography.fernet', None)
    with pytest.raises(ConfigError, match='cryptography cannot be loaded.*pip install -r '
                                          'requirements-pip.txt'):
        read_delta(task_of('000001.jpg'))
