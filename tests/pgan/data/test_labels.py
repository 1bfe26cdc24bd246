"""Label files: which file is used, and errors of files that cannot be used."""
import numpy as np
import pytest

import dataset
from dataset import TFRecordDataset
from pgan.errors import ConfigError, DataError
from tests.support.data_inputs import write_dataset
from tests.support.small_dataset import NUM, make_images, make_labels


def test_labels_of_another_file(small, tmp_path):
    np.save(tmp_path / 'mine.npy', np.ones([NUM, 2], np.float32))
    assert TFRecordDataset(small, label_file=str(tmp_path / 'mine.npy'),
                           max_label_size='full').label_size == 2
    assert TFRecordDataset(small, label_file='small-rxx.labels',
                           max_label_size='full').label_size == 4


@pytest.mark.parametrize('max_label_size', ['full', 1, 7])
def test_labels_asked_for_must_be_there(max_label_size, tmp_path):
    plain = write_dataset(tmp_path / 'plain', make_images(5))
    with pytest.raises(
            ConfigError, match=
            rf'max_label_size is {max_label_size!r}.*0 label components: it has no \.labels file'):
        TFRecordDataset(plain, max_label_size=max_label_size)
    assert not dataset.has_labels(plain)


def test_more_components_than_there_are(small):
    with pytest.raises(ConfigError,
                       match=r'max_label_size is 9, but.*small-rxx\.labels.*have 4 components'):
        TFRecordDataset(small, max_label_size=9)
    assert dataset.has_labels(small)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_labels_must_be_finite(value, small_copy):
    labels = make_labels()
    labels[[7, 12], [3, 1]] = value
    np.save(small_copy / 'bad.npy', labels)
    with pytest.raises(DataError, match=rf'bad\.npy.*2 of {NUM} rows.*first row 7'):
        TFRecordDataset(small_copy, label_file='bad.npy', max_label_size='full')
    # the bad components are not selected
    assert TFRecordDataset(small_copy, label_file='bad.npy', max_label_size=1).label_size == 1


@pytest.mark.parametrize(
    'labels',
    [np.zeros([NUM - 1, 4], np.float32),
     np.zeros([NUM], np.float32),
     np.zeros([NUM, 2], 'U3')])
def test_labels_that_do_not_fit_are_refused(labels, small_copy):
    with open(small_copy / 'small-rxx.labels', 'wb') as file:
        np.save(file, labels)
    with pytest.raises(DataError) as info:
        TFRecordDataset(small_copy, max_label_size='full')
    assert f'[{NUM}, components]' in str(info.value) and str(list(labels.shape)) in str(info.value)
    assert TFRecordDataset(small_copy).label_size == 0


def test_labels_that_cannot_be_read_are_refused(small_copy, small):
    with open(small_copy / 'small-rxx.labels', 'wb') as file:
        np.save(file, np.array([{'a': 1}] * NUM), allow_pickle=True)
    np.savez(small_copy / 'two.npz', a=np.zeros(3))
    (small_copy / 'text').write_text('1 0\n0 1\n')
    (small_copy / 'nothing').write_bytes(b'')
    (small_copy / 'cut').write_bytes((small_copy / 'small-rxx.labels').read_bytes()[:40])
    for name, words in ((None, 'it holds Python objects'), ('two.npz', 'it is not an .npy file'),
                        ('text', 'it is not an .npy file'), ('nothing', 'it is not an .npy file'),
                        ('cut', 'cannot be read')):
        with pytest.raises(
                DataError,
                match=f'cannot be read: .*{words}' if 'cannot' not in words else words) as info:
            TFRecordDataset(small_copy, label_file=name, max_label_size=1)
        assert 'pickle' not in str(info.value)
    with pytest.raises(DataError, match="'absent' exists neither"):
        TFRecordDataset(small, label_file='absent')
