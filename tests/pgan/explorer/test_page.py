"""The page in headless Chromium: every control is used once, on wide and narrow screens."""
import contextlib
import os
import shlex
import shutil
import threading
import urllib.parse

import numpy as np
import PIL.Image
import pytest

from pgan.explorer import directions, projections
from pgan.explorer.safety import Guard
from pgan.explorer.server import App, bound_socket, make_explorer_server
from pgan.scripts.command_line import parse_args
from tests.support.explorer_inputs import open_session
from tests.support.page_driver import check_accessible, open_chromium, page_of, wait_until

TILES = "[...document.querySelectorAll('.tile img')]"
ALL_DRAWN = f'{TILES}.length > 20 && {TILES}.every(image => image.naturalWidth > 0)'


@contextlib.contextmanager
def served(session, port=None):
    """Serve a session. Yields the address of its page."""
    with bound_socket('127.0.0.1', port, 44000) as sock:
        port = sock.getsockname()[1]
        server = make_explorer_server(App(session, Guard('127.0.0.1', port)), sock)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{port}/'
        server.shutdown()
        thread.join(10)
        server.server_close()
    session.end()


@pytest.fixture(scope='module')
def address(toy_run):
    """Address of a running explorer."""
    session = open_session(toy_run)
    session.warm_up()
    with served(session) as address, pytest.MonkeyPatch.context() as patch:
        patch.setattr(projections, 'STEPS', 10)
        patch.setattr(projections, 'NUM_CANDIDATES', 32)
        patch.setattr(directions, 'SAMPLES', 150)
        yield address


@pytest.fixture(scope='module')
def program():
    with open_chromium() as program:
        yield program


def keep(page, *seeds):
    for seed in seeds:
        page.locator(f'.tile[data-place="{seed}"]').click()


def saved(page, selector, path):
    """Return the file name of the download started by a click, and save it."""
    with page.expect_download() as download:
        page.locator(selector).click()
    download.value.save_as(path)
    return download.value.suggested_filename


def check_layout(page, width):
    """No element is wider than the window, and all controls have accessible names."""
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, a[href], input, select, summary')]"
        ".filter(e => e.checkVisibility() && !(e.getAttribute('aria-label') || e.innerText.trim()"
        " || e.labels?.[0]?.innerText.trim())).map(e => e.outerHTML)")
    assert nameless == []
    check_accessible(page)


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('width, scheme', [(1400, 'light'), (400, 'dark')])
def test_the_wall_and_the_tray(program, address, width, scheme):
    with page_of(program, address, width, scheme=scheme) as page:
        wait_until(page, ALL_DRAWN)
        check_layout(page, width)
        background = page.evaluate('getComputedStyle(document.documentElement).backgroundColor')
        assert (sum(map(int, background[4:-1].split(','))) < 200) == (scheme == 'dark')
        keep(page, 3, 5, 8, 5)
        assert page.locator('.kept').count() == 2
        assert page.locator('.tile[data-place="3"]').get_attribute('aria-pressed') == 'true'
        # endless scrolling
        count = page.locator('.tile').count()
        wait_until(page, "(document.getElementById('wall').scrollTop = 1e6, "
                         "Number(document.querySelector('.tile:last-child span').innerText) > 300)")
        wait_until(page, ALL_DRAWN)
        assert page.locator('.tile').count() < 3 * count  # Tiles scrolled past are removed.
        # seed and class
        page.locator('#seed').fill('4294967290')
        page.keyboard.press('Enter')
        wait_until(page, f"{TILES}.length == 6 && {TILES}.every(image => image.naturalWidth)")
        page.locator('#seed').fill('70')
        page.keyboard.press('Enter')
        page.locator('#class').select_option('<b>bird</b>')
        wait_until(page, ALL_DRAWN)
        assert page.get_by_role('button', name='seed 70, <b>bird</b>', exact=True).count() == 1
        # snapshots and levels of detail
        page.locator('#detail').fill('0')
        wait_until(page, f'{TILES}.every(image => image.naturalWidth == 4)')
        page.locator('#time').fill('0')
        wait_until(page, f"{TILES}.every(image => image.src.includes('snapshot=0'))")
        assert page.locator('#time-value').inner_text() == '100 kimg'
        check_layout(page, width)


