"""training/report.py and charts.py: report.html of folders made by hand, as text and in a
browser.
"""
import base64
import html
import html.parser
import io
import json
import os
import re
import shlex
import time
import types
from collections import Counter

import numpy as np
import pytest
from PIL import Image

import misc
from metrics import Judge
from misc import resuming, run_files, run_status
from pgan.errors import DataError
from pgan.invocation import command, path_argument
from pgan.reporting import pictures_section, report, stats_file
from pgan.reporting.best_snapshot import BestSnapshot
from pgan.reporting.charts import chart, thin, ticks
from pgan.reporting.image_grids import GRID_SIZES, page_view, snapshot_grid_size
from pgan.reporting.log_section import log_tail
from pgan.reporting.pictures_section import thinned_out
from pgan.reporting.report import Report
from pgan.reporting.statistics import Statistics
from pgan.reporting.thumbnails import make_thumbnail
from pgan.scripts.write_report import write_report
from pgan.signals import Stopped
from tests.support.browser import browse, dom, in_frames, needs_chromium
from tests.support.page_driver import check_accessible, open_chromium, page_of

EVIL = '<script>document.title = "caught"</script>'


def picture(path, value, size=(64, 48)):
    Image.new('RGB', size, (value, value, value)).save(path)


def noise(path, size):
    Image.fromarray(
        np.random.RandomState(0).randint(0, 256, [size[1], size[0], 3], dtype=np.uint8)).save(path)


@pytest.fixture
def run_folder(in_tmp):
    """A run of five pictures, twenty ticks and two measurements, whose texts try to get out of
    their places.
    """
    folder = in_tmp / 'results' / '007-toy & co'
    folder.mkdir(parents=True)
    for number in range(5):
        picture(folder / f'fakes{number * 10:06d}.png', 40 * number)
    picture(folder / 'reals.png', 255)
    misc.write_config(folder, {'desc': EVIL, 'random_seed': 5})
    misc.write_environment(str(folder), random_seed=5)
    with open(folder / 'log.txt', 'w') as file:
        file.write('\n'.join(f'line {i}' for i in range(1000)) + f'\n{EVIL}\n')
    with open(folder / 'stats.jsonl', 'w') as file:
        for i in range(1, 21):
            row = {
                'Progress/kimg': i * 2.0, 'Progress/lod': 3 - i / 10, 'Loss/real_scores': i,
                'Loss/fake_scores': None if i == 5 else -i, 'Mine/thing': i * i,
                'TrainG/overflow_frequency': 0.0
            }
            file.write(json.dumps({'nimg': i * 2000, 'time': 0, **row}) + '\n')
        file.write('{"cut short')
    with open(folder / 'metric-swd-1k.jsonl', 'w') as file:
        for row in ({'snapshot': 'Reals',
                     'SWD': 1.5}, {'snapshot': '10',
                                   'SWD': 9.0}, {'snapshot': '20',
                                                 'SWD': 7.0}, {'snapshot': '10', 'SWD': 8.25}):
            file.write(json.dumps({**row, 'seconds': 1}) + '\n')
    return folder


def page(folder):
    Report(str(folder)).write()
    return (folder / 'report.html').read_text()


class Elements(html.parser.HTMLParser):
    """All elements of a page: [(name, attributes)], and that each is closed."""
    WITHOUT_END = {'meta', 'img', 'input', 'line', 'circle', 'polyline'}

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.WITHOUT_END:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, name):
        return [attributes for tag, attributes in self.found if tag == name]


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
    # what is zero throughout has no chart
    assert titles == ['SWD', 'Scores', 'lod', 'Mine/thing']
    # the last measurement of a snapshot counts
    assert 'Curves' in text and '1 that have not changed' in text
    assert '<td>8.25</td>' in text and '<td>9</td>' not in text and 'Reals 1.5' in text
    assert 'random_seed = 5' in text and 'tensorflow' in text and '007-toy &amp; co' in text
    assert 'Stopped without a message' in text  # no process holds its lock
    assert 'line 999' in text and 'line 900' not in text


