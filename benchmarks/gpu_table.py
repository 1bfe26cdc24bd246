"""Markdown tables of a run of `benchmarks.gpu`."""
import itertools
import json

COLUMNS = {  # columns of a part's table; other parts show all their values
    'speed': ('minibatch', 'sec_per_kimg', 'fastest', 'tflops', 'compile_sec', 'peak_mb',
              'first_peak_mb'),
    'peer': ('minibatch', 'sec_per_kimg', 'fastest', 'compile_sec', 'peak_device_mb', 'beside',
             'ratio', 'note'),
}
HIDDEN = ('part', 'name', 'device', 'seconds', 'variant')


def table(path):
    """Markdown of a file of results.

    Args:
        path: pathlib.Path of a .jsonl file; it may be of an interrupted run.
    """
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith('{')]
    start = next((line for line in lines if line['part'] == 'start'), {})
    end = next((line for line in lines if line['part'] == 'end'), None)
    text = [_heading(start)]
    measured = [line for line in lines if line['part'] not in ('start', 'end')]
    good = [line for line in measured if 'error' not in line]
    order = list(dict.fromkeys(line['part'] for line in good))
    good.sort(key=lambda line: order.index(line['part']))
    for part, found in itertools.groupby(good, key=lambda line: line['part']):
        text += [f'## {part}', _rows(part, list(found))]
    failed = [f'* {line["part"]} {line["name"]}: {line["error"]}' for line in measured
              if 'error' in line]
    text += ['## Errors', '\n'.join(failed)] if failed else []
    text.append(_ending(end))
    return '\n\n'.join(text)


def _heading(start):
    card = start.get('nvidia_smi') or {}
    facts = dict(driver=card.get('driver_version'), TensorFlow=start.get('tensorflow'),
                 Python=start.get('python'), commit=start.get('commit'))
    said = ', '.join(f'{name} {value}' for name, value in facts.items() if value)
    return f'# {start.get("device", "unknown device")}\n\n{said}'


def _rows(part, lines):
    """A table with a row for each result."""
    lines = [dict(_flat(line), name=line.get('name', '')) for line in lines]
    known = dict.fromkeys(key for line in lines for key in line if key not in HIDDEN)
    columns = [key for key in COLUMNS.get(part, known) if key in known]
    rows = [['', *columns]] + [['---'] * (1 + len(columns))]
    rows += [[line['name'], *(_cell(line.get(key)) for key in columns)] for line in lines]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def _flat(values, prefix=''):
    """A dict of dicts as one dict with dotted keys."""
    flat = {}
    for key, value in values.items():
        flat.update(_flat(value, f'{prefix}{key}.') if isinstance(value, dict)
                    else {prefix + key: value})
    return flat


def _cell(value):
    if value is None:
        return ''
    text = ', '.join(map(str, value)) if isinstance(value, list) else str(value)
    return text.replace('|', '\\|').replace('\n', ' ')


def _ending(end):
    if end is None:
        return 'The run was cut short.'
    if not end['number_skipped']:
        return 'Nothing was skipped.'
    skipped = []
    for part, names in end['skipped'].items():
        more = end['number_skipped'][part] - len(names)
        skipped.append(f'* {part}: {", ".join(names)}' + (f', and {more} more' if more else ''))
    return '\n'.join(['No time was left for:', '', *skipped])
