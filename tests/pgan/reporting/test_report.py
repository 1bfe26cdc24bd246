"""pgan/reporting/report.py: text of report.html for synthetic folders."""
import base64
import html
import html.parser
import io
import json
import os
import re
import time
import types
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from metrics import Judge
from misc import resuming, run_status
from pgan.errors import DataError
from pgan.reporting import pictures_section, report, stats_file
from pgan.reporting.best_snapshot import BestSnapshot
from pgan.reporting.image_grids import GRID_SIZES, page_view, snapshot_grid_size
from pgan.reporting.log_section import log_tail
from pgan.reporting.pictures_section import thinned_out
from pgan.reporting.report import Report
from pgan.reporting.statistics import Statistics
from pgan.reporting.thumbnails import make_thumbnail
from pgan.scripts.write_report import write_report
from tests.support.report_inputs import EVIL, Elements, noise, page, picture


def test_everything_is_on_the_page(run_folder):
    text = page(run_folder)
    images = Elements(text).all('img')
    assert [image['alt']
            for image in images] == ['0 kimg', '10 kimg', '20 kimg', '30 kimg', '40 kimg', 'reals']
    assert [image['id'] for image in images[:5] if 'hidden' not in image] == ['fakes000040']
    for number, image in enumerate(images[:5]):
        data = base64.b64decode(image['src'].partition('base64,')[2])
        assert np.asarray(Image.open(io.BytesIO(data)))[0, 0].tolist() == [40 * number] * 3
    titles = re.findall(r'class="title">([^<]*)<', text)
    # Curves that are always zero have no chart.
    assert titles == ['SWD', 'Scores', 'lod', 'Mine/thing']
    # The last measurement of a snapshot counts.
    assert 'Curves' in text and '1 without a change' in text
    assert '<td>8.25</td>' in text and '<td>9</td>' not in text and 'Reals 1.5' in text
    assert 'random_seed = 5' in text and 'tensorflow' in text and '007-toy &amp; co' in text
    assert 'Stopped without a message' in text  # No process holds its lock.
    assert 'line 999' in text and 'line 900' not in text


def test_rows_of_classes_are_named(run_folder):
    """Next to fakes and reals; a class in several rows is shown once."""
    names = lambda: [html.unescape(name) for name in
                     re.findall(r'<li title=".*?"><span>(.*?)</span>', page(run_folder))]
    assert names() == []
    for number in range(5):  # 3 x 3 images of 16x16
        picture(run_folder / f'fakes{number * 10:06d}.png', 40 * number, (48, 48))
    picture(run_folder / 'reals.png', 255, (48, 48))
    rows = f'row 0: class 0, a, b\nrow 1: class 1, {EVIL}\n'
    (run_folder / 'rows.txt').write_text(rows + 'row 2: class 0, a, b\n')
    assert names() == ['a, b', EVIL] * 2
    assert EVIL not in page(run_folder)
    image = Elements(page(run_folder)).all('img')[0]
    assert (image['width'], image['height']) == ('48', '32') and 'width:192px' in image['style']
    # Names that do not match the grid are ignored.
    (run_folder / 'rows.txt').write_text(''.join(f'row {i}: class {i}, a\n' for i in range(7)))
    assert names() == []


def test_small_images_are_shown_large_enough():
    """Images are at least 64 screen pixels wide, and the part of the grid fits the page."""
    for name in GRID_SIZES:
        for side in (2 ** k for k in range(2, 11)):
            across, down = snapshot_grid_size(side, side, name)
            view = page_view((across * side, down * side))
            assert view.side >= side and view.columns <= across and view.rows <= down
            assert view.side * view.scale >= 64 or view.scale == 0 and view.side >= 256
            assert view.columns * view.side * view.scale <= 960
            assert view.rows * view.side * view.scale <= 640
            with_rows = page_view((across * side, down * side), down, min(down, 10))
            assert with_rows.side == side and with_rows.rows <= min(down, 10)
    assert page_view((1000, 700)) is None


