"""The comparison with the original: its numbers are consistent, the documents quote them, and the
picture is drawn from them.
"""
import re

import numpy as np
import pytest
from PIL import Image

from benchmarks import learning_curves, report
from tests.support.golden import ROOT


def test_quotients_are_those_of_the_times():
    rows = learning_curves.read('speed')
    assert [row['stage'] for row in rows] == [4, 8, 16, 32]
    for row in rows:
        quotients = np.divide(row['original_sec_per_kimg'], row['sec_per_kimg'])
        np.testing.assert_allclose(quotients, row['times_faster'], atol=0.051)
        mean = np.mean(row['original_sec_per_kimg'])
        np.testing.assert_allclose(report.ORIGINAL[row['stage']], mean, rtol=0.005)


def test_documents_quote_the_measured_speed():
    """The table of docs/performance.md, and the range in README.md."""
    text = (ROOT / 'docs/performance.md').read_text()
    rows = learning_curves.read('speed')
    for row in rows:
        cells = [', '.join(f'{value:{form}}' for value in row[name]) for name, form in
                 (('original_sec_per_kimg', '.2f'), ('sec_per_kimg', '.2f'),
                  ('times_faster', '.1f'))]
        size = row['stage']
        assert f'| {size}x{size} | {row["minibatch"]} | {" | ".join(cells)} |' in text
    factors = [value for row in rows for value in row['times_faster']]
    quoted = f'{min(factors)} to {max(factors)}x'
    for page in (text, (ROOT / 'README.md').read_text()):
        assert quoted in re.sub(r'\s+', ' ', page)


def test_documents_quote_the_measured_distances():
    text = (ROOT / 'docs/performance.md').read_text()
    for program in ('original', 'this program'):
        runs = [run for run in learning_curves.read('learning') if run['program'] == program]
        swd, frechet = (np.mean([run[name][-1] for run in runs]) for name in ('swd', 'frechet'))
        assert len(runs) == 3 and f'| {program} | {swd:.0f} | {frechet:.2f} |' in text


def test_a_copy_without_results(tmp_path, monkeypatch):
    """There is nothing to draw, but measuring still works."""
    monkeypatch.setattr(learning_curves, 'RESULTS', tmp_path / 'gone.jsonl')
    assert learning_curves.read('speed') == []
    with pytest.raises(SystemExit, match='gone.jsonl is missing'):
        learning_curves.main([])


def test_the_picture(tmp_path, capsys):
    """A redrawn picture has the size of the one in docs/; other results give another picture."""
    path = tmp_path / 'curves.png'
    learning_curves.main(['--output', str(path)])
    assert 'is drawn' in capsys.readouterr().out
    runs = learning_curves.read('learning')
    runs[0]['swd'][-1] = 200
    learning_curves.draw(runs, tmp_path / 'other.png')
    drawn, other = (np.asarray(Image.open(name)) for name in (path, tmp_path / 'other.png'))
    assert drawn.shape == np.asarray(Image.open(learning_curves.PICTURE)).shape
    assert (drawn != other).any()