def test_rows_of_classes_are_named(run_folder):
    """Beside fakes and reals; a class that comes again is shown once."""
    names = lambda: [html.unescape(name) for name in
                     re.findall(r'<li title=".*?"><span>(.*?)</span>', page(run_folder))]
    assert names() == []
    for number in range(5):  # 3 x 3 images of 16
        picture(run_folder / f'fakes{number * 10:06d}.png', 40 * number, (48, 48))
    picture(run_folder / 'reals.png', 255, (48, 48))
    rows = f'row 0: class 0, a, b\nrow 1: class 1, {EVIL}\n'
    (run_folder / 'rows.txt').write_text(rows + 'row 2: class 0, a, b\n')
    assert names() == ['a, b', EVIL] * 2
    assert EVIL not in page(run_folder)
    image = Elements(page(run_folder)).all('img')[0]
    assert (image['width'], image['height']) == ('48', '32') and 'width:192px' in image['style']
    # names that do not fit the grid are left out
    (run_folder / 'rows.txt').write_text(''.join(f'row {i}: class {i}, a\n' for i in range(7)))
    assert names() == []


def test_small_images_are_shown_large_enough():
    """Of 64 pixels or more on the screen, and a part of the grid that fits into a page."""
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
    """As a network prints them."""
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
    """As the name of a tag, a metric, a class, a snapshot: neither elements nor attributes."""
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
@needs_chromium
def test_in_a_browser(run_folder, tmp_path):
    """The last picture shows; an address with a picture's name shows that one; each is drawn as
    bright as it was saved.
    """
    page(run_folder)
    address = f'file://{run_folder}/report.html'.replace(' ', '%20')
    last = dom(tmp_path / 'profile', address)
    assert '<output id="caption" for="when">40 kimg</output>' in last and 'caught' not in re.search(
        '<title>.*?</title>', last)[0]
    assert re.findall(r'<img id="(\w+)"[^>]*hidden=""',
                      last) == [f'fakes{number:06d}' for number in (0, 10, 20, 30)]
    second = dom(tmp_path / 'profile', address + '#fakes000010')
    assert '<output id="caption" for="when">10 kimg</output>' in second
    assert 'hidden' not in re.search(r'<img id="fakes000010"[^>]*>', second)[0]
    shot = tmp_path / 'shot.png'
    browse(tmp_path / 'profile', address + '#fakes000020', '--window-size=800,600',
           f'--screenshot={shot}')
    pixels = np.asarray(Image.open(shot).convert('RGB')).reshape(-1, 3)
    assert (pixels == 80).all(axis=1).sum() >= 64 * 48  # the picture in its own size


