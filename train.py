"""Train as config.py says: `python train.py [--config FILE] [--set NAME=VALUE]`.

Also hands on the names that users of the original import from here: TrainingSchedule, process_reals, setup_snapshot_image_grid,
train_progressive_gan.
"""
import argparse
import contextlib
import inspect
import signal
import sys
import threading

import settings
from errors import exit_on_user_error


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        prog='train.py', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Train a progressive GAN, or run another script, as config.py says.',
        epilog='examples:\n'
               '  python train.py                                  run what config.py says\n'
               '  python train.py --config configs/quickstart.py   the same with a few lines changed\n'
               '  python train.py --set train.total_kimg=1000      the same with single values changed')
    settings.add_arguments(parser)
    return parser.parse_args(argv)


class _Stopped(SystemExit):
    """A signal asks the program to end. As an exception it lets files that are being written be cleaned up."""


def main(argv=None):
    """The entry point: read the configuration, start TensorFlow, run config.train.func. Returns the exit code."""
    try:
        with exit_on_user_error(), _signals_as_exceptions():
            _main(parse_args(argv))
    except KeyboardInterrupt:
        print('Interrupted. Everything up to the last snapshot is in the result folder.')
        return 128 + signal.SIGINT
    except _Stopped as stopped:
        print(f'Stopped by {signal.Signals(stopped.code - 128).name}. Everything up to the last snapshot is in the result folder.')
        return stopped.code
    return 0


def _main(args):
    config = settings.load(args.config, args.set)
    settings.apply_env(config)  # before anything imports TensorFlow

    import misc
    misc.init_output_logging()
    misc.import_tensorflow()
    import tfutil
    settings.check_config(config)
    print('Initializing TensorFlow...')
    tfutil.init_tf(config.tf_config, config.random_seed)
    print(f'Running {config.train.func}()...')
    run(config)
    print('Exiting...')


@contextlib.contextmanager
def _signals_as_exceptions():
    """Let SIGTERM (kill, a batch system) and SIGHUP (the terminal is gone) raise `_Stopped`, once; nohup's choice stays."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may ask for signals.
        return
    names = [name for name in ('SIGTERM', 'SIGHUP') if hasattr(signal, name)]  # Windows has no SIGHUP.
    signals = [number for number in (getattr(signal, name) for name in names) if signal.getsignal(number) is signal.SIG_DFL]

    def stop(number, _frame):
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise _Stopped(128 + number)

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)


def run(config):
    """Call config.train's function with its options; one that has a `config` argument also gets the rest of the configuration."""
    from tfutil import import_obj
    options = dict(config.train)
    func = import_obj(options.pop('func'))
    if 'config' in inspect.signature(func).parameters:
        options['config'] = config
    return func(**options)


if __name__ == '__main__':
    sys.exit(main())  # before the imports below: config.env must be in force when TensorFlow is imported

from training.loop import train_progressive_gan  # noqa: E402
from training.reals import process_reals  # noqa: E402
from training.schedule import TrainingSchedule  # noqa: E402
from training.snapshots import setup_snapshot_image_grid  # noqa: E402

__all__ = ['TrainingSchedule', 'main', 'process_reals', 'setup_snapshot_image_grid', 'train_progressive_gan']
