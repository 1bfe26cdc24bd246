"""Import of TensorFlow without its warnings about GPU libraries on machines that have no GPU.

On a laptop these lines are only noise. Nothing but a filter suppresses them: some are printed while
libraries load, before TensorFlow reads TF_CPP_MIN_LOG_LEVEL and before absl's Python API can be
called. TensorFlow 2.21 printed them with each of TF_CPP_MIN_LOG_LEVEL=3, CUDA_VISIBLE_DEVICES=-1,
TF_ENABLE_ONEDNN_OPTS=1, and absl.logging's verbosity and threshold at 'fatal' (2026-11-26).
"""
import contextlib
import glob
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, cast

# The filter is a child process that forwards other lines immediately: none is lost if TensorFlow
# aborts.
_FILTER = r"""
import re, sys
for line in sys.stdin.buffer:
    if not re.match(rb'WARNING: All log messages before absl|I0000 |'
                    rb'[WE]0000 .*\b(cuda|cuInit|computation_placer)', line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


def import_tensorflow() -> None:
    """Import TensorFlow and let it detect GPUs, without its warnings if there are none."""
    is_first = 'tensorflow' not in sys.modules
    with filtered_stderr() if is_first and quiet_is_wanted() else contextlib.nullcontext():
        import tensorflow as tf
        tf.config.list_physical_devices('GPU')


def quiet_is_wanted() -> bool:
    """Whether to filter: there is no GPU, and TF_CPP_MIN_LOG_LEVEL does not ask for every line."""
    return not has_gpu() and os.environ.get('TF_CPP_MIN_LOG_LEVEL') != '0'


def has_gpu() -> bool:
    """Whether the machine has a device that TensorFlow might use as a GPU."""
    # NVIDIA, Windows under WSL, AMD
    patterns = ('/proc/driver/nvidia', '/dev/nvidia*', '/dev/dxg', '/dev/kfd')
    return any(map(glob.glob, patterns)) or os.name == 'nt'


@contextlib.contextmanager
def filtered_stderr() -> Iterator[None]:
    """Filter TensorFlow's lines about missing GPUs from file descriptor 2, including C++ output."""
    try:
        original = os.dup(2)
        reader = subprocess.Popen([sys.executable, '-I', '-S', '-c', _FILTER],
                                  stdin=subprocess.PIPE, start_new_session=True)
    except OSError:  # stderr is closed, or no process can be started.
        yield
        return
    pipe = cast(IO[bytes], reader.stdin)
    sys.stderr.flush()
    os.dup2(pipe.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(original, 2)
        os.close(original)
        pipe.close()
        reader.wait()
