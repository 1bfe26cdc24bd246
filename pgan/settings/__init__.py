"""How the entry points read the configuration: config.py, then override files, then `--set
NAME=VALUE`.

    parser = argparse.ArgumentParser() settings.add_arguments(parser) args = parser.parse_args()
    config = settings.load(args.config, args.set)   # The module `config`; nothing heavy is imported
    yet. settings.apply_env(config)                      # Before TensorFlow is imported.
    settings.check_config(config)                   # Imports what the configuration names; before
    any work.

Every mistake is a ConfigError that says what was wrong, what would be right, and the nearest name
to a misspelt one.
"""
from pgan.settings.catalogue import names as option_names
from pgan.settings.catalogue import print_catalogue
from pgan.settings.checking import check_config, check_minibatches
from pgan.settings.loading import (
    CONFIG_PY,
    add_arguments,
    apply_env,
    command_line,
    load,
    plain_options,
    values,
)

__all__ = [
    'CONFIG_PY', 'add_arguments', 'apply_env', 'check_config', 'check_minibatches', 'command_line',
    'load', 'option_names', 'plain_options', 'print_catalogue', 'values'
]
