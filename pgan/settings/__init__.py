"""Configuration of the entry points: config.py, override files and `--set NAME=VALUE`.

    parser = settings.Parser()
    settings.add_arguments(parser)
    args = parser.parse_args()
    config = settings.load(args.config, args.set)  # The module `config`; imports nothing heavy.
    settings.apply_env(config)                     # Before TensorFlow is imported.
    settings.check_config(config)                  # Imports what the configuration names.

Every mistake raises a ConfigError that states what is wrong and what is expected, and suggests the
correct spelling of a misspelt name.
"""
from pgan.settings.arguments import Parser, add_arguments, add_use_argument
from pgan.settings.catalogue import CONFIG_PY
from pgan.settings.checking import check_config, check_minibatches, check_spelling
from pgan.settings.listing import names as option_names
from pgan.settings.listing import print_catalogue
from pgan.settings.loading import (
    after_files,
    apply_env,
    assignment,
    command_line,
    load,
    measured,
    plain_options,
    set_measured,
    set_outside,
    used_lines,
    values,
)
from pgan.settings.switches import with_default_line

__all__ = [
    'CONFIG_PY', 'Parser', 'add_arguments', 'add_use_argument', 'after_files', 'apply_env',
    'assignment', 'check_config', 'check_minibatches', 'check_spelling', 'command_line', 'load',
    'measured', 'option_names', 'plain_options', 'print_catalogue', 'set_measured',
    'set_outside', 'used_lines', 'values', 'with_default_line'
]
