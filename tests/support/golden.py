"""Paths of the repository and the golden data, and functions that read them."""
import json
import pathlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / 'tests' / 'golden'


def load_json(name):
    """Golden JSON file as Python objects."""
    return json.loads((GOLDEN / name).read_text())


def load_npz(name):
    """Golden .npz file as a dict of arrays."""
    with np.load(GOLDEN / name) as data:
        return dict(data)
