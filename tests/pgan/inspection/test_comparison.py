"""The command `compare`: which images and labels differ."""
import numpy as np
import pytest

from pgan.inspection import reading
from pgan.inspection.comparison import LISTED, compare
from tests.support.data_inputs import write_dataset
from tests.support.inspection_inputs import make_images, printed


@pytest.mark.parametrize('group_bytes', [1, 3 * 64 * 3, 1 << 20])
def test_compare_names_what_differs(group_bytes, mixed, capsys, monkeypatch):
    monkeypatch.setattr(reading, 'GROUP_BYTES', group_bytes)
    images, labels = mixed[0].copy(), mixed[1][:, ::-1].copy()
    images[3, 0, 0, 0] ^= 1
    write_dataset('b', images[:6], labels[:6])
    head = ['Loading dataset "mixed"', 'Loading dataset "b"', 'Comparing datasets']
    assert printed(capsys, compare, 'mixed', 'b') == [
        *head, 'Label 0 is different', 'Label 2 is different', 'Image 3 is different',
        'Label 3 is different', 'Label 5 is different',
        'Datasets contain different number of images', 'Identical images: 5 / 6',
        'Identical labels: 2 / 6'
    ]
    assert printed(capsys, compare, 'mixed', 'b', ignore_labels=1) == [
        *head, 'Image 3 is different', 'Datasets contain different number of images',
        'Identical images: 5 / 6'
    ]


@pytest.mark.parametrize('a, b, expected', [
    (None, None, []),
    ('cat\ndog\n', 'cat\ndog\n\n', ['Identical names of classes: 2 / 2']),
    ('cat\ndog\n', 'dog\ncat\nfox\n', [
        "Name of class 0 is different: 'cat', 'dog'", "Name of class 1 is different: 'dog', 'cat'",
        "Name of class 2 is different: none, 'fox'", 'Identical names of classes: 0 / 3']),
    ('cat\n', None, ["Only 'mixed' has names of classes"]),
    (None, 'cat\n', ["Only 'b' has names of classes"]),
])
def test_names_of_classes_are_compared(mixed, in_tmp, capsys, a, b, expected):
    write_dataset('b', *mixed)
    for folder, names in (('mixed', a), ('b', b)):
        if names is not None:
            (in_tmp / folder / f'{folder}-classes.txt').write_text(names)
    said = printed(capsys, compare, 'mixed', 'b')
    assert said[said.index('Identical labels: 7 / 7') + 1:] == expected
    assert printed(capsys, compare, 'mixed', 'b', ignore_labels=1)[-1] == 'Identical images: 7 / 7'


def test_labels_of_different_sizes_are_not_compared_one_by_one(mixed, capsys):
    images, labels = mixed
    write_dataset('bare', images)
    write_dataset('wide', images, np.eye(9)[:len(images)])
    for a, b, words in (('mixed', 'bare', "'bare' has none"), ('bare', 'mixed', "'bare' has none"),
                        ('mixed', 'wide', 'they differ in the number of components')):
        compare(a, b)
        captured = capsys.readouterr()
        assert captured.out.splitlines()[2:] == [
            'Comparing datasets', 'Identical images: 7 / 7', f'Labels were not compared: {words}']
        assert captured.err.count('\n') == 1 and 'label components' in captured.err
    assert printed(capsys, compare, 'bare', 'bare')[-1] == 'Identical labels: 7 / 7'


def test_a_long_list_of_differences_is_cut(in_tmp, capsys):
    count = LISTED + 15
    images = make_images(count)
    for name, change in (('a', 0), ('b', 1)):
        write_dataset(name, images ^ change, np.roll(np.eye(count), change, axis=1))
        with open(f'{name}/{name}-classes.txt', 'w') as file:
            file.writelines(f'{name}{number}\n' for number in range(count))
    lines = printed(capsys, compare, 'a', 'b')
    for what in ('Image ', 'Label ', 'Name of class '):
        assert sum(line.startswith(what) for line in lines) == LISTED
    assert {'15 more images are different', '15 more labels are different',
            'Names of 15 more classes are different', f'Identical images: 0 / {count}'} < set(lines)
