"""Contact sheets: images in order, with their captions."""
import os

import numpy as np
import PIL.Image
import PIL.ImageFont
import pytest

from pgan.data import records
from pgan.inspection import contact_sheet
from pgan.inspection.window import display
from tests.support.data_inputs import write_dataset
from tests.support.inspection_inputs import NUM, make_images, printed, refused


def cells(path, count, resolution, num_images):
    """Split a contact sheet into images [count, cell, cell(, 3)] and the pixels of their captions.
    """
    _, cell, columns, rows = contact_sheet.sheet_layout(resolution, num_images)
    picture = np.asarray(PIL.Image.open(path))
    step_x = cell + contact_sheet.GAP
    step_y = step_x + contact_sheet.CAPTION_PIXELS
    assert picture.shape[:2] == (rows * step_y + contact_sheet.GAP,
                                 columns * step_x + contact_sheet.GAP)
    corners = [(contact_sheet.GAP + n // columns * step_y, contact_sheet.GAP + n % columns * step_x)
               for n in range(count)]
    captions = [
        picture[y + cell:y + cell + contact_sheet.CAPTION_PIXELS, x:x + cell] for y, x in corners
    ]
    return np.stack([picture[y:y + cell, x:x + cell] for y, x in corners]), captions


def test_a_sheet_shows_the_images_in_order(mixed, capsys):
    lines = printed(capsys, display, 'mixed', sheet='sheet.png')
    assert lines == ['Loading dataset "mixed"', f'Wrote {NUM} of {NUM} images to "sheet.png"']
    shown, captions = cells('sheet.png', NUM, 8, NUM)
    assert np.array_equal(shown, mixed[0].transpose(0, 2, 3, 1).repeat(12,
                                                                       axis=1).repeat(12, axis=2))
    # Index at the left, class at the right: images 0 and 3 have the same class, 0 and 1 differ.
    left, right = ([caption[:, columns] for caption in captions]
                   for columns in (slice(0, 40), slice(60, None)))
    assert all((part > 140).any() for part in left + right)
    assert np.array_equal(right[0], right[3]) and not np.array_equal(right[0], right[1])
    assert not np.array_equal(left[0], left[3])


def test_a_sheet_of_grey_images_without_labels(in_tmp, capsys):
    images = make_images(200, (1, 32, 32))
    write_dataset('grey', images)
    assert printed(capsys, display, 'grey',
                   sheet='sheet.png')[-1] == 'Wrote 160 of 200 images to "sheet.png"'
    with PIL.Image.open('sheet.png') as picture:
        assert picture.mode == 'L' and 1024 <= picture.width <= 2048
        assert 1024 <= picture.height <= 2048
    shown, captions = cells('sheet.png', 160, 32, 200)
    assert np.array_equal(shown[:, ::3, ::3], images[:160, 0])
    assert all(
        (caption[:, :40] > 140).any() and not (caption[:, 40:] > 140).any() for caption in captions)


@pytest.mark.parametrize('resolution', [4 << n for n in range(9)])
def test_sheets_of_many_images_are_one_to_two_thousand_pixels_wide(resolution):
    lod, cell, columns, rows = contact_sheet.sheet_layout(resolution, 100000)
    width, height = columns * (cell + 6) + 6, rows * (cell + 18 + 6) + 6
    assert 1024 <= width <= 2048 and 1024 <= height <= 2048 and columns <= 16 and rows <= 10
    assert cell % (resolution >> lod) == 0 and cell >= 64


def test_large_images_are_shown_from_a_lower_level(in_tmp):
    images = make_images(2, (3, 512, 512))
    write_dataset('large', images)
    display('large', sheet='sheet.png')
    shown, _ = cells('sheet.png', 2, 512, 2)
    assert np.array_equal(shown.transpose(0, 3, 1, 2),
                          records.open_records('large/large-r08.tfrecords').read([0, 1]))


def test_sheets_are_not_written_over_other_files(mixed, capsys):
    with open('sheet.jpg', 'w') as out:
        out.write('precious')
    assert "'sheet.jpg' exists" in refused(display, 'mixed', sheet='sheet.jpg')
    assert open('sheet.jpg').read() == 'precious'
    display('mixed', sheet='sheet.jpg', force=True)
    with PIL.Image.open('sheet.jpg') as picture:
        assert picture.format == 'JPEG'
    os.mkdir('folder.png')
    assert "'folder.png' is a folder" in refused(display, 'mixed', sheet='folder.png', force=True)
    assert '.png, .jpg, .jpeg' in refused(display, 'mixed', sheet='sheet.gif')
    assert '.png, .jpg, .jpeg' in refused(display, 'mixed', sheet='')
    assert repr(os.path.join(os.getcwd(), 'nowhere')) in refused(display, 'mixed',
                                                                 sheet='nowhere/sheet.png')
    assert sorted(os.listdir()) == ['folder.png', 'mixed', 'sheet.jpg']


def test_long_labels_are_cut_to_fit(in_tmp):
    write_dataset('data', make_images(3), np.full([3, 50], 0.123))
    display('data', sheet='sheet.png')
    _, captions = cells('sheet.png', 3, 8, 3)
    with PIL.Image.open('sheet.png') as picture:
        background = np.asarray(picture)[0, 0]
    for caption in captions:
        # gap between index and label
        assert (caption[:, 60:] > 200).any() and (caption[:, 10:14] == background).all()


def test_one_label_is_cut_the_same_way_beside_every_number(in_tmp):
    write_dataset('data', make_images(12), np.eye(2)[np.arange(12) % 2])
    with open('data/data-classes.txt', 'w') as file:
        file.write('Golden Retriever with a hat\nWest Highland White Terrier\n')
    display('data', sheet='sheet.png')
    _, captions = cells('sheet.png', 12, 8, 12)
    for number in range(12):
        assert np.array_equal(captions[number][:, 28:], captions[number % 2][:, 28:]), number


@pytest.mark.parametrize('text', ['', 'cat', 'iiiiiiiiiiiiiiiiiiiiiiiiiiiiii', 'W' * 30,
                                  'two words and more of them', '0 abc' * 60])
def test_a_text_is_cut_with_an_ellipsis(text):
    font = PIL.ImageFont.load_default(contact_sheet.FONT_PIXELS)
    for room in (*range(-5, 100, 7), 10000):
        cut = contact_sheet.cut_to_fit(text, room, font)
        assert not cut or font.getlength(cut) <= room
        if font.getlength(text) <= room:
            assert cut == text
        else:
            assert cut == '' or text.startswith(cut[:-1].rstrip()) and cut[-1] == '…'
            longer = contact_sheet._cut(text, max(len(cut), 1))
            assert font.getlength(longer) > room or ' ' in text, (cut, longer)
