"""The explorer's web server: routes, requests and responses."""
import contextlib
import errno
import io
import json
import math
import os
import re
import select
import socket
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from pgan.data.writer import npy_bytes
from pgan.errors import ConfigError, UserError, in_short, memory_error
from pgan.explorer import neighbours, safety
from pgan.explorer.pages import Pages
from pgan.explorer.safety import Guard, Refused, read_body, secured
from pgan.explorer.session import Session, png_bytes
from pgan.explorer.tasks import TooMany
from pgan.explorer.worker import Abandoned, Busy, View
from pgan.files import to_json

MOST_REQUESTS = 64  # concurrent requests
IDLE = 30  # timeout for receiving a request, in seconds
_FOREVER = 'private, max-age=86400, immutable'

_ROUTES = Map([
    Rule('/', endpoint='index', methods=['GET']),
    Rule('/page/<name>', endpoint='page', methods=['GET']),
    Rule('/about', endpoint='about', methods=['GET']),
    Rule('/image', endpoint='image', methods=['GET']),
    Rule('/sheet', endpoint='sheet', methods=['GET']),
    Rule('/latents', endpoint='latents', methods=['GET']),
    Rule('/labels', endpoint='labels', methods=['GET']),
    Rule('/directions', endpoint='directions', methods=['POST']),
    Rule('/projections', endpoint='projections', methods=['POST']),
    Rule('/nearest', endpoint='nearest', methods=['POST']),
    Rule('/videos', endpoint='videos', methods=['POST']),
    Rule('/tasks/<int(max=999999999):number>', endpoint='task', methods=['GET', 'DELETE']),
    Rule('/tasks/<int(max=999999999):number>/video', endpoint='video', methods=['GET']),
    Rule('/tasks/<int(max=999999999):number>/target', endpoint='target', methods=['GET']),
    Rule('/tasks/<int(max=999999999):number>/<int(max=9):space>/<int(max=999):place>',
         endpoint='neighbour', methods=['GET']),
], merge_slashes=False)


class App:
    """The WSGI application.

    Args:
        session: the explored run.
        guard: access control.
    """

    def __init__(self, session: Session, guard: Guard):
        self.session = session
        self._guard = guard
        self._pages = Pages()
        self._places = threading.BoundedSemaphore(MOST_REQUESTS)

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        request = Request(environ)
        return secured(self._guarded(request))(environ, start_response)

    def _guarded(self, request):
        """Answer a request; turn every failure into an error response."""
        if not self._places.acquire(timeout=1):
            return _error(503, 'Too many requests at once.')
        try:
            return self._answer(request)
        except Refused as refused:
            return _error(refused.status, refused.message)
        except HTTPException as error:
            response = _error(error.code or 500, error.description or '')
            response.headers.extend([(name, value) for name, value in error.get_headers()
                                     if name == 'Allow'])
            return response
        except UserError as error:
            return _error(400, str(error))
        except Abandoned:
            return _error(503, 'This image is no longer wanted.')
        except (Busy, TooMany):
            return _error(503, 'Too many images or tasks are waiting. Try again in a moment.')
        except Exception as error:  # No request may end the server.
            explained = memory_error(error)
            if explained is not None:
                return _error(503, str(explained))
            traceback.print_exception(error)
            return _error(500, 'This is a bug in the program. The terminal shows it in full: '
                               f'{in_short(error)}')
        finally:
            self._places.release()

    def _answer(self, request):
        path = self._guard.path(request)
        adapter = _ROUTES.bind('explorer')
        endpoint, values = adapter.match(path or '/', method=request.method)
        return getattr(self, f'_{endpoint}')(request, **values)

    # ------------------------------------------------------------ the page

    def _index(self, request):
        if not request.path.endswith('/'):  # The page's relative URLs need the trailing slash.
            return Response(status=308, headers={'Location': f'{request.path}/'})
        return self._pages.response('index.html')

    def _page(self, request, name):
        response = self._pages.response(name)
        if response is None:
            raise Refused(404, 'There is no such file.')
        return response

    def _about(self, request):
        return _json(self.session.about())

    # ------------------------------------------------------------ images and arrays

    def _image(self, request):
        query = request.args
        recipe = _recipes(query)[0]
        is_download = query.get('download') == '1'
        data = self.session.png(recipe, self._view(query), alone=is_download,
                                later=query.get('later') == '1', wanted=_still_there(request))
        if is_download:
            return _download(data, 'image/png', f'{_file_name(recipe)}.png')
        return Response(data, content_type='image/png', headers={'Cache-Control': _FOREVER})

    def _sheet(self, request):
        data = self.session.sheet(_recipes(request.args), self._view(request.args),
                                  _still_there(request))
        return _download(data, 'image/png', 'sheet.png')

    def _latents(self, request):
        return _array(self.session.arrays(_recipes(request.args)).latents, 'latents.npy')

    def _labels(self, request):
        return _array(self.session.arrays(_recipes(request.args)).labels, 'labels.npy')

    def _view(self, query):
        lod = query.get('lod', '')
        return View(_integer(query, 'snapshot', self.session.run.index),
                    None if lod == '' else _integer(query, 'lod', 0), _integer(query, 'shrink', 1),
                    query.get('preview') == '1')

    # ------------------------------------------------------------ tasks

    def _directions(self, request):
        _read_json(request)
        return _json(self.session.start_directions().describe())

    def _projections(self, request):
        label = _integer(request.args, 'class', -1)
        data = read_body(request, safety.MOST_UPLOAD, 'image/', 'application/octet-stream')
        return _json(self.session.start_projection(data, None if label < 0 else label).describe())

    def _nearest(self, request):
        body = _read_json(request)
        return _json(self.session.start_nearest(_text(body, 'of'), _whole(body, 'snapshot'))
                     .describe())

    def _videos(self, request):
        body = _read_json(request)
        recipes = body.get('of')
        if not isinstance(recipes, list) or not all(isinstance(each, str) for each in recipes):
            raise Refused(400, "'of': expected a list of recipes.")
        seconds = body.get('seconds')
        if type(seconds) not in (int, float) or not math.isfinite(seconds):
            raise Refused(400, "'seconds': expected a number.")
        return _json(self.session.start_video(recipes, _whole(body, 'snapshot'), float(seconds),
                                              body.get('loop') is True).describe())

    def _task(self, request, number):
        task = self._find_task(number)
        if request.method == 'DELETE':
            task.cancel()
        extra = task.result if isinstance(task.result, dict) else {}
        return _json({**task.describe(), **extra})

    def _video(self, request, number):
        result = self._find_task(number).result
        if not isinstance(result, bytes):
            raise Refused(404, 'There is no such video.')
        return _download(result, 'video/mp4', 'walk.mp4')

    def _target(self, request, number):
        return Response(self._find_task(number).target, content_type='image/png')

    def _neighbour(self, request, number, space, place):
        result = self._find_task(number).result
        image = neighbours.neighbour_image(result, space, place) if isinstance(
            result, list) else None
        if image is None:
            raise Refused(404, 'There is no such image.')
        return Response(png_bytes(np.ascontiguousarray(image)), content_type='image/png')

    def _find_task(self, number):
        task = self.session.tasks.get(number)
        if task is None:
            raise Refused(404, 'There is no such task.')
        return task


