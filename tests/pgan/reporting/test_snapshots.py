"""pgan/reporting/snapshots.py: sizes and contents of the image grids."""
import csv
import types

import numpy as np
import pytest

import dataset
from pgan.errors import ConfigError
from pgan.reporting.image_grids import snapshot_grid_size
from pgan.reporting.overview import describe_labels
from pgan.reporting.progress import Progress, tick_line
from pgan.reporting.snapshots import (
    ImageSnapshots,
    setup_snapshot_image_grid,
)
from tests.support.data_inputs import write_dataset
from tests.support.golden import GOLDEN


def grid_rows():
    with open(GOLDEN / 'snapshot_grid.csv', newline='') as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


@pytest.mark.parametrize('resolution, size, gw, gh', grid_rows())
def test_grid_sizes_are_the_originals(resolution, size, gw, gh):
    assert snapshot_grid_size(int(resolution), int(resolution), size) == (int(gw), int(gh))


class Striped(dataset.SyntheticDataset):
    """Images whose brightness is their class; class k of four is every fourth image."""
    count = 0

    def _generate_labels(self, minibatch_size):
        classes = (self.count + np.arange(minibatch_size)) % self.label_size
        self.count += minibatch_size
        self.classes = classes
        return np.eye(self.label_size, dtype=np.float32)[classes]

    def _generate_images(self, minibatch_size, lod, shape):
        classes = (self.count + np.arange(minibatch_size)
                   ) % self.label_size if self.label_size else np.zeros(minibatch_size)
        return np.broadcast_to((classes * 10 + 5).astype(np.uint8)[:, None, None, None],
                               [minibatch_size, *shape])


def stub_G(resolution, latent_size=8):
    return types.SimpleNamespace(output_shape=[None, 3, resolution, resolution],
                                 input_shape=[None, latent_size], input_shapes=[[None,
                                                                                 latent_size]])


@pytest.mark.parametrize('classes', [1, 3, 4, 7])
def test_row_per_class(classes):
    training_set = Striped(resolution=64, label_size=classes)
    (gw, gh), reals, labels, latents = setup_snapshot_image_grid(stub_G(64), training_set, '1080p',
                                                                 'row_per_class')
    assert (gw, gh) == (30, 16) and reals.shape == (480, 3, 64, 64) and latents.shape == (480, 8)
    rows = labels.argmax(axis=1).reshape(gh, gw)
    assert (rows == (np.arange(gh) % classes)[:, None]).all() and (labels.sum(axis=1) == 1).all()
    brightness = reals.reshape(gh, gw, -1)
    # the brightness of that class in Striped
    assert (brightness == (rows * 10 + 5)[:, :, None]).all()


def test_random_grid():
    training_set = Striped(resolution=64, label_size=4)
    (gw, gh), reals, labels, latents = setup_snapshot_image_grid(stub_G(64), training_set, '1080p',
                                                                 'random')
    assert len(reals) == len(labels) == len(latents) == gw * gh
    assert set(labels.argmax(axis=1)) == {0, 1, 2, 3}


@pytest.mark.parametrize('size, layout, label_size, text',
                         [('8k', 'random', 0, "one of '1080p', '4k'. Received: '8k'"),
                          ('4k', 'spiral', 0, "'row_per_class'. Received: 'spiral'"),
                          ('4k', 'row_per_class', 0, 'requires labels')])
def test_impossible_grids_are_refused(size, layout, label_size, text):
    with pytest.raises(ConfigError, match=text):
        setup_snapshot_image_grid(stub_G(64), Striped(resolution=64, label_size=label_size), size,
                                  layout)


def test_tick_line_is_the_originals():
    line = tick_line(14, 14.08, 0.0, 64, 135.2, 6.53, 8.507, 0.81)
    assert line in (GOLDEN / 'sample_log.txt').read_text().split('\n')


def test_progress_counts_with_the_clock_it_is_given(capsys):
    now = iter([100.0, 100.0, 150.0, 153.0, 163.0])
    progress = Progress(total_kimg=2, setup_time=7.0, clock=lambda: next(now))
    sched = types.SimpleNamespace(lod=1.5, minibatch=16, tick_kimg=1, resolution=8)
    assert not progress.tick_is_over(999, sched, False)
    assert progress.tick_is_over(1000, sched, False) and progress.tick_is_over(5, sched, True)
    progress.tick(1000, sched)
    progress.end_maintenance()
    progress.tick(1500, sched)
    progress.close()
    lines = [line for line in capsys.readouterr().out.split('\n') if line.startswith('tick')]
    assert lines == [
        tick_line(1, 1.0, 1.5, 16, 50, 50, 50, 7),
        tick_line(2, 1.5, 1.5, 16, 63, 10, 20, 3)
    ]


# ---------------------------------------------------------------- class names

@pytest.mark.parametrize('layout, names, is_written', [
    ('row_per_class', ['ant', 'bee'], True), ('row_per_class', None, False),
    ('random', ['ant', 'bee'], False)])
def test_rows_are_named_beside_the_pictures(layout, names, is_written, in_tmp):
    training_set = Striped(resolution=256, label_size=2)
    training_set.class_names = names
    snapshots = ImageSnapshots(stub_G(256), training_set, [-1, 1], layout=layout)
    snapshots.save_row_names('.')
    assert (in_tmp / 'rows.txt').exists() == is_written
    if is_written:
        lines = (in_tmp / 'rows.txt').read_text().splitlines()
        assert lines[:3] == ['row 0: class 0, ant', 'row 1: class 1, bee', 'row 2: class 0, ant']
        assert len(lines) == snapshots.grid_size[1]


def test_the_overview_tells_of_labels_that_are_not_used(in_tmp):
    assert describe_labels(dataset.SyntheticDataset(4)) == 'none'
    assert describe_labels(dataset.SyntheticDataset(4, label_size=7)) == '7 components'
    write_dataset('plain', np.zeros([2, 1, 4, 4], np.uint8))
    assert describe_labels(dataset.TFRecordDataset('plain')) == 'none'
    write_dataset('toy', np.zeros([2, 1, 4, 4], np.uint8), np.eye(2))
    assert "dataset.max_label_size='full'" in describe_labels(dataset.TFRecordDataset('toy'))
    (in_tmp / 'toy' / 'toy-classes.txt').write_text('ant\nbee\n')
    labelled = dataset.TFRecordDataset('toy', max_label_size='full')
    assert describe_labels(labelled) == '2 components (ant, bee)'