IN_PAGES = '''
    const one = selector => document.querySelector(selector);
    const wait = seconds => new Promise(done => setTimeout(done, 1000 * seconds));
    const key = (target, key) => target.dispatchEvent(
        new window.KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
    const style = window.getComputedStyle(document.body);
    const found = {paper: style.backgroundColor, text: style.color, title: document.title,
                   over: document.documentElement.scrollWidth - window.innerWidth};
    const all = [...document.querySelectorAll('button, input, select, svg, img, progress')];
    found.nameless = all.filter(item => !(item.labels && item.labels.length) && !item.textContent
        && !item.ariaLabel && !item.alt && !item.closest('[aria-hidden=true], [tabindex="-1"]')
        && !item.closest('dialog')).map(item => item.outerHTML.slice(0, 200));
    const visible = () => [...document.querySelectorAll('tbody tr')]
        .filter(row => !row.hidden && row.dataset.state)
        .map(row => row.querySelector('.name').textContent);
    if (one('#filters')) {
        found.first = visible();
        one('#sort').value = 'name';
        one('#sort').dispatchEvent(new window.Event('change'));
        found.byName = visible();
        one('#text').value = 'FAIL';
        one('#filters').dispatchEvent(new window.Event('input'));
        found.filtered = [visible(), one('#count').textContent];
        found.pictures = [...document.querySelectorAll('td.picture img')]
            .map(img => img.naturalWidth);
        return found;
    }
    const boxes = [...document.querySelectorAll('.pair figure')]
        .map(box => box.getBoundingClientRect());
    found.beside = boxes[0].top === boxes[1].top;
    found.folded = Boolean(one('.pair').closest('details'));
    found.shown = one('#reals').getBoundingClientRect().width;
    one('#when').value = 1;
    one('#when').dispatchEvent(new window.Event('input'));
    found.chosen = one('#caption').textContent;
    const chart = one('#curves svg');
    key(chart, 'ArrowLeft');
    key(chart, 'ArrowLeft');
    found.said = one('#said').textContent;
    one('#smoothing').value = 0.9;
    one('#log').checked = true;
    one('#smoothing').dispatchEvent(new window.Event('input'));
    found.faint = document.querySelectorAll('.faint').length;
    one('.open').click();
    await wait(0.5);
    found.viewed = [one('#viewer').open, one('#viewed').naturalWidth, one('#viewed').alt];
    const before = one('#viewed').clientWidth;
    key(one('#canvas'), '1');
    found.once = one('#viewed').clientWidth;
    key(one('#canvas'), '+');
    found.twice = one('#viewed').clientWidth;
    key(one('#canvas'), 'PageUp');
    await wait(0.5);
    found.turned = one('#viewed').alt;
    one('#close').click();
    found.closed = !one('#viewer').open;
    window.scrollTo(0, 120);
    window.dispatchEvent(new window.Event('pagehide'));
    found.kept = JSON.parse(window.sessionStorage.getItem('pgan ' + window.location.pathname));
    return found;
'''


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize('options, paper', [((), 'rgb(255, 255, 255)'), (
    ('--blink-settings=preferredColorScheme=0',), 'rgb(22, 23, 26)')], ids=['light', 'dark'])
def test_what_the_pages_do_at_both_widths(run_folder, tmp_path, options, paper):
    """The report and the page of all runs: nothing is wider than the window, everything that can be
    pressed has a name, and pictures, curves and filters do what they say.
    """
    failed = run_folder.with_name(f'008-{EVIL}'.replace('/', '-'))
    resuming.write_run(failed, [], [], {})
    picture(failed / 'fakes000001.png', 90)
    run_status.write_status(failed, run_status.FAILED, 1, 2, EVIL)
    write_report(str(run_folder), config=types.SimpleNamespace(result_dir='results'))
    pages = [run_folder / 'report.html', run_folder.parent / 'index.html']
    found = in_frames(tmp_path, pages, IN_PAGES, *options)
    assert not [value for value in found.values() if isinstance(value, str)], found
    for (name, width), value in found.items():
        assert (value['paper'], value['over'], value['nameless']) == (paper, 0, []), (name, width)
        assert 'caught' not in value['title'] and value['text'] != paper
        if name == 'index.html':
            assert sorted(value['first']) == value['byName'] == [run_folder.name, failed.name]
            assert value['filtered'] == [[failed.name], '1 of 2'] and value['pictures'] == [64, 64]
            continue
        assert value['beside'] == (width > 1000) and not value['folded'] and value['shown'] >= 256
        assert value['chosen'] == '10 kimg' and value['viewed'] == [True, 64, '10 kimg']
        assert (value['once'], value['twice'], value['closed']) == (64, 128, True)
        assert value['turned'] == '0 kimg' and value['faint'] >= 3
        assert re.match(r'38 kimg: Loss/real_scores 19, Loss/fake_scores -19$', value['said'])
        kept = value['kept']
        assert kept['chosen'] == 'fakes000000' and kept['smoothing'] == '0.9' and kept['log']
        assert kept['scroll'] == [0, 120] and kept['open'] == {'options': False, 'constant': False}