@pytest.mark.slow
def test_keys(program, address):
    with page_of(program, address) as page:
        wait_until(page, ALL_DRAWN)
        page.locator('.tile').first.focus()
        for key in ('ArrowRight', 'ArrowRight', 'ArrowDown', 'ArrowLeft', 'Enter'):
            page.keyboard.press(key)
        columns = page.evaluate("[...document.querySelectorAll('.tile')].filter("
                                "t => t.getBoundingClientRect().top == document.querySelector("
                                "'.tile').getBoundingClientRect().top).length")
        assert page.locator('.kept').get_attribute('data-recipe') == str(columns + 1)
        page.keyboard.press('1')
        assert page.locator('#tab-image').is_visible()
        page.keyboard.press('[')
        assert page.locator('#time-value').inner_text() == '200 kimg'
        page.keyboard.press('Escape')
        page.keyboard.press('?')
        assert page.locator('#help').is_visible()
        page.keyboard.press('Escape')
        page.keyboard.press('Delete')
        assert page.locator('.kept').count() == 0 and page.locator('#bench').is_hidden()
        page.keyboard.press('/')
        assert page.evaluate("document.activeElement.id") == 'seed'


@pytest.mark.slow
def test_a_snapshot_that_comes_later_is_shown(program, address, toy_run):
    run = os.path.join(toy_run.result_dir, '003-toy')
    path = os.path.join(run, 'network-snapshot-000300.pkl')
    with page_of(program, address) as page:
        page.clock.install()
        page.reload()
        wait_until(page, ALL_DRAWN)
        assert page.locator('#time').get_attribute('max') == '2'
        shutil.copy(os.path.join(run, 'network-snapshot-000100.pkl'), path)
        try:
            page.clock.fast_forward('00:31')
            wait_until(page, "document.getElementById('time').max == '3'")
            assert '300 kimg' in page.locator('#message').inner_text()
            page.locator('#time').fill('3')
            wait_until(page, f"{TILES}.every(image => image.src.includes('snapshot=3'))")
            assert page.locator('#time-value').inner_text() == '300 kimg'
            page.clock.fast_forward('00:01')
            wait_until(page, "location.hash.includes('at=000300')")
            page.reload()
            wait_until(page, ALL_DRAWN)
            assert page.locator('#time-value').inner_text() == '300 kimg'
        finally:
            os.unlink(path)


@pytest.mark.slow
@pytest.mark.parametrize('name, kimg, expected', [
    ('network-best.pkl', None, ['--snapshot', 'best']),
    ('network-snapshot-000200.pkl', 200, ['--snapshot', '200']), ('network-final.pkl', None, [])])
def test_the_shown_command_draws_the_shown_snapshot(program, address, name, kimg, expected):
    def answer(route):
        about = route.fetch().json()
        about['snapshots'][about['snapshot']] = dict(name=name, kimg=kimg)
        route.fulfill(json=about)
    with page_of(program, 'about:blank') as page:
        page.route('**/about', answer)
        page.goto(f'{address}#kept=3~5&tab=walk')
        wait_until(page, "document.getElementById('walk-command').innerText")
        words = shlex.split(page.locator('#walk-command').inner_text())
        assert words[words.index('--duration_sec') + 2:] == expected


@pytest.mark.slow
@pytest.mark.parametrize('recipe', ['p77', '1:99', 'mix(move(1),2,7.5)'])
def test_an_address_with_an_invalid_image_shows_why(program, address, recipe):
    context = program.new_context()
    page = context.new_page()
    try:
        page.goto(f'{address}#kept={recipe}~1&chosen=0&tab=image')
        wait_until(page, "document.getElementById('message').innerText")
        message = page.locator('#message').inner_text()
        assert message.startswith(('There is no projection 77', 'Expected a')), message
        wait_until(page, ALL_DRAWN)
        assert page.locator('.kept').count() == 2
    finally:
        context.close()


