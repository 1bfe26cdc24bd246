"""Train as config.py says: `python train.py [--config FILE] [--set NAME=VALUE]`.

Also hands on the names that users of the original import from here: TrainingSchedule, process_reals, setup_snapshot_image_grid,
train_progressive_gan.
"""
import argparse
import inspect
import signal
import sys

import settings
from entry import Stopped, signals_as_exceptions
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


def main(argv=None):
    """The entry point: read the configuration, start TensorFlow, run config.train.func. Returns the exit code."""
    try:
        with exit_on_user_error(), signals_as_exceptions():
            _main(parse_args(argv))
    except KeyboardInterrupt:
        print('Interrupted. What was finished before is in the result folder.')
        return 128 + signal.SIGINT
    except Stopped as stopped:
        print(f'Stopped by {stopped.signal_name}. What was finished before is in the result folder.')
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
    tfutil.init_tf(config.tf_config, config.random_seed, config.num_gpus)
    print(f'Running {config.train.func}()...')
    run(config)
    print('Exiting...')


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
