"""Checks that run before any other import: Python's version, the installed packages, and TensorFlow
as the backend of Keras.

`pgan/__init__.py` runs them, so they come first at every entry point. This file must parse under
Python 2.7: no newer syntax, no packages.
"""
import json
import os
import sys

try:
    from shlex import quote  # noqa: UP035
except ImportError:  # Python 2
    from pipes import quote  # noqa: UP035

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = (3, 11)  # requires-python of pyproject.toml
# Import names of the packages that requirements-pip.txt installs.
PACKAGES = ('numpy', 'scipy', 'PIL', 'tensorflow', 'keras', 'tensorboard', 'tqdm', 'google_crc32c',
            'matplotlib', 'lmdb', 'h5py', 'moviepy', 'cryptography', 'google', 'absl',
            'werkzeug')


def check():  # type: () -> None
    """Check Python's version, set the backend of Keras, and report a missing package in one line.

    Raises:
        SystemExit: Python is too old, and a program of this folder is running.
        ImportError: Python is too old, and another program is running; or Keras already uses
            another backend.
    """
    if sys.version_info[:2] < PYTHON:
        message = 'Python {}.{} is too old: this program needs {}.{} or newer. {}'.format(  # noqa: UP032
            *sys.version_info[:2] + PYTHON + (_way_out(),))
        if is_program():
            sys.exit('error: ' + message)
        raise ImportError(message)
    if is_program():
        sys.excepthook = _report
    choose_keras_backend()


def choose_keras_backend():  # type: () -> None
    """Set Keras's backend to TensorFlow, overriding keras.json and the environment.

    Keras reads the environment variable once, when it or TensorFlow is imported.

    Raises:
        ImportError: Keras has already been imported with another backend.
    """
    os.environ['KERAS_BACKEND'] = 'tensorflow'
    backend = getattr(sys.modules.get('keras'), 'backend', None)
    used = 'tensorflow' if backend is None else backend.backend()
    if used != 'tensorflow':
        raise ImportError("Keras has been imported with the backend {!r}; this program's networks "  # noqa: UP032
                          "need 'tensorflow'. Import tfutil before keras, or set the environment "
                          'variable KERAS_BACKEND=tensorflow, and start Python again.'.format(used))


def is_program():  # type: () -> bool
    """Whether Python is running one of this folder's programs."""
    path = getattr(sys.modules.get('__main__'), '__file__', None)
    below = os.path.relpath(os.path.realpath(path), os.path.realpath(ROOT)) if path else '..'
    return not below.startswith('.')  # neither outside this folder nor in .venv


def _report(kind, error, trace):
    """Exception hook: one line for a missing package or a keras.json that Keras cannot use, the
    usual traceback for everything else.
    """
    keras_json = _keras_json_in(trace)
    if keras_json:
        message = ('error: Keras cannot use its settings in {!r}: {}. Remove that file: this '
                   'program does not need it, and Keras creates a new one.\n')
        sys.stderr.write(message.format(keras_json, _what_is_wrong(keras_json, error)))
        return
    package = (getattr(error, 'name', None) or '').partition('.')[0]
    if not issubclass(kind, ModuleNotFoundError) or package not in PACKAGES:
        sys.__excepthook__(kind, error, trace)
        return
    message = 'error: the package {!r} is not installed for {}. {}\n'
    sys.stderr.write(message.format(package, sys.executable, _way_out()))


def _keras_json_in(trace):
    """Path of the keras.json that Keras was reading when the exception was raised, or None.

    Keras reads it on import, and so does the copy of Keras inside TensorFlow.
    """
    while trace is not None:
        names = trace.tb_frame.f_globals
        if trace.tb_frame.f_code.co_name == '<module>' and '_config_path' in names and (
                'keras' in names['__name__']):
            return names['_config_path']
        trace = trace.tb_next
    return None


def _what_is_wrong(keras_json, error):
    try:
        with open(keras_json, encoding='utf-8') as file:
            settings = json.load(file)
    except (OSError, ValueError) as reason:
        return reason
    if not isinstance(settings, dict):
        return 'it is not a JSON object'
    for name, is_right, expected in (
            ('floatx', _one_of('float16', 'float32', 'float64'), 'float16, float32 or float64'),
            ('epsilon', lambda value: isinstance(value, float), 'a number with a decimal point'),
            ('image_data_format', _one_of('channels_last', 'channels_first'),
             'channels_last or channels_first')):
        if name in settings and not is_right(settings[name]):
            return 'its {} is {!r}, expected {}'.format(name, settings[name], expected)  # noqa: UP032
    return str(error) or type(error).__name__


def _one_of(*values):
    return lambda value: value in values


def _way_out():
    """Advice: the same command with the right interpreter, or how to install one."""
    own = os.path.join(ROOT, '.venv', 'bin', 'python')
    if os.path.exists(own) and os.path.abspath(own) != os.path.abspath(sys.executable or ''):
        command = [_nearest(own)] + (_as_started() if is_program() else [])  # noqa: RUF005
        return 'Run it with the Python of .venv: ' + ' '.join(map(quote, command))
    requirements = quote(_nearest(os.path.join(ROOT, 'requirements-pip.txt')))
    quickstart = quote(_nearest(os.path.join(ROOT, 'quickstart.sh')))
    if sys.version_info[:2] < PYTHON:
        return 'Install a newer one, then create .venv with it: bash ' + quickstart
    return 'Install the packages: {} -m pip install -r {}; or create .venv with: bash {}'.format(
        quote(_nearest(sys.executable or 'python3')), requirements, quickstart)


def _as_started():
    """Command line of the running program, without the interpreter."""
    spec = getattr(sys.modules.get('__main__'), '__spec__', None)
    if spec is None:  # a file
        return sys.argv
    module = spec.name[:-len('.__main__')] if spec.name.endswith('.__main__') else spec.name
    return ['-m', module] + sys.argv[1:]  # noqa: RUF005


def _nearest(path):
    """The shorter of the relative path (from the current folder) and the given path."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the current folder is gone, or on another drive
        return path
    return relative if len(relative) < len(path) else path
