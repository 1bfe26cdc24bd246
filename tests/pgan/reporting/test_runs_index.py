"""pgan/reporting/runs_index.py: the page of all runs, for synthetic folders."""
import html
import json
import os
import re
import shlex
import threading
import time

import pytest
from PIL import Image

import misc
from misc import resuming, run_status
from pgan.reporting import runs_index
from pgan.reporting.runs_index import FILE, RunsIndex
from tests.support.report_inputs import EVIL, Elements

STOPPED = 'results/001-stopped'


def run(name, state=run_status.STOPPED, kimg=5.0, total_kimg=20, reason='SIGINT', **values):
    """Create the parts of a run's folder that the page reads."""
    folder = os.path.join('results', name)
    os.makedirs(folder)
    Image.new('RGB', (48, 32), (200, 0, 0)).save(os.path.join(folder, 'fakes000005.png'))
    misc.write_config(folder, {'dataset': {'tfrecord_dir': 'flowers', **values}, 'train': {}})
    resuming.write_run(folder, [], [], {})
    run_status.write_status(folder, state, kimg, total_kimg, reason)
    if state == run_status.FINISHED:
        for file in ('_training-done.txt', 'network-final.pkl'):
            open(os.path.join(folder, file), 'w').close()
    with open(os.path.join(folder, 'report.html'), 'w') as file:
        file.write('a report')
    return folder


def written(**options):
    RunsIndex('results').write(**options)
    with open(os.path.join('results', FILE)) as file:
        return file.read()


def rows_of(text):
    """{folder name: {column: text}} of a page's rows, and the state of each."""
    found = {}
    for state, cells in re.findall(r'<tr data-state="(\w+)">(.*?)</tr>', text, re.DOTALL):
        columns = dict(re.findall(r'<td class="(\w+)" data-sort=".*?">(.*?)</td>', cells))
        texts = {name: html.unescape(re.sub('<.*?>', ' ', cell)).strip()
                 for name, cell in columns.items()}
        found[texts['name']] = {**texts, 'row state': state}
    return found


@pytest.fixture
def results(in_tmp):
    """Runs in all states, a folder of a script, a folder just created by a run, and a cache."""
    run('000-done', run_status.FINISHED, 20.0)
    run('001-stopped')
    run('002-failed', run_status.FAILED, reason='The disk is full.')
    run('003-killed', run_status.RUNNING, reason='')
    for name in ('004-fake-images-1', '_inception', 'networks'):
        os.mkdir(os.path.join('results', name))
    Image.new('RGB', (64, 64)).save('results/004-fake-images-1/a.png')
    return in_tmp / 'results'


def test_what_is_shown_of_each_run(results):
    folder = run('005-going on', run_status.RUNNING, 10.0, reason='')
    run_status.write_status(folder, run_status.RUNNING, 10.0, 20, seconds_left=125)
    with resuming.only_process(folder):
        text = written()
    rows = rows_of(text)
    assert {name: row['row state'] for name, row in rows.items()} == {
        '000-done': 'finished', '001-stopped': 'stopped', '002-failed': 'failed',
        '003-killed': 'stopped', '004-fake-images-1': 'script', '005-going on': 'running'}
    assert 'The disk is full.' in rows['002-failed']['state']
    assert 'killed' in rows['003-killed']['state']
    assert 'about 2m 05s left' in rows['005-going on']['state']
    assert rows['005-going on']['kimg'].startswith('10.0 of 20') and 'id="refresh"' in text
    assert {row['dataset'] for row in rows.values()} == {'flowers', ''}
    for name in ('001-stopped', '002-failed', '003-killed'):
        assert f'train.py --resume results/{name}' in rows[name]['command']
    assert 'generate_fake_images' in rows['000-done']['command']
    assert rows['005-going on']['command'] == rows['004-fake-images-1']['command'] == ''
    links = [link['href'] for link in Elements(text).all('a')]
    assert './005-going%20on/report.html' in links and './004-fake-images-1/' in links
    assert len(Elements(text).all('img')) == 6
    # Output of scripts is hidden by default.
    checked = {box['value'] for box in Elements(text).all('input')
               if box.get('name') == 'state' and 'checked' in box}
    assert checked == {'finished', 'stopped', 'failed', 'running'}


def test_a_running_run_can_be_explored_from_its_first_snapshot_on(results):
    folder = run('005-going on', run_status.RUNNING, 10.0, reason='')
    with resuming.only_process(folder):
        assert rows_of(written())['005-going on']['command'] == ''
        (results / '005-going on' / 'network-snapshot-000010.pkl').touch()
        typed = rows_of(written())['005-going on']['command'].removesuffix('Copy').strip()
    assert 'util_scripts.py explore' in typed
    assert shlex.split(typed)[-2:] == ['--run_id', 'results/005-going on']


def test_a_run_that_cannot_be_continued_can_still_draw(results):
    os.mkdir('results/006-old')
    (results / '006-old' / 'network-final.pkl').touch()
    assert 'generate_fake_images' in rows_of(written())['006-old']['command']


def test_the_best_metric(results):
    best = dict(metric='FID', higher_is_better=False, num_images=9, kimg=5, sha256='', before=None)
    for value, expected in ((12.3456, 'FID 12.35'), (float('nan'), ''), ('x', '')):
        with open('results/000-done/network-best.json', 'w') as file:
            json.dump(dict(best, value=value), file)
        assert rows_of(written())['000-done']['metric'] == expected


@pytest.mark.parametrize('text', [
    EVIL, '"onload="alert(1)', "'><b>x", '${script}', 'd\u00fc\u4e00 \u202e', '-rf ~', '\udce9'])
