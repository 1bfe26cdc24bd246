"""The notebook examples/tour.ipynb: every cell runs, and its outputs are small."""
import nbclient
import nbformat
import pytest

from tests.support.golden import ROOT

PATH = ROOT / 'examples' / 'tour.ipynb'
MOST_BYTES = 150_000
SHORTER = ('KIMG = 10 ', 'KIMG = 0.3 ')


def test_it_holds_small_pictures_and_no_other_output():
    book = nbformat.read(PATH, 4)
    nbformat.validate(book)
    for cell in book.cells:
        for output in cell.get('outputs', []):
            # no printed output, which would contain local paths
            assert set(output.data) == {'image/png'}, cell.id
    assert PATH.stat().st_size < MOST_BYTES


@pytest.mark.slow
def test_every_cell_runs(tmp_path):
    """In a folder of a checkout without data sets and runs, for less than a minute."""
    for path in ROOT.iterdir():
        if path.name not in ('datasets', 'results', '.git'):
            (tmp_path / path.name).symlink_to(path)
    book = nbformat.read(PATH, 4)
    assert sum(SHORTER[0] in cell.source for cell in book.cells) == 1
    for cell in book.cells:
        for long, short in (SHORTER, ("'--num_steps', 100", "'--num_steps', 3")):
            cell.source = cell.source.replace(long, short)
    (tmp_path / 'notebooks').mkdir()
    client = nbclient.NotebookClient(book, timeout=300,
                                     resources={'metadata': {'path': str(tmp_path / 'notebooks')}})
    client.execute()
    pictures = [output.data['image/png'] for cell in book.cells
                for output in cell.get('outputs', []) if 'image/png' in output.get('data', {})]
    assert len(pictures) == 4
    assert {path.name for path in (tmp_path / 'results').iterdir()} >= {'000-tour', 'target.png'}
    assert not (ROOT / 'results' / '000-tour').exists()