def test_the_page_says_how_far_a_run_is(run_folder):
    folder = str(run_folder)
    resuming.write_run(folder, [], [], {})
    with resuming.only_process(folder):
        run_status.write_status(folder, run_status.RUNNING, 40, 160, seconds_left=3900)
        text = page(run_folder)
    bar, = Elements(text).all('progress')
    assert (bar['value'], bar['max']) == ('40', '160') and '<b>25 %</b>' in text
    assert '<title>25 % 007-toy &amp; co</title>' in text and 'about 1h 05m' in text
    switch, = [item for item in Elements(text).all('input') if item.get('id') == 'refresh']
    assert 5 <= int(switch['data-seconds']) <= 60
    run_status.write_status(folder, run_status.STOPPED, 40, 160, 'SIGINT')
    text = page(run_folder)
    assert 'id="refresh"' not in text and 'badge stopped' in text and '<title>007' in text


def test_the_best_snapshot_is_marked(run_folder):
    (run_folder / 'network-snapshot-000020.pkl').write_bytes(b'20')
    with open(run_folder / 'stats.jsonl', 'a') as file:
        file.write('\n' + json.dumps({'nimg': 20500, 'Metrics/SWD': 7.0}) + '\n')
    BestSnapshot(str(run_folder), Judge('SWD', False, 1000)).consider(
        str(run_folder / 'network-snapshot-000020.pkl'), {'SWD': 7.0}, 20.5)
    text = page(run_folder)
    assert text.count('class="best"') == 1 and 'best 7 at 20.5 kimg' in text
    assert re.findall(r'<tr class=best><th scope="row">(\w+) <b>best</b>', text) == ['20']


def test_tables_of_layers_leave_room_for_ticks(run_folder, capsys):
    """In the format of `Network.print_layers`."""
    rows = f'{"layer":<28}-           (?, 3, 4, 4)            -   \n' * 90
    head = f'{"G":<28}Params      OutputShape             WeightShape             \n'
    table = f'\n{head}---   ---\n{rows}---   ---\nTotal                       123    \n\n'
    (run_folder / 'log.txt').write_text(f'begin\n{table}tick 1\n{table.replace("G  ", "D  ")}end\n')
    assert log_tail(str(run_folder)).split('\n') == [
        'begin', '(layers of G: see log.txt)', 'tick 1', '(layers of D: see log.txt)', 'end']


def test_texts_stay_texts_and_nothing_is_loaded(run_folder):
    text = page(run_folder)
    elements = Elements(text)
    assert EVIL not in text and len(elements.all('script')) == 1
    sources = [
        attributes[name] for _, attributes in elements.found for name in ('src', 'href')
        if name in attributes
    ]
    assert sources and all(source.startswith('data:image/') for source in sources)


@pytest.mark.parametrize('text', [EVIL, '"onload="alert(1)', "</script><b>'", '${script} $name',
                                  'd\u00fcsseldorf \u202e\u4e00'])
def test_hostile_texts_are_inert(run_folder, text):
    """As names of tags, metrics, classes and snapshots: HTML is escaped in elements and attributes.
    """
    harmless = page(run_folder)
    allowed = {name for _, attributes in Elements(harmless).found for name in attributes}
    evil = run_folder.with_name(('008-' + text).replace('/', '-'))
    run_folder.rename(evil)
    (evil / 'stats.jsonl').write_text(''.join(
        json.dumps({'nimg': 1000 * i, f'Loss/{text}': i, f'Same/{text}': 1,
                    f'Metrics/{text}': i}) + '\n' for i in (1, 2)))
    (evil / 'metric-swd-1k.jsonl').write_text(json.dumps({'snapshot': text, text: 1.0}) + '\n')
    (evil / 'rows.txt').write_text(f'row 0: class 0, {text}\n')
    elements = Elements(page(evil))
    assert {name for _, attributes in elements.found for name in attributes} <= allowed | {'title'}
    assert len(elements.all('script')) == 1 and elements.all('b')
    assert Counter(tag for tag, _ in elements.found)['li'] <= 3


def test_a_finished_run_says_so(run_folder):
    (run_folder / '_training-done.txt').touch()
    assert 'Finished' in page(run_folder)


def test_an_empty_folder_has_a_page_too(in_tmp):
    (in_tmp / 'empty').mkdir()
    assert Elements(page(in_tmp / 'empty')).all('img') == []


def test_damaged_files_do_not_matter(run_folder):
    (run_folder / 'fakes000010.png').write_bytes(b'\x89PNG')
    (run_folder / 'environment.json').write_text('[')
    (run_folder / 'stats.jsonl').write_bytes(b'\xff\xfe\n[1]\n{"nimg": 1, "Loss/x": 2}\n')
    (run_folder / 'metric-swd-1k.jsonl').write_text('nonsense\n[]\n')
    assert [image['alt']
            for image in Elements(page(run_folder)).all('img')][:2] == ['0 kimg', '20 kimg']


