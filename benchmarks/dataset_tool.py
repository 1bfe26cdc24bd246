"""Images per second of making data sets, on synthetic input: python -m benchmarks.dataset_tool -h

Prints one JSON line per case. `records` is not a command but the baseline: it writes the same files
as create_cifar10, one record at a time with TensorFlow's Example and TFRecordWriter, as a plain
program does.
"""
import contextlib
import io
import json
import os
import pathlib
import pickle
import sys
import tempfile
import time

import numpy as np

from benchmarks.common import Parser, run_child
from pgan.progress_bar import progress_bar

CASES = ('cifar10', 'records', 'images256', 'photos256', 'lsun256')
# Each case runs in a separate process, so that peak memory excludes making the input.
_RUN = '''
import json, sys, dataset_tool
from benchmarks.common import peak_mb
dataset_tool.main(sys.argv[1:])
print(json.dumps(dict(peak_mb=peak_mb())))
'''


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.dataset_tool', description=__doc__.split('\n')[0])
    parser.add_argument('--case', choices=CASES, action='append',
                        help='measure only this; may be given several '
                        'times')
    parser.add_argument('--num_images', type=int, default=2000,
                        help='of the cases of 256x256 (default: 2000)')
    return parser.parse_args(argv)


def photograph(rs, width, height):
    """A Pillow image of edges and gradients that compresses like a photograph."""
    import PIL.Image
    small = rs.randint(0, 256, size=(height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    pixels = np.asarray(
        PIL.Image.fromarray(small).resize((width, height),
                                          PIL.Image.Resampling.BICUBIC)).astype(np.int16)
    return PIL.Image.fromarray(
        (pixels + rs.randint(-8, 9, size=pixels.shape)).clip(0, 255).astype(np.uint8))


def make_input(case, folder, num_images):
    """Write the input of a case.

    Returns the command, its arguments after the target's name, and the number of images.
    """
    rs = np.random.RandomState(0)
    if case in ('cifar10', 'records'):
        for number in range(1, 6):
            batch = {
                'data': rs.randint(0, 256, size=(10000, 3072), dtype=np.uint8),
                'labels': list(range(10)) * 1000
            }
            (folder / f'data_batch_{number}').write_bytes(pickle.dumps(batch, protocol=2))
        return 'create_cifar10', [], 50000
    originals = [
        photograph(rs, *((256, 256) if case == 'images256' else (341, 256))) for _ in range(20)
    ]
    if case == 'lsun256':
        import lmdb
        with lmdb.open(
                str(folder),
                map_size=1 << 33) as environment, environment.begin(write=True) as transaction:
            for number in range(num_images):
                stream = io.BytesIO()
                originals[number % 20].save(stream, 'WEBP', quality=90)
                transaction.put(f'{number:08d}'.encode(), stream.getvalue())
        return 'create_lsun', [], num_images
    ending, options = ('png', []) if case == 'images256' else ('jpg', ['--resolution', '256'])
    for number, image in enumerate(originals):
        image.save(folder / f'{number:06d}.{ending}')
    for number in range(20, num_images):
        os.link(folder / f'{number % 20:06d}.{ending}', folder / f'{number:06d}.{ending}')
    return 'create_from_images', options, num_images


def write_one_by_one(target, source):
    """The plain program: writes every image and every level separately."""
    import tensorflow as tf

    from pgan.importers.cifar import load_cifar10
    target.mkdir()
    images = load_cifar10(str(source))
    order = np.arange(images.num_images)
    np.random.RandomState(123).shuffle(order)
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(tf.io.TFRecordWriter(str(target / f'r{log2:02d}.tfrecords')))
            for log2 in (5, 4, 3, 2)
        ]
        for _, image in progress_bar(images.fetch(order), total=len(order)):
            for level, writer in enumerate(writers):
                if level:
                    image = image.astype(np.float32)
                    image = (image[:, 0::2, 0::2] + image[:, 0::2, 1::2] + image[:, 1::2, 0::2] +
                             image[:, 1::2, 1::2]) * 0.25
                pixels = np.rint(image).clip(0, 255).astype(np.uint8)
                features = tf.train.Features(
                    feature={
                        'shape': tf.train.Feature(int64_list=tf.train.Int64List(
                            value=pixels.shape)), 'data': tf.train.Feature(
                                bytes_list=tf.train.BytesList(value=[pixels.tobytes()]))
                    })
                writer.write(tf.train.Example(features=features).SerializeToString())


def measure(case, num_images):
    """Run one case and return the result."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, 'in'), pathlib.Path(folder, 'out')
        source.mkdir()
        command, options, count = make_input(case, source, num_images)
        peak_mb = None
        if case == 'records':
            import tensorflow as tf  # not counted, as it is not needed otherwise
            del tf
        start = time.perf_counter()
        if case == 'records':
            write_one_by_one(target, source)
        else:
            peak_mb = run_child([sys.executable, '-c', _RUN, command, target, source,
                                 *options])[-1]['peak_mb']
        seconds = time.perf_counter() - start
        return dict(case=case, images=count, seconds=round(seconds, 2),
                    images_per_sec=round(count / seconds), peak_mb=peak_mb)


if __name__ == '__main__':
    args = parse_args()
    for name in args.case or CASES:
        with contextlib.redirect_stdout(sys.stderr):
            result = measure(name, args.num_images)
        print(json.dumps(result), flush=True)
