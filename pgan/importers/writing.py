"""Writing of a `Source` as a data set."""
import contextlib
import os
from collections.abc import Callable, Sequence

import numpy as np

from pgan.data.writer import TFRecordExporter, check_target, clear_leftovers
from pgan.importers.source import Source


def write_source(tfrecord_dir: str | os.PathLike, load: Callable[[], Source],
                 shuffle: bool = True, force: bool = False) -> tuple[Source, list[int]]:
    """Write the images and labels of a source as a data set.

    Args:
        tfrecord_dir: folder to create.
        load: function that returns the source.
        shuffle: write in a fixed shuffled order, unless the source is sequential.
        force: replace an existing data set.

    Returns:
        (the source, numbers of the images that were written).

    Raises:
        DataError: the target exists, the source is invalid, or the disk is full. Nothing is written
            then.
    """
    if tfrecord_dir:
        clear_leftovers(tfrecord_dir)
    check_target(tfrecord_dir, force)  # before a long load
    source = load()
    with TFRecordExporter(tfrecord_dir, source.num_images, exact=not source.may_skip,
                          force=force) as exporter:
        order: Sequence[int] | np.ndarray = range(source.num_images)
        if shuffle and not source.sequential:
            order = exporter.choose_shuffled_order()
        added = []
        # Close the generator at once, so that it closes its files.
        with contextlib.closing(source.fetch(order)) as images:  # type: ignore[type-var]
            for index, image in images:
                exporter.add_image(image)
                added.append(index)
        if source.labels is not None:
            exporter.add_labels(source.labels[added])
        if source.class_names:
            exporter.add_class_names(source.class_names)
    return source, added