def test_hostile_names_are_inert(in_tmp, text):
    name = f'000-{text}'.replace('/', '-')
    folder = run(name, run_status.FAILED, reason=text, note=text)
    misc.write_config(folder, {'dataset': {'tfrecord_dir': text}})
    (in_tmp / 'results' / name / 'network-best.json').write_text(json.dumps(
        dict(metric=text, higher_is_better=True, num_images=1, kimg=1, value=1, sha256='')))
    for _ in range(2):  # also if it is taken from the page
        elements = Elements(written())
        assert len(elements.all('script')) == 2 and not elements.all('b')
        attributes = {name for _, attributes in elements.found for name in attributes}
        assert not {name for name in attributes if name.startswith('on')}
        assert len(rows_of(written())) == 1


def test_damage_is_shown_and_stops_nothing(results, monkeypatch, capsys):
    for name in ('000-done', '001-stopped', '002-failed'):
        path = results / name
        (path / 'config.txt').write_bytes(b'\xff dataset = [')
        (path / 'fakes000005.png').write_bytes(b'\x89PNG')
        (path / 'network-best.json').write_text('[' * 100_000)
        (path / 'checkpoints' / 'status.json').write_text(
            '{"state": "failed", "time": 1e300, "kimg": NaN, "total_kimg": Infinity, '
            '"reason": [1]}')
    assert len(rows_of(written())) == 5
    real = runs_index.read_status
    monkeypatch.setattr(runs_index, 'read_status', lambda folder: 1 / 0 if '003' in str(
        folder) else real(folder))
    row = rows_of(written())['003-killed']
    assert row['row state'] == 'unreadable' and 'division by zero' in row['state']
    (results / FILE).unlink()
    (results / FILE).mkdir()
    index = RunsIndex('results')
    index.refresh()
    index.refresh(STOPPED)
    assert capsys.readouterr().err.count('is not up to date') == 1
    RunsIndex('nowhere').refresh()
    assert capsys.readouterr().err == '' and not os.path.exists('nowhere')


@pytest.mark.parametrize('damage', [
    lambda text: text[:len(text) // 2], lambda text: text.replace('"name"', '"nome"'),
    lambda text: text.replace('"kimg": 5.0', '"kimg": "5"'),
    lambda text: re.sub('data:image/png;base64,', 'javascript:', text),
    lambda text: re.sub(r'(id="runs">).*?</script>', r'\1[1, null, {}]</script>', text)])
def test_a_damaged_page_is_made_again(results, damage):
    before = written()
    (results / FILE).write_text(damage(before))
    after = written()
    assert rows_of(after) == rows_of(before) and 'javascript:' not in after


def test_the_page_of_another_program_is_left_alone(results, capsys):
    (results / FILE).write_text('<title>mine</title>')
    RunsIndex('results').refresh()
    assert (results / FILE).read_text() == '<title>mine</title>'
    assert 'made by another program. Move it away' in capsys.readouterr().err


def test_pictures_are_read_once(results, monkeypatch):
    made = []
    real = runs_index.make_thumbnail
    monkeypatch.setattr(runs_index, 'make_thumbnail', lambda path, **options: made.append(
        path) or real(path, **options))
    first = written()
    assert len(made) == 5
    made.clear()
    assert rows_of(written()) == rows_of(first) and made == []
    Image.new('RGB', (48, 32), (0, 0, 200)).save(os.path.join(STOPPED, 'fakes000006.png'))
    second = written()
    assert made == [os.path.join(STOPPED, 'fakes000006.png')] and second != first


def test_without_time_only_the_own_run_is_read(results, monkeypatch):
    """Entries are then read again, the oldest first."""
    read = []
    real = runs_index.read_entry
    monkeypatch.setattr(runs_index, 'read_entry', lambda result_dir, name, before: read.append(
        name) or real(result_dir, name, before))
    assert len(rows_of(written(folder=STOPPED, seconds=0))) == 6  # with 'networks', as yet unread
    assert read == ['001-stopped']
    read.clear()
    assert len(rows_of(written(seconds=60))) == 5 and read[-1] == '001-stopped' and len(read) == 6


def test_hundreds_of_runs_take_a_bounded_time(in_tmp):
    folder = run('000-first')
    for number in range(1, 300):
        os.makedirs(f'results/{number:03d}-run')
        for name in ('fakes000005.png', 'config.txt', 'report.html'):
            os.link(f'{folder}/{name}', f'results/{number:03d}-run/{name}')
    index = RunsIndex('results')
    times = []
    for _ in range(6):
        start = time.perf_counter()
        index.refresh(folder)
        times.append(time.perf_counter() - start)
    assert max(times) < 3 * runs_index.SECONDS + 1
    assert os.path.getsize(f'results/{FILE}') < 1e6
    with open(f'results/{FILE}') as file:
        assert len(rows_of(file.read())) == 300


def test_ticks_refresh_it_now_and_then(results, monkeypatch):
    index, counted = RunsIndex('results'), []
    monkeypatch.setattr(index, 'write', lambda *arguments, **options: counted.append(arguments))
    now = [100.0]
    monkeypatch.setattr(runs_index.time, 'monotonic', lambda: now[0])
    for _ in range(50):
        index.tick(STOPPED)
        now[0] += 1.0
    assert len(counted) == 5


def test_two_writers_at_once(results):
    """Every page is complete, and no run is lost."""
    pages = []

    def write():
        for _ in range(10):
            RunsIndex('results').refresh(STOPPED)
            pages.append((results / FILE).read_text())
    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(rows_of(page)) == 5 and page.endswith('</html>\n') for page in pages)
    assert not [path for path in os.listdir('results') if path.endswith('.tmp')]
