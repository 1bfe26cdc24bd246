"""What the program needs before it imports anything else: Python's version, the packages, and
TensorFlow as the backend of Keras.

`pgan/__init__.py` runs this, so it comes first wherever the program is entered. Python 2.7 has to
be able to read this file: no newer syntax, no package.
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
# Names that requirements-pip.txt brings, as they are imported.
PACKAGES = ('numpy', 'scipy', 'PIL', 'tensorflow', 'keras', 'tensorboard', 'tqdm', 'google_crc32c',
            'matplotlib', 'lmdb', 'h5py', 'moviepy', 'cryptography', 'google', 'absl',
            'werkzeug')


def check():  # type: () -> None
    """Check Python's version, choose the backend of Keras, and let a missing package end a program
    with one line.

    Raises:
        SystemExit: Python is too old, in a program of this folder.
        ImportError: the same, in somebody else's program; or Keras runs on another backend already.
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
    """Set Keras's backend to TensorFlow, whatever keras.json or the environment name.

    Keras reads the environment variable once, when it or TensorFlow is imported.

    Raises:
        ImportError: it has been imported, with another backend.
    """
    os.environ['KERAS_BACKEND'] = 'tensorflow'
    backend = getattr(sys.modules.get('keras'), 'backend', None)
    used = 'tensorflow' if backend is None else backend.backend()
    if used != 'tensorflow':
        raise ImportError("Keras has been imported with the backend {!r}; this program's networks "  # noqa: UP032
                          "need 'tensorflow'. Import tfutil before keras, or set the environment "
                          'variable KERAS_BACKEND=tensorflow, and start Python again.'.format(used))


def is_program():  # type: () -> bool
    """Whether Python was started with one of this folder's files."""
    path = getattr(sys.modules.get('__main__'), '__file__', None)
    below = os.path.relpath(os.path.realpath(path), os.path.realpath(ROOT)) if path else '..'
    return not below.startswith('.')  # not elsewhere, and not a program of .venv


def _report(kind, error, trace):
    """An excepthook: one line for a package that is not installed, or for a keras.json that Keras
    cannot use; else a traceback as usual.
    """
    keras_json = _keras_json_in(trace)
    if keras_json:
        message = ('error: Keras cannot use its settings in {!r}: {}. Remove that file: this '
                   'program does not need it, and Keras writes it again.\n')
        sys.stderr.write(message.format(keras_json, _what_is_wrong(keras_json, error)))
        return
    package = (getattr(error, 'name', None) or '').partition('.')[0]
    if not issubclass(kind, ModuleNotFoundError) or package not in PACKAGES:
        sys.__excepthook__(kind, error, trace)
        return
    message = 'error: the package {!r} is not installed for {}. {}\n'
    sys.stderr.write(message.format(package, sys.executable, _way_out()))


def _keras_json_in(trace):
    """Path of the keras.json that Keras was reading when an exception left it, or None.

    Keras reads it when it is imported, and so does the copy of Keras in TensorFlow.
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
        return 'it is no JSON object'
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
    """What to do: the same command with the right interpreter, or how to get one."""
    own = os.path.join(ROOT, '.venv', 'bin', 'python')
    if os.path.exists(own) and os.path.abspath(own) != os.path.abspath(sys.executable or ''):
        command = [_nearest(own)] + (_as_started() if is_program() else [])  # noqa: RUF005
        return 'Run it with the Python of .venv: ' + ' '.join(map(quote, command))
    requirements = quote(_nearest(os.path.join(ROOT, 'requirements-pip.txt')))
    quickstart = quote(_nearest(os.path.join(ROOT, 'quickstart.sh')))
    if sys.version_info[:2] < PYTHON:
        return 'Install a newer one, then let it make .venv: bash ' + quickstart
    return 'Install the packages: {} -m pip install -r {}; or let this make .venv: bash {}'.format(
        quote(_nearest(sys.executable or 'python3')), requirements, quickstart)


def _as_started():
    """The words after the interpreter's name that start this program."""
    spec = getattr(sys.modules.get('__main__'), '__spec__', None)
    if spec is None:  # a file
        return sys.argv
    module = spec.name[:-len('.__main__')] if spec.name.endswith('.__main__') else spec.name
    return ['-m', module] + sys.argv[1:]  # noqa: RUF005


def _nearest(path):
    """The path from the current folder, if that is shorter."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the current folder is gone, or on another drive
        return path
    return relative if len(relative) < len(path) else path
