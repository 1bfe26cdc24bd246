"""Extraction of a data set's images to PNG files."""
import concurrent.futures
import glob
import os

from pgan.data.writer import check_parents
from pgan.errors import DataError
from pgan.files import atomic_write, make_folder
from pgan.inspection.reading import groups, open_in_order, to_hwc
from pgan.progress_bar import progress_bar


def extract(tfrecord_dir: str, output_dir: str, force: bool = False) -> None:
    """Extract images from dataset.

    Args:
        tfrecord_dir: folder of the data set
        output_dir: folder for the images, img00000000.png and so on; created if necessary
        force: overwrite previously extracted images

    Example:
        python dataset_tool.py extract datasets/mnist /tmp/mnist-images
    """
    _check_output(output_dir)
    dset = open_in_order(tfrecord_dir)
    pattern = os.path.join(glob.escape(output_dir), 'img' + '[0-9]' * 8 + '.png')
    if glob.glob(pattern) and not force:
        raise DataError(f'the folder {output_dir!r} already has extracted images. Choose another '
                        'one, or overwrite them with --force.')
    print(f'Extracting images to "{output_dir}"')
    make_folder(output_dir)
    _save_all(dset, output_dir)
    print(f'Extracted {dset.num_images} images.')


def _save_all(dset, output_dir):
    import PIL.Image

    def save(number, image):
        with atomic_write(os.path.join(output_dir, f'img{number:08d}.png'), durable=False) as file:
            PIL.Image.fromarray(to_hwc(image)).save(file, 'PNG')

    # Threads are enough: Pillow releases the GIL while it compresses.
    with (progress_bar(total=dset.num_images, delay=3, unit='img') as bar,
          concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool):
        for images, _ in groups(dset):
            numbers = range(dset.position - len(images), dset.position)
            for _ in pool.map(save, numbers, images):
                bar.update()


def _check_output(output_dir):
    if not output_dir.strip():
        raise DataError('output_dir is empty. Expected a folder for the images, e.g. '
                        'extracted-images.')
    check_parents(output_dir)
    if os.path.lexists(output_dir) and not os.path.isdir(output_dir):
        raise DataError(f'{output_dir!r} is a file. Expected a folder for the images; choose '
                        'another name.')
    if glob.glob(os.path.join(glob.escape(output_dir), '*.tfrecords')):
        raise DataError(f'the folder {output_dir!r} holds .tfrecords files: it is a data set. '
                        'Choose another folder for the images.')
