"""Classes by folder: order, depth, and folders that are not classes."""
import os
import shlex

import pytest

import dataset_tool
from pgan.importers.class_folders import in_order
from tests.support.data_inputs import fails
from tests.support.importer_inputs import pixels_of, shade


def make_tree(**values):
    """Gray 4x4 images of one shade each: in/FOLDER/VALUE.png."""
    for folder, shades in values.items():
        os.makedirs(f'in/{folder}', exist_ok=True)
        for value in shades:
            shade(value).save(f'in/{folder}/{value}.png')


def create(*options):
    dataset_tool.main(['create_from_images', 'out', 'in', '--shuffle', '0', *options])
    with open('out/out-classes.txt', encoding='utf-8') as file:
        return file.read().split('\n')[:-1]


@pytest.mark.parametrize('names, expected', [
    (['10', '9', '2', '0'], ['0', '2', '9', '10']),
    (['010', '9', '1', '01'], ['01', '1', '9', '010']),
    (['-1', '1', '-10', '0.5'], ['-10', '-1', '0.5', '1']),
    (['10', '9', 'many'], ['10', '9', 'many']), (['1e3', '20'], ['1e3', '20']),
    (['class 10', 'class 9'], ['class 10', 'class 9']), (['nan', '2', '10'], ['10', '2', 'nan'])])
def test_numbers_come_in_their_order(names, expected):
    assert in_order(set(names)) == expected


def test_class_k_is_folder_k(in_tmp):
    make_tree(**{str(k): [20 * k + 16] for k in range(12)})
    assert create('--labels', 'folders') == [str(k) for k in range(12)]
    images, labels = pixels_of('out')
    assert (images[:, 0, 0, 0] // 20).tolist() != list(range(12))  # files are sorted by path
    assert labels.argmax(axis=1).tolist() == (images[:, 0, 0, 0] // 20).tolist()


def test_folders_without_images_are_no_classes(in_tmp, capsys):
    make_tree(ant=[20, 21], bee=[], cat=[], dog=[22])
    with open('in/cat/notes.txt', 'w') as file:
        file.write('a cat')
    os.makedirs('in/@eaDir/ant')
    assert create('--labels', 'folders') == ['ant', 'dog']
    assert "folders without images are not classes: 'bee', 'cat'\n" in capsys.readouterr().out
    os.makedirs('in/dog/wolf')
    make_tree(**{'dog/fox': [23]})
    dataset_tool.main(['create_from_images', 'out', 'in', '--labels', 'innermost', '--force'])
    assert "not classes: 'bee', 'cat', 'wolf'\n" in capsys.readouterr().out


@pytest.mark.parametrize('parts', [('train', 'test'), ('Training', 'val'), ('train', 'dev')])
def test_the_innermost_folder_may_be_the_class(parts, in_tmp, capsys):
    make_tree(**{f'{parts[0]}/cat': [20, 21], f'{parts[0]}/dog': [22], f'{parts[1]}/dog': [23, 24]})
    assert create('--labels', 'folders') == sorted(parts)
    assert '--labels innermost' in capsys.readouterr().out
    assert create('--labels', 'innermost', '--force') == ['cat', 'dog']
    images, labels = pixels_of('out')
    assert (labels.argmax(axis=1) == (images[:, 0, 0, 0] > 21)).all()
    assert '--labels innermost' not in capsys.readouterr().out


def test_one_folder_above_the_classes_is_told(in_tmp, capsys):
    make_tree(**{'images/cat': [20], 'images/dog': [22]})
    message = fails(['create_from_images', 'out', 'in', '--labels', 'folders'], capsys)
    assert "one sub-folder, 'images'" in message and message.endswith('--labels innermost.\n')


def test_classes_that_have_sub_folders_get_no_hint(in_tmp, capsys):
    make_tree(**{'cat/tame': [20], 'dog': [22], 'test/x': [24]})
    assert create('--labels', 'folders') == ['cat', 'dog', 'test']
    assert 'innermost' not in capsys.readouterr().out


def test_that_training_ignores_labels_is_told(in_tmp, capsys):
    make_tree(ant=[20], bee=[30])
    create('--labels', 'folders')
    said = capsys.readouterr().out
    assert 'train.py --set dataset.tfrecord_dir=' in said
    assert '--set dataset.max_label_size=full' in said and '-cond' in said
    dataset_tool.main(['create_from_images', 'datasets/x y', 'in'])
    assert 'Training' not in capsys.readouterr().out
    dataset_tool.main(['create_from_images', 'datasets/x y', 'in', '--labels', 'folders',
                       '--force'])
    assert "dataset.tfrecord_dir='x y'" in shlex.split(capsys.readouterr().out)
