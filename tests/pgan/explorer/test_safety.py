"""explorer/safety.py: access control; no request ends the server or reads other files."""
import io
import json
import random
import socket
import threading
import time

import numpy as np
import PIL.Image
import pytest

from pgan.explorer import safety
from pgan.explorer.explore import address_of
from pgan.explorer.safety import Guard, is_loopback
from pgan.explorer.server import App, bound_socket, make_explorer_server
from pgan.explorer.worker import Abandoned
from tests.support.explorer_inputs import PORT, Browser

JSON = dict(content_type='application/json')
BYTES = dict(content_type='application/octet-stream')


# ---------------------------------------------------------------- access

@pytest.mark.parametrize('host, status', [
    (f'127.0.0.1:{PORT}', 200), (f'localhost:{PORT}', 200), (f'LOCALHOST:{PORT}', 200),
    (f'[::1]:{PORT}', 200), (f'evil.example:{PORT}', 403), ('127.0.0.1', 403),
    (f'127.0.0.1:{PORT + 1}', 403), (f'127.0.0.1.evil.example:{PORT}', 403), ('', 403),
    (f'localhost.:{PORT}', 403), (f'127.0.0.1:{PORT}@evil.example', 403),
])
def test_other_names_are_refused(browser, host, status):
    """An attacker's host name may resolve to this machine (DNS rebinding)."""
    for path in ('/', '/about', '/page/main.js', '/image?of=1'):
        response = browser.send(path, environ_overrides={'HTTP_HOST': host})
        assert response.status_code == status


@pytest.mark.parametrize('headers, status', [
    ({}, 200), ({'Origin': f'http://127.0.0.1:{PORT}', 'Sec-Fetch-Site': 'same-origin'}, 200),
    ({'Sec-Fetch-Site': 'none'}, 200), ({'Origin': 'https://evil.example'}, 403),
    ({'Origin': 'null'}, 403), ({'Origin': f'http://127.0.0.1:{PORT + 1}'}, 403),
    ({'Sec-Fetch-Site': 'cross-site'}, 403), ({'Sec-Fetch-Site': 'same-site'}, 403),
    ({'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate'}, 403),
])
def test_other_pages_are_refused(browser, headers, status):
    assert browser.send('/about', headers=headers).status_code == status
    assert browser.send('/directions', 'POST', headers=headers, data=b'[', **JSON).status_code == (
        400 if status == 200 else 403)


def test_a_link_elsewhere_may_lead_to_the_page(browser):
    headers = {'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate'}
    assert browser.send('/', headers=headers).status_code == 200


def test_other_machines_need_the_token(browser):
    guard = Guard('0.0.0.0', PORT)
    other = Browser(browser.session, guard)
    assert len(guard.token) >= 32 and guard.token != Guard('0.0.0.0', PORT).token
    good = f'/{guard.token}'
    assert other.send(f'{good}/', host='192.168.1.5:9').status_code == 200
    assert other.send(f'{good}/about', host='here.example').get_json()['resolution'] == 16
    assert other.send(good).headers['Location'].endswith(f'{good}/')
    for path in ('/', '/about', f'/{guard.token[:-1]}/about', f'/{guard.token}x/about',
                 f'//{guard.token}/about', f'/%00/{guard.token}/about', '/ü/about'):
        assert other.send(path).status_code in (403, 404), path
    origin = {'Origin': 'https://evil.example'}
    assert other.send(f'{good}/about', headers=origin).status_code == 403


def test_addresses():
    assert [is_loopback(host) for host in ('127.0.0.1', '127.8.8.8', '::1', 'localhost')] == 4 * [
        True]
    assert not any(map(is_loopback, ('0.0.0.0', '192.168.1.5', '::', 'localhost.evil', '')))
    assert address_of('127.0.0.1', 80, '') == 'http://127.0.0.1:80/'
    assert address_of('0.0.0.0', 80, 'abc') == 'http://127.0.0.1:80/abc/'
    assert address_of('::', 80, 'abc') == 'http://[::1]:80/abc/'


# ---------------------------------------------------------------- request bodies

@pytest.mark.parametrize('path', [
    '/page/../server.py', '/page/..%2fserver.py', '/page/%2e%2e/server.py', '/page//etc/passwd',
    '/page/..\\server.py', '/../../etc/passwd', '/page/', '/page/main.js/', '/page/main.js%00.png',
    '/tasks/../about', '/tasks/-1', '/tasks/x', '/tasks/99999999999999999999', '/tasks/999',
    '/tasks/999/video', '/tasks/999/target', '/tasks/999/0/0', '/nonesuch', '/image/',
    '/about/x', '/\x00', '/page/explore.py', '/page/__init__.py',
])
def test_no_path_reaches_the_disk(browser, path):
    response = browser.send(path)
    assert response.status_code in (400, 404), (path, response.status_code)
    assert b'def ' not in response.get_data() and b'root:' not in response.get_data()