# ---------------------------------------------------------------- requests

def _recipes(query: MultiDict) -> list[str]:
    recipes = query.getlist('of')
    if not recipes:
        raise Refused(400, "Expected a recipe: of=42.")
    return recipes


def _integer(query, name, default):
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r'[0-9]{1,9}', text, re.ASCII):
        raise Refused(400, f'{name}: expected an integer. Received: {text[:80]!r}.')
    return int(text)


def _read_json(request) -> dict[str, Any]:
    data = read_body(request, safety.MOST_JSON, 'application/json')
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f'The body is not valid JSON: {in_short(error)}') from error
    if not isinstance(body, dict):
        raise Refused(400, 'Expected a JSON object.')
    return body


def _text(body, name):
    if not isinstance(body.get(name), str):
        raise Refused(400, f'{name!r}: expected a string.')
    return body[name]


def _whole(body, name):
    if type(body.get(name)) is not int:
        raise Refused(400, f'{name!r}: expected an integer.')
    return body[name]


def _still_there(request) -> Callable[[], bool]:
    """Function that tells whether the client is still connected.

    A browser closes the connection of an image that was scrolled out of view.
    """
    connection = request.environ.get('werkzeug.socket')
    if connection is None:
        return lambda: True

    def asks():
        try:
            readable, _, _ = select.select([connection], [], [], 0)
            return not readable or connection.recv(1, socket.MSG_PEEK) != b''
        except (OSError, ValueError):
            return False
    return asks


# ---------------------------------------------------------------- responses

def _json(value):
    return Response(to_json(value), content_type='application/json')


def _error(status, message):
    response = _json(dict(error=message))
    response.status_code = status
    return response


def _download(data, kind, name):
    return Response(data, content_type=kind,
                    headers={'Content-Disposition': f'attachment; filename="{name}"'})


def _array(array, name):
    return _download(npy_bytes(array), 'application/octet-stream', name)


def _file_name(recipe):
    """File name of an image: as in generate_fake_images for a seed, else based on the recipe."""
    found = re.fullmatch(r'(\d+)(?::(\d+))?', recipe)
    if found and found[2] is None:
        return f'seed{int(found[1]):04d}'
    return re.sub(r'[^\w.=-]+', '-', recipe, flags=re.ASCII).strip('-')[:80] or 'image'


# ---------------------------------------------------------------- the server

class _Handler(WSGIRequestHandler):
    """Request handler that does not log requests."""
    timeout = IDLE

    def log(self, type: str, message: str, *args: Any) -> None:
        pass

    def version_string(self) -> str:
        return 'explorer'


def bound_socket(host: str, port: int | None, first: int, tries: int = 100) -> socket.socket:
    """Create a listening socket.

    Args:
        host: address to listen on.
        port: port to listen on; None = the first free one of `tries` ports from `first`.
        first, tries: see `port`.

    Raises:
        ConfigError: the port is in use, or the address is not one of this machine.
    """
    for number in [port] if port is not None else range(first, first + tries):
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name != 'nt':  # On Windows it would let two servers share a port.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, number))
            sock.listen(128)
            return sock
        except (OSError, OverflowError) as error:
            sock.close()
            if isinstance(error, socket.gaierror) or getattr(
                    error, 'errno', 0) == errno.EADDRNOTAVAIL:
                raise ConfigError(f'train.host: expected an address of this machine, such as '
                                  f'127.0.0.1 or 0.0.0.0. Received: {host!r}.') from error
            reason = error
    where = f'train.port: port {port}' if port is not None else (
        f'train.port: each port from {first} to {first + tries - 1}')
    raise ConfigError(f'{where} cannot be used at {host}: {in_short(reason)}. Choose another one '
                      'with --port, or omit it.')


def make_explorer_server(app: App, sock: socket.socket) -> BaseWSGIServer:
    """Create a server for the application on a socket, with one thread per connection."""
    host, port = sock.getsockname()[:2]
    with contextlib.redirect_stderr(io.StringIO()):
        return make_server(host, port, app, threaded=True, request_handler=_Handler,
                           fd=sock.fileno())