@pytest.mark.slow
def test_another_explorer_at_the_same_address_shows_its_own_images(program, toy_run):
    network = os.path.join(toy_run.result_dir, '003-toy', 'network-snapshot-000100.pkl')
    pixels = """() => {
      const image = document.querySelector('.tile img'), canvas = document.createElement('canvas');
      canvas.getContext('2d').drawImage(image, 0, 0);
      return canvas.toDataURL();
    }"""
    port, seen = None, []
    with contextlib.ExitStack() as stack:
        for run_id in (3, network):
            with served(open_session(toy_run, run_id), port) as address:
                if not seen:
                    page = stack.enter_context(page_of(program, address))
                else:
                    page.goto('about:blank')
                    page.goto(address)
                wait_until(page, ALL_DRAWN)
                seen.append((page.locator('h1').inner_text(), page.evaluate(pixels)))
                port = urllib.parse.urlsplit(address).port
    assert [title for title, _ in seen] == ['003-toy', 'network-snapshot-000100.pkl']
    assert seen[0][1] != seen[1][1]


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('width, scheme', [(400, 'light'), (1400, 'dark')])
def test_the_tools(program, address, tmp_path, width, scheme):
    with page_of(program, f'{address}#kept=3~5~8&chosen=1&tab=image&seconds=1', width,
                 scheme=scheme) as page:
        wait_until(page, "document.getElementById('image-big').naturalWidth == 16")
        check_layout(page, width)
        # the Image tool
        assert saved(page, '#image-png', tmp_path / 'a.png') == 'seed0005.png'
        assert PIL.Image.open(tmp_path / 'a.png').size == (16, 16)
        saved(page, '#image-npy', tmp_path / 'a.npy')
        assert np.load(tmp_path / 'a.npy').shape == (1, 8)
        page.locator('#image-nearest').click()
        wait_until(page, "document.querySelectorAll('.neighbours img').length == 12")
        assert page.locator('.verdict').count() == 2
        if page.get_by_role('button', name='Find directions').count():
            page.get_by_role('button', name='Find directions').click()
        page.locator('#direction-0').fill('2')
        page.locator('#image-keep').click()
        assert page.locator('.kept').last.get_attribute('data-recipe') == 'move(5,0=2)'
        check_layout(page, width)
        # the Walk tool
        page.locator('[data-tab="walk"]').click()
        assert page.locator('#walk-command').is_hidden()  # A moved image is not a seed.
        page.locator('.kept').last.hover()
        box = page.locator('.kept').last.locator('.remove').bounding_box()
        assert max(box['width'], box['height']) <= 24  # a small mark on the image
        page.locator('.kept').last.locator('.remove').click()
        command = page.locator('#walk-command').inner_text()
        assert command.endswith('--seeds 3,5,8 --duration_sec 1')
        assert parse_args(shlex.split(command)[2:]).seeds == ['3,5,8']
        page.keyboard.press('Space')  # plays, although the tool was opened by a click
        wait_until(page, "document.getElementById('walk-big').src.includes('mix')")
        page.locator('#walk-play').click()
        assert saved(page, '#walk-mp4', tmp_path / 'a.mp4') == 'walk.mp4'
        assert (tmp_path / 'a.mp4').read_bytes()[4:8] == b'ftyp'
        check_layout(page, width)
        # the Mix tool
        page.locator('[data-tab="mix"]').click()
        page.locator('#between-share').fill('0.25')
        page.locator('#between-keep').click()
        page.locator('#sum-keep').click()
        assert page.locator('.kept').last.get_attribute('data-recipe') == 'sum(3,5,8)'
        check_layout(page, width)
        # the Picture tool
        page.locator('[data-tab="picture"]').click()
        page.locator('#picture-file').set_input_files(tmp_path / 'a.png')
        wait_until(page, "!document.getElementById('picture-keep').disabled")
        page.locator('#picture-step').fill('2')
        page.locator('#picture-keep').click()
        check_layout(page, width)
        # a second picture, without an image of the first
        held = []
        page.route('**/image?*', lambda route: held.append(route))
        page.locator('#picture-file').set_input_files(tmp_path / 'a.png')
        wait_until(page, "document.getElementById('picture-keep').disabled")
        wait_until(page, "!document.getElementById('picture-keep').disabled")
        assert not page.locator('#picture-result').is_visible()
        for route in held:
            route.continue_()
        page.unroute('**/image?*')
        wait_until(page, "document.getElementById('picture-big').checkVisibility()")
        # The address restores the whole state.
        page.locator('summary').click()
        assert saved(page, '#tray-sheet', tmp_path / 's.png') == 'sheet.png'
        assert PIL.Image.open(tmp_path / 's.png').size == (48, 32)
        wait_until(page, "location.hash.includes('sum(') && location.hash.includes('~p')")
        words = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.url).fragment))
        assert words['kept'].split('~')[:5] == ['3', '5', '8', 'mix(3,5,0.25)', 'sum(3,5,8)']
        page.reload()
        wait_until(page, "document.querySelectorAll('.kept').length == 6")
        assert page.locator('#tab-picture').is_visible()