@pytest.mark.parametrize('query', [
    '', 'of=', 'of=nan', 'of=1&snapshot=-1', 'of=1&snapshot=3', 'of=1&snapshot=999999999',
    'of=1&snapshot=../../x', 'of=1&snapshot=0x1', 'of=1&snapshot=1.0', 'of=1&snapshot=٣',
    'of=1&lod=9', 'of=1&lod=-1', 'of=1&lod=nan', 'of=1&shrink=0', 'of=1&shrink=3',
    'of=1&shrink=32', 'of=1&shrink=1e9', 'of=1:3', 'of=1:99999', 'of=p999', 'of=%ff%fe', 'of=1%00',
    'of=move(1,99=1)', 'of[]=1', 'of=mix(1,2,NaN)', f'of={"9" * 4000}', f'of={"(" * 900}',
])
def test_parameters_that_make_no_sense(browser, query):
    for path in ('/image', '/sheet', '/latents', '/labels'):
        if path in ('/latents', '/labels') and ('snapshot' in query or 'lod' in query or
                                                'shrink' in query):
            continue  # Arrays do not depend on the view.
        response = browser.send(f'{path}?{query}')
        assert response.status_code == 400 and response.get_json()['error'], (path, query)


def test_counts_are_bounded(browser):
    assert browser.send('/sheet?' + '&'.join(['of=1'] * 257)).status_code == 400
    assert browser.send('/latents?' + 'of=1&' * 257).status_code == 400
    assert browser.send('/latents?' + 'of=1&' * 90000).status_code == 414
    many = {'of': ['1'] * 65, 'snapshot': 2, 'seconds': 5, 'loop': True}
    assert browser.send('/videos', 'POST', json=many).status_code == 400


@pytest.mark.parametrize('path', ['/', '/about', '/image?of=1', '/page/main.js', '/directions',
                                  '/projections', '/nearest', '/videos', '/tasks/1'])
@pytest.mark.parametrize('method', ['PUT', 'PATCH', 'OPTIONS', 'TRACE', 'CONNECT', 'BREW'])
def test_wrong_methods(browser, path, method):
    response = browser.send(path, method)
    assert response.status_code in (404, 405) or method == 'OPTIONS' and not response.get_data()


def test_reading_changes_nothing(browser):
    for path in ('/directions', '/projections', '/nearest', '/videos'):
        assert browser.send(path).status_code == 405
    assert browser.send('/about', 'POST', json={}).status_code == 405


@pytest.mark.parametrize('body', [
    b' ', b'{', b'[]', b'3', b'"x"', b'null', b'\xff\xfe', b'[' * 60000, b'{"of": 3}',
    b'{"of": null, "snapshot": 2}', b'{"of": "1", "snapshot": "2"}', b'{"of": "1", "snapshot": 9}',
    b'{"of": "1", "snapshot": -1}', b'{"of": "x", "snapshot": 2}', b'{"of": "1", "snapshot": true}',
    b'{"of": ["1", "2"], "snapshot": 2, "seconds": NaN}',
    b'{"of": ["1", "2"], "snapshot": 2, "seconds": 1e400}',
    b'{"of": ["1", "2"], "snapshot": 2, "seconds": 121}',
    b'{"of": ["1", "2"], "snapshot": 2, "seconds": -1}',
    b'{"of": ["1", "2"], "snapshot": 2, "seconds": true}',
    b'{"of": ["1"], "snapshot": 2, "seconds": 1}', b'{"of": [1, 2], "snapshot": 2, "seconds": 1}',
    b'{"of": [[]], "snapshot": 2, "seconds": 1}',
])
def test_malformed_bodies(browser, body):
    for path in ('/nearest', '/videos'):
        response = browser.send(path, 'POST', data=body, **JSON)
        assert response.status_code == 400 and response.get_json()['error'], (path, body)


def test_bodies_are_bounded_and_of_a_type_that_forms_cannot_send(browser):
    large = b' ' * (safety.MOST_JSON + 1)
    assert browser.send('/videos', 'POST', data=large, **JSON).status_code == 413
    for kind in ('text/plain', 'multipart/form-data', 'application/x-www-form-urlencoded', ''):
        for path in ('/videos', '/projections', '/directions', '/nearest'):
            response = browser.send(path, 'POST', data=b'{}', content_type=kind)
            assert response.status_code == 415, (kind, path)
    assert browser.send('/projections', 'POST', data=b'', **BYTES).status_code == 411
    told = {'CONTENT_LENGTH': str(safety.MOST_UPLOAD + 1)}
    response = browser.send('/projections', 'POST', data=b'x', environ_overrides=told, **BYTES)
    assert response.status_code == 413
    told = {'CONTENT_LENGTH': '500'}
    response = browser.send('/projections', 'POST', data=b'x', environ_overrides=told, **BYTES)
    assert response.status_code == 400


