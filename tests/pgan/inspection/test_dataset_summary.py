"""The command `info`: summary of a data set."""
import os

import numpy as np
import pytest

from pgan.importers.source import onehot
from pgan.inspection.class_names import class_texts, is_one_hot
from pgan.inspection.dataset_summary import _print_rows, info
from tests.support.data_inputs import write_dataset
from tests.support.inspection_inputs import make_images, printed, refused


def test_info_of_a_labelled_data_set(mixed, capsys):
    assert printed(capsys, info, 'mixed') == [
        'Folder      mixed', 'Images      7', 'Resolution  8x8', 'Channels    3 (RGB)',
        'Labels      3 components, float32, one-hot', '',
        'Resolution  File                 Records  Bytes',
        '8x8         mixed-r03.tfrecords        7   1729  1.73kB',
        '4x4         mixed-r02.tfrecords        7    686    686B', '', 'Class  Images',
        '0           3  ' + '#' * 40, '1           2  ' + '#' * 27, '2           2  ' + '#' * 27
    ]


def test_info_shows_class_names(mixed, capsys):
    with open('mixed/mixed-classes.txt', 'w', encoding='utf-8') as out:
        out.write('cat\ndog\nzèbre\n')
    assert [line.split('#')[0].rstrip() for line in printed(capsys, info, 'mixed')[-4:]] == [
        'Class    Images', '0 cat         3', '1 dog         2', '2 zèbre       2']
    with open('mixed/mixed-classes.txt', 'a', encoding='utf-8') as out:
        out.write('one more\n')
    lines = printed(capsys, info, 'mixed')
    assert 'The file of class names is ignored: it has 4 lines for 3 classes.' in lines and lines[
        -3].startswith('0           3')


@pytest.mark.parametrize('name', ['caf\udce9', 'th\udcc3\udca9', 'b'])
def test_names_that_are_no_text_leave_the_columns_straight(mixed, capsys, monkeypatch, name):
    monkeypatch.setattr('pgan.inspection.class_names.read_class_names', lambda _: ['a', name, 'c'])
    _print_rows(zip(['Class', *class_texts('mixed', np.eye(3))], [1, 22, 3, 4]), '<>')
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1, lines


def test_info_without_labels(in_tmp, capsys):
    write_dataset('grey', make_images(2, (1, 4, 4)))
    assert printed(capsys, info, 'grey') == [
        'Folder      grey', 'Images      2', 'Resolution  4x4', 'Channels    1 (grayscale)',
        'Labels      none', '', 'Resolution  File                Records  Bytes',
        '4x4         grey-r02.tfrecords        2    132  132B'
    ]


def test_info_of_labels_that_are_no_classes(in_tmp, capsys):
    write_dataset('data', make_images(3), np.array([[0, -1.5], [1, 2], [0.5, 1]]))
    lines = printed(capsys, info, 'data')
    assert 'Labels      2 components, float32, not one-hot' in lines
    assert lines[-3:] == [
        'Component   min  mean  max', '        0     0   0.5    1', '        1  -1.5   0.5    2'
    ]
    write_dataset('many', make_images(2), np.random.RandomState(1).randn(2, 50))
    lines = printed(capsys, info, 'many')
    assert lines[-1] == 'and 10 more components' and lines[-2].split()[0] == '39'


@pytest.mark.parametrize('labels, expected', [([[1, 0], [0, 1]], True), ([[1], [1]], True),
                                              ([[1, 1], [0, 0]], False), ([[2, -1], [1, 0]], False),
                                              ([[0.5, 0.5]], False), ([[]], False),
                                              ([1, 0], False)])
def test_what_is_one_hot(labels, expected):
    assert is_one_hot(np.array(labels, np.float32)) is expected


def test_info_sums_up_many_classes(in_tmp, capsys):
    write_dataset('data', make_images(9), onehot(np.array([0, 0, 0, 7, 7, 8, 9, 10, 149]), 150))
    assert printed(capsys, info, 'data')[-5:] == [
        'Classes         150', 'without images  144', 'fewest images   0 (class 1)',
        'on average      0.1', 'most images     3 (class 0)'
    ]


def test_info_shows_what_is_there_before_it_says_what_is_missing(in_tmp, capsys):
    write_dataset('data', make_images(3, (1, 16, 16)))
    os.unlink('data/data-r03.tfrecords')
    assert 'no file for 8x8' in refused(info, 'data')
    out = capsys.readouterr().out
    assert 'Images      3' in out and '16x16       data-r04.tfrecords' in out
    with open('data/data-r02.tfrecords', 'r+b') as file:
        file.truncate(100)
    assert 'data-r02.tfrecords' in refused(info, 'data')
    assert 'unreadable  data-r02.tfrecords             100' in capsys.readouterr().out
    assert "'nowhere' not found" in refused(info, 'nowhere')
