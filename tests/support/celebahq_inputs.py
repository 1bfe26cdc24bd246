"""Input for the tests of create_celebahq: images by recipe, and small trees of photographs and
deltas. (Worker processes import it, too.)
"""
import hashlib
import json
import shutil
import zipfile

import numpy as np

from pgan.importers.celebahq import importer
from pgan.importers.celebahq.exact_jpeg import decode
from pgan.importers.celebahq.recipe import Task, process
from tests.support.golden import GOLDEN

FOLDER = GOLDEN / 'celebahq'
PIPELINE = json.loads((FOLDER / 'pipeline.json').read_text())
IMAGES = {image['orig_file']: image for image in PIPELINE['images']}
UNPADDED = ['000001.jpg', '000002.jpg']  # the fastest to process
CELEBA, DELTAS = FOLDER / 'pipeline' / 'celeba', FOLDER / 'pipeline' / 'deltas'


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def md5(array):
    return hashlib.md5(np.ascontiguousarray(array)).hexdigest()


def make_image(recipe):
    """Input image of resize.json or quad.json."""
    shape, rs = tuple(recipe['shape']), np.random.RandomState(recipe.get('seed'))
    if recipe['kind'] == 'noise':
        return rs.randint(0, 256, shape, dtype=np.uint8)
    if recipe['kind'] == 'binary':
        return rs.randint(0, 2, shape, dtype=np.uint8) * 255
    y, x = np.mgrid[:shape[0], :shape[1]]
    t = recipe['ax'] * x + recipe['by'] * y + (x * y) // recipe['d']
    if len(shape) == 3:
        t = t[..., np.newaxis] + 85 * np.arange(3)
    value = 255 - abs(t % 510 - 255)
    if recipe['kind'] == 'grain':
        value = value + rs.randint(0, 2 * recipe['k'] + 1, shape, dtype=np.uint8) - recipe['k']
    return value.clip(0, 255).astype(np.uint8)


def task_of(orig_file, **changes):
    """Golden task of one photograph."""
    golden = IMAGES[orig_file]
    values = dict(index=golden['idx'], orig_file=orig_file,
                  jpeg_path=str(CELEBA / 'img_celeba' / orig_file), landmarks=golden['landmarks'],
                  zip_path=str(DELTAS / 'deltas00000.zip'), proc_md5=golden['proc_md5'],
                  final_md5=golden['final_md5'])
    return Task(**{**values, **changes})


def write_tree(folder, files):
    """Write CELEBA and DELTAS of the golden photographs, some of which, in this order, are
    CelebA-HQ.
    """
    shutil.copytree(CELEBA, folder / 'celeba')
    (folder / 'deltas').mkdir()
    rows = [f'{"idx":12}{"orig_idx":12}{"orig_file":12}{"orig_md5":12}{"proc_md5":34}final_md5']
    with zipfile.ZipFile(DELTAS / 'deltas00000.zip') as source, zipfile.ZipFile(
            folder / 'deltas' / 'deltas00000.zip', 'w') as target:
        for index, name in enumerate(files):
            golden = IMAGES[name]
            rows.append(
                f'{index:<12}{golden["orig_idx"]:<12}{name:12}{"0":12}{golden["proc_md5"]:34}{golden["final_md5"]}'
            )
            target.writestr(f'delta{index:05d}.dat', source.read(f'delta{golden["idx"]:05d}.dat'))
    (folder / 'deltas' / 'image_list.txt').write_text('\n'.join(rows) + '\n')


def counts(num_images):
    """Numbers of the small trees, for the module's constants."""
    return dict(NUM_PHOTOGRAPHS=PIPELINE['num_images_in_tree'], NUM_IMAGES=num_images,
                FIRST_MD5=PIPELINE['decoded_md5_000001'])


def set_counts(monkeypatch, num_images):
    """Make the command expect a small tree."""
    for name, value in counts(num_images).items():
        monkeypatch.setattr(importer, name, value)


def watch_stages(orig_file):
    """Process a photograph; return MD5 sums by stage, as in the golden data, and the small arrays
    of the geometry.
    """
    seen = {}
    image = process(decode(str(CELEBA / 'img_celeba' / orig_file)), IMAGES[orig_file]['landmarks'],
                    lambda stage, value: seen.setdefault(stage, []).append(value.copy()))
    sums = {'chw': md5(image), 'resized': md5(image.transpose(1, 2, 0))}
    for stage, values in seen.items():
        if stage == 'transformed':
            values = np.stack(values).transpose(2, 0, 1)  # columns [C, H]
        elif stage == 'median':
            values = np.array(values)
        else:  # the whole image, or its colours one by one
            values = values[0] if len(values) == 1 else np.stack(values, axis=-1)
        sums[stage] = md5(values)
    return sums, {
        stage: seen[stage]
        for stage in ('quad_initial', 'quad_padded', 'median') if stage in seen
    }