@pytest.mark.slow
def test_the_page_stays_small_and_is_quickly_made_anew(in_tmp, monkeypatch):
    """500 pictures of a long run: at most 25 are shown, as thumbnails; known ones are not read
    again.
    """
    noise('fakes000000.png', (960, 540))
    for number in range(1, 500):
        os.link('fakes000000.png', f'fakes{number:06d}.png')
    opened = []
    monkeypatch.setattr(pictures_section, 'make_thumbnail', lambda path, **options: opened.append(
        path) or make_thumbnail(path, **options))
    made = Report('.')
    made.write()
    assert 13 <= len(Elements((in_tmp / 'report.html').read_text()).all('img')) == len(
        [path for path in opened if 'fakes' in path]) <= 25
    assert os.path.getsize('report.html') < 8e6  # noise, which no format compresses
    opened.clear()
    os.link('fakes000000.png', 'fakes000500.png')
    made.write()
    assert [path for path in opened if 'fakes' in path] == ['./fakes000500.png']


def test_a_picture_that_is_written_again_is_shown_as_it_is_now(in_tmp):
    """Ticks shorter than a kimg overwrite the same file."""
    made = Report('.')
    shown = []
    for value in (10, 200):
        picture('fakes000000.png', value)
        made.add_thumbnail('fakes000000.png')
        made.write()
        image, = Elements((in_tmp / 'report.html').read_text()).all('img')
        shown.append(image['src'])
    assert shown[0] != shown[1]


def test_which_pictures_are_kept():
    assert thinned_out([]) == [] and thinned_out(['a']) == ['a']
    for count in range(1, 300):
        names = list(range(count))
        kept = thinned_out(names)
        assert kept[0] == 0 and kept[-1] == count - 1 and len(kept) <= 25 and (count < 24
                                                                               or len(kept) >= 13)
        assert len(set(np.diff(kept[:-1]))) <= 1


@pytest.mark.parametrize('size, kind', [((64, 64), 'png'), ((1200, 1000), 'jpeg'),
                                        ((100, 4000), 'png')])
def test_small_copies(in_tmp, size, kind):
    noise('a.png', size)
    data, copied, found = make_thumbnail('a.png')
    assert Image.open(io.BytesIO(data)).size == copied and found == kind and max(
        copied) <= 960 and len(data) < 450_000
    assert copied[0] / copied[1] == pytest.approx(size[0] / size[1], rel=0.05)


def test_a_failure_is_told_once_and_stops_nothing(run_folder, capsys, monkeypatch):
    made = Report(str(run_folder))
    made.refresh()
    before = (run_folder / 'report.html').read_bytes()

    def fails(*arguments, **options):
        raise DataError('the disk is full')
    monkeypatch.setattr(report, 'atomic_write', fails)
    made.refresh()
    made.refresh()
    assert capsys.readouterr().err.count('the disk is full') == 1 and (
        run_folder / 'report.html').read_bytes() == before
    with pytest.raises(DataError):
        made.write()


def test_write_report(run_folder):
    path = write_report(7, config=types.SimpleNamespace(result_dir='results'))
    assert os.path.samefile(path, run_folder / 'report.html')
    with pytest.raises(DataError, match='77'):
        write_report(77, config=types.SimpleNamespace(result_dir='results'))


# ------------------------------------------------------------ numbers

def test_stats_lines(in_tmp, capsys, monkeypatch):
    writer = Statistics('.')
    writer.scalar('a/b', 1.5, 1000)
    writer.scalar('a/c', float('nan'), 1000)
    writer.end_tick(1000)
    writer.scalar('a/b', 2, 2000)
    writer.end_tick(2000)
    first, second = [json.loads(line) for line in open('stats.jsonl')]
    assert abs(first.pop('time') -
               time.time()) < 60 and first == {'nimg': 1000, 'a/b': 1.5, 'a/c': None}
    assert second['nimg'] == 2000 and 'a/c' not in second and stats_file.read('.')[1] == second
    os.unlink('stats.jsonl')
    os.mkdir('stats.jsonl')
    writer.end_tick(3000)
    writer.end_tick(4000)
    assert capsys.readouterr().err.count('no more lines') == 1 and stats_file.read('.') == []
