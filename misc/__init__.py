"""Utilities shared by training and the utility scripts; one module per subject."""
from misc.environment import write_environment
from misc.images import (
    adjust_dynamic_range,
    apply_mirror_augment,
    convert_to_pil_image,
    create_image_grid,
    draw_text_label,
    save_image,
    save_image_grid,
    setup_text_label,
)
from misc.logs import format_time, init_output_logging, restore_output, set_output_log_file
from misc.pickles import load_pkl, save_pkl
from misc.results import (
    create_result_subdir,
    generator_of,
    get_id_string_for_network_pkl,
    list_network_pkls,
    load_dataset_for_previous_run,
    load_generator,
    load_network_pkl,
    load_snapshot,
    locate_network_pkl,
    locate_result_subdir,
    random_latents,
    write_config,
)
from misc.resuming import RunToResume, find_run
from misc.startup import import_tensorflow
from pgan.files import atomic_write

__all__ = [
    'RunToResume', 'adjust_dynamic_range', 'apply_mirror_augment', 'atomic_write',
    'convert_to_pil_image', 'create_image_grid', 'create_result_subdir', 'draw_text_label',
    'find_run', 'format_time', 'generator_of', 'get_id_string_for_network_pkl',
    'import_tensorflow', 'init_output_logging', 'list_network_pkls',
    'load_dataset_for_previous_run', 'load_generator', 'load_network_pkl', 'load_pkl',
    'load_snapshot', 'locate_network_pkl', 'locate_result_subdir', 'random_latents',
    'restore_output', 'save_image', 'save_image_grid', 'save_pkl', 'set_output_log_file',
    'setup_text_label', 'write_config', 'write_environment'
]
