"""report.html and results/index.html in a browser."""
import re
import types

import numpy as np
import pytest
from PIL import Image

from misc import resuming, run_status
from pgan.scripts.write_report import write_report
from tests.support.browser import browse, in_frames, needs_chromium
from tests.support.page_driver import check_accessible, open_chromium, page_of
from tests.support.report_inputs import EVIL, page, picture


@pytest.mark.slow
@needs_chromium
def test_an_address_with_a_picture_shows_that_one(run_folder, tmp_path):
    """Pixels have the brightness that was saved."""
    page(run_folder)
    shot = tmp_path / 'shot.png'
    browse(tmp_path / 'profile', (run_folder / 'report.html').as_uri() + '#fakes000020',
           '--window-size=800,600', f'--screenshot={shot}')
    pixels = np.asarray(Image.open(shot).convert('RGB')).reshape(-1, 3)
    assert (pixels == 80).all(axis=1).sum() >= 64 * 48  # at its native size or larger


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
    found.newest = one('#caption').textContent;
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
    """The report and the page of all runs: nothing is wider than the window, all controls have
    accessible names, and pictures, curves and filters work.
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
        assert value['newest'] == '40 kimg' and value['chosen'] == '10 kimg'
        assert value['viewed'] == [True, 64, '10 kimg']
        assert (value['once'], value['twice'], value['closed']) == (64, 128, True)
        assert value['turned'] == '0 kimg' and value['faint'] >= 3
        assert re.match(r'38 kimg: Loss/real_scores 19, Loss/fake_scores -19$', value['said'])
        kept = value['kept']
        assert kept['chosen'] == 'fakes000000' and kept['smoothing'] == '0.9' and kept['log']
        assert kept['scroll'] == [0, 120] and kept['open'] == {'options': False, 'constant': False}


@pytest.mark.slow
@needs_chromium
def test_a_page_loads_itself_again_while_the_run_goes_on(run_folder, tmp_path):
    """A reload restores the state of the page; a finished run's page does not reload."""
    folder = str(run_folder)
    resuming.write_run(folder, [], [], {})
    with resuming.only_process(folder):
        run_status.write_status(folder, run_status.RUNNING, 40, 160)
        text = page(run_folder)
    text = re.sub(r'data-seconds="\d+"', 'data-seconds="2"', text)
    # the user's actions after the first load
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


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('width, scheme', [(400, 'dark'), (1400, 'light')])
def test_the_pages_are_accessible(run_folder, width, scheme):
    """The pages of a stopped run and of all runs: names, contrast, keyboard."""
    resuming.write_run(run_folder, [], [], {})
    run_status.write_status(run_folder, run_status.STOPPED, 1, 2, 'SIGINT')
    write_report(str(run_folder), config=types.SimpleNamespace(result_dir='results'))
    with open_chromium() as program:
        for path in (run_folder / 'report.html', run_folder.parent / 'index.html'):
            with page_of(program, path.as_uri(), width, scheme=scheme) as shown:
                check_accessible(shown)
