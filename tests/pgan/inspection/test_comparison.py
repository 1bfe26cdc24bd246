"""compare: which images and labels differ."""
import pytest

from pgan.inspection import reading
from pgan.inspection.comparison import compare
from tests.support.data_inputs import write_dataset
from tests.support.inspection_inputs import printed


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