@pytest.mark.slow
@pytest.mark.parametrize('width, scheme', [(400, 'dark'), (1400, 'light')])
@pytest.mark.first(1, rest='exhaustive')
def test_the_pages_are_accessible(run_folder, width, scheme):
    """Of a run that was stopped, and of all runs: with names, contrast, keyboard."""
    resuming.write_run(run_folder, [], [], {})
    run_status.write_status(run_folder, run_status.STOPPED, 1, 2, 'SIGINT')
    write_report(str(run_folder), config=types.SimpleNamespace(result_dir='results'))
    with open_chromium() as program:
        for path in (run_folder / 'report.html', run_folder.parent / 'index.html'):
            with page_of(program, path.as_uri(), width, scheme=scheme) as page:
                check_accessible(page)


@pytest.mark.slow
@needs_chromium
def test_a_page_loads_itself_again_while_the_run_goes_on(run_folder, tmp_path):
    """And shows what it has shown before; a finished run's page stays as it is."""
    folder = str(run_folder)
    resuming.write_run(folder, [], [], {})
    with resuming.only_process(folder):
        run_status.write_status(folder, run_status.RUNNING, 40, 160)
        text = page(run_folder)
    text = re.sub(r'data-seconds="\d+"', 'data-seconds="2"', text)
    # what somebody does in the page, the first time that it is loaded
    act = '''<script>
        const loads = +(sessionStorage.loads || 0) + 1;
        sessionStorage.loads = loads;
        const caption = find('#caption').textContent;
        document.title = `${loads} loads, ${caption}, ${find('#options').open}`;
        if (loads === 1) { choose(2); find('#options').open = true; }
        if (loads === 3) { find('#refresh').checked = false; }
    </script></body>'''
    (run_folder / 'report.html').write_text(text.replace('</body>', act))
    done, errors = browse(tmp_path / 'profile', (run_folder / 'report.html').as_uri(),
                          '--dump-dom', '--virtual-time-budget=20000')
    assert 'Uncaught' not in errors, errors
    assert '<title>3 loads, 20 kimg, true</title>' in done


