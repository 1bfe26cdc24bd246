"""Class names: in a data set's folder, and as an attribute of any data set."""
import types

import numpy as np
import pytest

import dataset
from pgan.data.class_names import names_of, read_class_names, row_lines
from tests.support.data_inputs import write_dataset


def write_names(text, encoding='utf-8'):
    with open('toy/toy-classes.txt', 'wb') as file:
        file.write(text.encode(encoding))


@pytest.fixture
def toy_of_three(in_tmp):
    """A data set of six images in three classes, without names, and a function that opens it."""
    write_dataset('toy', np.zeros([6, 1, 4, 4], np.uint8), np.eye(3)[np.arange(6) % 3])
    return lambda **options: dataset.TFRecordDataset('toy', **options).class_names


@pytest.mark.parametrize('text, encoding', [
    ('ant\nbee\ncàt\n', 'utf-8'), ('ant\nbee\ncàt', 'utf-8'),
    ('ant\r\nbee\r\ncàt\r\n\r\n', 'utf-8'),
    ('ant\nbee\ncàt\n', 'utf-8-sig'), ('ant \n bee\ncàt\n \n', 'utf-8')])
def test_names_are_read_as_editors_write_them(text, encoding, toy_of_three):
    assert toy_of_three(max_label_size='full') is None and read_class_names('toy') is None
    write_names(text, encoding)
    assert read_class_names('toy') == ['ant', 'bee', 'càt']
    assert toy_of_three(max_label_size='full') == ['ant', 'bee', 'càt']


def test_there_is_a_name_for_each_component_in_use(toy_of_three, in_tmp):
    write_names('ant\nbee\ncat\n')
    assert toy_of_three(max_label_size=2) == ['ant', 'bee']
    assert toy_of_three(max_label_size=0) is None and toy_of_three() is None
    np.save(in_tmp / 'mine.npy', np.eye(3, dtype=np.float32)[[0, 1, 2, 2, 1, 0]])
    assert toy_of_three(max_label_size='full', label_file='mine.npy') is None  # names of others
    assert toy_of_three(max_label_size='full', label_file='toy-rxx.labels') == ['ant', 'bee', 'cat']
    for text in ('ant\nbee\n', 'ant\nbee\ncat\ndog\n'):
        write_names(text)
        assert toy_of_three(max_label_size='full') is None


@pytest.mark.parametrize('names, expected', [
    (None, []), (['a', 'b'], ['a', 'b']), (('a', 'b'), ['a', 'b']), (np.array(['a', 'b']),
                                                                     ['a', 'b']),
    ([1990, 2000], ['1990', '2000']), (['a'], [])])
def test_data_sets_of_ones_own_may_have_names(names, expected):
    assert names_of(types.SimpleNamespace(label_size=2, class_names=names)) == expected


def test_data_sets_of_ones_own_need_no_names():
    assert names_of(types.SimpleNamespace(label_size=2)) == []
    assert names_of(dataset.SyntheticDataset(4, label_size=2)) == []


def test_rows_start_over_after_the_last_class():
    assert row_lines(['a', 'b'], 3) == ('row 0: class 0, a\nrow 1: class 1, b\n'
                                        'row 2: class 0, a\n')
