"""The documents' Python for trained networks, as it stands, on networks with and without labels."""
import os
import pickle

import numpy as np
import pytest
from PIL import Image

import tfutil
from tests.support.document_blocks import blocks


def snippets(document, *, mentioning):
    return [block.text for block in blocks() if block.document == document
            and block.language == 'python' and mentioning in block.text]


@pytest.fixture(params=[0, 3, 10], ids=lambda size: f'{size} classes')
def trained(in_tmp, request):
    """Make runs 000-pgan-mine and 012-mine; returns the label size of their networks."""
    sizes = dict(num_channels=1, resolution=8, label_size=request.param, fmap_base=16, fmap_max=4)
    G = tfutil.Network('G', 'networks.G_paper', latent_size=6, **sizes)
    D = tfutil.Network('D', 'networks.D_paper', **sizes)
    for folder in ('results/000-pgan-mine', 'results/012-mine'):
        os.makedirs(folder)
        with open(f'{folder}/network-final.pkl', 'wb') as file:
            pickle.dump((G, D, G), file)
    return request.param


def test_the_first_snippet_of_the_readme(trained):
    snippet = snippets('README.md', mentioning='Gs')[0]
    assert 'pickle.load' in snippet
    names = {}
    exec(snippet, names)  # noqa: S102 -- the document under test
    assert names['images'].shape == (4, 1, 8, 8) and names['images'].dtype == np.uint8
    if trained:
        assert names['labels'].shape == (4, trained) and (names['labels'].sum(axis=1) == 1).all()
    else:
        assert names['labels'] is None


def test_notebooks(trained, capsys):
    names = {}
    for snippet in snippets('notebooks.md', mentioning='latents'):
        if trained > 3 or '[[3] *' not in snippet:
            exec(snippet, names)  # noqa: S102 -- the document under test
    assert Image.open('eight.png').size == (32, 16) and Image.open('first.png').size == (8, 8)
    assert '(8, 6)' in capsys.readouterr().out
    if trained > 3:
        assert names['labels'].argmax(axis=1).tolist() == [3] * 8