@pytest.mark.slow
def test_the_page_stays_small_and_is_quickly_made_anew(in_tmp, monkeypatch):
    """500 pictures of a long run: at most 25 are kept, in small copies; those of the last time are
    not read again.
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
    assert os.path.getsize('report.html') < 8e6  # of noise, which no format makes smaller
    opened.clear()
    os.link('fakes000000.png', 'fakes000500.png')
    made.write()
    assert [path for path in opened if 'fakes' in path] == ['./fakes000500.png']


def test_a_picture_that_is_written_again_is_shown_as_it_is_now(in_tmp):
    """Ticks of less than a kimg write the same file."""
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


# ------------------------------------------------------------ curves

def test_a_curve_goes_where_its_points_are():
    svg = chart('t', {'a': [(0, 0.0), (10, 1.0)]})
    (x0, y0), (x1, y1) = [
        tuple(map(float, point.split(',')))
        for point in re.search(r'points="([^"]*)"', svg)[1].split()
    ]
    assert x0 < x1 and y0 > y1  # SVG counts downwards
    zero, one = (float(re.search(rf'y="([\d.]+)" class="y">{text}<', svg)[1]) - 4
                 for text in ('0', '1'))
    assert (y0, y1) == (pytest.approx(zero, abs=0.2), pytest.approx(one, abs=0.2))


def test_gaps_levels_and_nothing_to_draw():
    assert chart('t', {'a': [(0, None), (1, float('nan'))]}) == ''
    svg = chart('<t>', {'a<b': [(0, 1.0), (1, 2.0), (2, None), (3, 1.0), (4, 5.0)]}, {'Reals': 9.0})
    assert svg.count('<polyline') == 2
    for text in ('class="level"', '&lt;t&gt;', 'a&lt;b', 'Reals 9'):
        assert text in svg
    assert chart('t', {'a': [(3, 5.0)]}).count('<circle') == 1  # a single value


def test_long_curves_are_thinned_to_means():
    points = thin([(i, i % 2) for i in range(10_000)])
    assert len(points) == 300 and all(abs(y - 0.5) < 0.02
                                      for _, y in points) and points[-1][0] > 9900


@pytest.mark.parametrize('low, high', [(0, 1), (-3, 3.5), (1e-9, 3e-9), (1e6, 1e6 + 10),
                                       (-1e12, 1e12)])
def test_ticks_are_round_and_few(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 8 and all(low <= value <= high * (1 + 1e-9) + 1e-12
                                        for value in found)


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


# ------------------------------------------------------------ what has become of the run

def status_of(folder):
    """The status line of a page that write_report makes, and the command below it, if any."""
    write_report(str(folder), config=types.SimpleNamespace(result_dir='results'))
    text = html.unescape((folder / 'report.html').read_text())
    assert 'Page last updated: ' in text
    said = re.search(r'<p class="status">(.*?)</p>(?:<pre>(.*?)</pre>)?', text, re.DOTALL)
    return said[1], said[2]


def test_what_has_become_of_a_run(run_folder):
    """As its page says, whoever writes it, and whenever."""
    folder = str(run_folder)
    resume = command('train.py', '--resume', path_argument(folder))
    assert os.path.samefile(shlex.split(resume)[-1], folder)
    assert status_of(run_folder)[1] is None  # an older version left nothing to go on from
    resuming.write_run(folder, [], [], {})
    with resuming.only_process(folder):
        run_status.write_status(folder, run_status.RUNNING, 0, 99)
        said, then = status_of(run_folder)
        assert said.startswith('In training, at 40.0 of 99 kimg')
        assert then == command('util_scripts.py', 'write_report', '--run_id',
                               path_argument(folder))
    said, then = status_of(run_folder)  # SIGKILL
    assert said.startswith('Stopped without a message') and '40.0 of 99 kimg' in said
    assert then == resume
    for error, expected in (
            (Stopped(143), 'Stopped by SIGTERM on '), (KeyboardInterrupt(), 'Stopped by SIGINT on'),
            (DataError('<the> disk is full.'), ': <the> disk is full. Continue when that is fixed'),
            (ValueError('bad\nvalue'), ': ValueError: bad value. Continue')):
        run_status.write_status(folder, *flat(run_status.end_of(error), 41.25, 99))
        said, then = status_of(run_folder)
        assert expected in said and 'at 41.2 of 99 kimg' in said and then == resume


def flat(state_and_reason, kimg, total_kimg):
    state, reason = state_and_reason
    return state, kimg, total_kimg, reason


def test_a_run_is_finished_when_it_was_finished(run_folder):
    """Not when the page was written; its own note counts for more than a time that copying sets."""
    mark = run_folder / run_files.DONE_MARK
    mark.touch()
    os.utime(mark, (10**9, 10**9))
    expected = time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(10**9))
    said, then = status_of(run_folder)
    assert (said, then) == (f'Finished on {expected}, at 40.0 kimg.', None)
    run_status.write_status(run_folder, run_status.FINISHED, 40, 40)
    assert f'Finished on {time.strftime("%Y-")}' in status_of(run_folder)[0]
    mark.unlink()  # killed while the last files were written
    assert 'Stopped without a message' in status_of(run_folder)[0]


@pytest.mark.parametrize('content', ['', '[]', '{"state": 3}', '{"state": "stopped", "kimg": "x"}',
                                     '{"state": "failed", "time": null, "reason": null}'])
def test_a_damaged_note_of_the_status(run_folder, content):
    path = run_folder / 'checkpoints' / run_status.FILE
    path.parent.mkdir()
    path.write_text(content)
    assert status_of(run_folder)[0].startswith('Stopped without a message')