def encoded(size, kind='PNG'):
    file = io.BytesIO()
    PIL.Image.new('1', size).save(file, kind)
    return file.getvalue()


def test_uploads_that_are_no_pictures(browser):
    whole = encoded((400, 300))
    for data in (b' ', b'GIF89a', whole[:45], b'<svg onload="x"/>', np.arange(9).tobytes()):
        response = browser.send('/projections', 'POST', data=data, **BYTES)
        assert response.status_code == 400 and 'picture' in response.get_json()['error']
    bomb = encoded((8000, 7000))
    assert len(bomb) < 20000
    response = browser.send('/projections', 'POST', data=bomb, **BYTES)
    assert response.status_code == 400 and '8000x7000' in response.get_json()['error']
    assert browser.send('/projections?class=3', 'POST', data=whole, **BYTES).status_code == 400
    assert browser.send('/projections?class=x', 'POST', data=whole, **BYTES).status_code == 400


def test_random_requests(browser):
    """The server answers any request with a response that the page can parse, and keeps running."""
    choose = random.Random(0)
    paths = ['/', '/image', '/sheet', '/tasks/1', '/tasks/1/0/0', '/videos', '/nearest', '/page/x']
    pieces = ['of=', '1', 'mix(', ',', ')', '0.5', '&', '=', 'lod', '%', '%zz', 'ß', '\n', '..',
              '/', 'snapshot', '-', 'NaN', '{', '"', '#', '?', ';', 'p1']
    for _ in range(400):
        path = choose.choice(paths) + '?' + ''.join(choose.choices(pieces, k=choose.randrange(9)))
        method = choose.choice(['GET', 'GET', 'POST', 'DELETE', 'HEAD'])
        data = ''.join(choose.choices(pieces, k=5)).encode() if method == 'POST' else None
        response = browser.send(path, method, data=data, **JSON)
        assert response.status_code < 500, (method, path, data, response.get_data())
    assert json.loads(browser.get('/about'))['resolution'] == 16


def test_a_mistake_in_the_program_does_not_end_the_server(browser, monkeypatch, capfd):
    monkeypatch.setattr(browser.session, 'about', lambda: 1 // 0)
    response = browser.send('/about')
    assert response.status_code == 500 and 'ZeroDivisionError' in capfd.readouterr().err
    monkeypatch.undo()
    assert browser.send('/about').status_code == 200


# ---------------------------------------------------------------- the socket

def test_ports(browser):
    with bound_socket('127.0.0.1', None, 41000) as first:
        with bound_socket('127.0.0.1', None, first.getsockname()[1]) as second:
            assert second.getsockname()[1] > first.getsockname()[1]
        with pytest.raises(ValueError, match='--port'):
            bound_socket('127.0.0.1', first.getsockname()[1], 0)
    with pytest.raises(ValueError, match='train.host'):
        bound_socket('192.0.2.7', None, 41000)


@pytest.fixture
def port(browser):
    """Port of a running server."""
    with bound_socket('127.0.0.1', None, 42000) as sock:
        port = sock.getsockname()[1]
        app = App(browser.session, Guard('127.0.0.1', port))
        server = make_explorer_server(app, sock)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield port
        server.shutdown()
        thread.join(10)
        server.server_close()


def request_of(port, path):
    return f'GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n'.encode()


def test_garbage_does_not_end_the_server(port):
    for garbage in (b'\x00\xff\r\n\r\n', b'GET\r\n\r\n', b'GET / HTTP/9.9\r\n\r\n', b'',
                    b'POST /videos HTTP/1.1\r\nContent-Length: -1\r\n\r\n',
                    b'GET /' + b'a' * 70000 + b' HTTP/1.1\r\n\r\n'):
        with socket.create_connection(('127.0.0.1', port)) as client:
            client.sendall(garbage)
    with socket.create_connection(('127.0.0.1', port)) as client:
        client.sendall(request_of(port, '/image?of=5'))
        with client.makefile('rb') as file:
            answer = file.read()
    assert answer.split()[1] == b'200' and b'\x89PNG' in answer and b'Werkzeug' not in answer


def test_an_image_whose_connection_is_closed_is_given_up(port, browser, monkeypatch):
    """Close a connection as a browser does when an image is scrolled out of view."""
    asked, answers = threading.Event(), []

    def image(*args, wanted, **options):
        answers.append(wanted())
        asked.set()
        deadline = time.monotonic() + 10
        while wanted() and time.monotonic() < deadline:
            time.sleep(0.01)
        answers.append(wanted())
        asked.set()
        raise Abandoned
    monkeypatch.setattr(browser.session.worker, 'image', image)
    with socket.create_connection(('127.0.0.1', port)) as client:
        client.sendall(request_of(port, '/image?of=987654'))
        assert asked.wait(10)
        asked.clear()
    assert asked.wait(15) and answers == [True, False]
