"""Run all speed benchmarks: python -m benchmarks -h

    python -m benchmarks                            # an hour or two on an idle machine
    python -m benchmarks --quick                    # a few minutes; its numbers mean nothing
    python -m benchmarks --only training,bare       # some of the sections
    python -m benchmarks --resume NAME              # the measurements that an earlier run lacks
    python -m benchmarks --report FILE.json         # only write the tables and the picture again

Each measurement runs in a separate process, because peak memory is measured per process. Results
are written after each one to benchmarks/results/DATE-NAME.json; at the end, a table (.md) and a
picture (.png) are written next to it.
"""
import argparse
import datetime
import json
import os
import pathlib
import signal
import sys
import tempfile
import time

from benchmarks import report, suite
from benchmarks.common import MeasurementError, Parser, describe_machine, load, now, run_child
from pgan import files
from pgan.errors import UserError
from pgan.invocation import module_command
from pgan.progress_bar import progress_bar

RESULTS = pathlib.Path(__file__).resolve().parent / 'results'
SCHEMA = 1


def parse_args(argv=None):
    listed = '\n'.join(f'  {name:<13}{what}' for name, what in suite.SECTIONS.items())
    parser = Parser(prog='python -m benchmarks', description=__doc__,
                    epilog='sections:\n' + listed,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='tiny versions of all measurements')
    parser.add_argument('--only', metavar='SECTION,...', help='measure only these sections')
    parser.add_argument(
        '--peers', action='store_true', help='also install pro-gan-pth (PyTorch, GBs) '
        'in a separate folder, and measure it')
    parser.add_argument('--peers_venv', metavar='FOLDER', help='where to keep that folder for '
                                                               'later (default: a temporary one)')
    parser.add_argument('--name', help='of the results (default: "all", "quick" or the sections)')
    parser.add_argument('--folder', type=pathlib.Path, default=RESULTS,
                        help='of the results (default: '
                        'benchmarks/results)')
    parser.add_argument('--resume', metavar='NAME',
                        help='complete existing results: DATE-NAME or a file')
    parser.add_argument('--force', action='store_true', help='replace results of this name')
    parser.add_argument('--report', metavar='FILE', type=pathlib.Path,
                        help='only write the tables and the picture of '
                        'these results')
    args = parser.parse_args(argv)
    args.sections = args.only.split(',') if args.only else [
        name for name in suite.SECTIONS if name != 'peers' or args.peers
    ]
    unknown = [name for name in args.sections if name not in suite.SECTIONS]
    if unknown:
        parser.error(f'--only: unknown section {unknown[0]!r}. Known: '
                     f'{", ".join(suite.SECTIONS)}.')
    return args


def open_results(args):
    """Return (results dict, path) of a new run, or of the one to resume.

    Raises:
        SystemExit: results of this name exist already, or there are none to resume.
    """
    if args.resume:
        path = pathlib.Path(args.resume)
        path = path if path.is_file() else args.folder / f'{args.resume}.json'
        results = read_results(path)
        args.quick = results['options']['quick']
        known = results['options']['sections']
        args.sections = args.sections if args.only or args.peers else known
        results['options']['sections'] = [
            name for name in suite.SECTIONS if name in {*known, *args.sections}
        ]
        results['sessions'].append(dict(started=now(), machine=describe_machine()))
        return results, path
    name = args.name or ('quick'
                         if args.quick else '-'.join(args.only.split(',')) if args.only else 'all')
    path = args.folder / f'{datetime.date.today().isoformat()}-{name}.json'
    if path.exists() and not args.force:
        sys.exit(f'Error: {path} already exists. Complete it (--resume {path.stem}), replace '
                 'it (--force), or choose another --name.')
    return dict(schema=SCHEMA, options=dict(quick=args.quick, sections=args.sections),
                sessions=[dict(started=now(), machine=describe_machine())], measurements={}), path


def read_results(path):
    """Return the results of an earlier run.

    Raises:
        SystemExit: the file does not exist or holds something else.
    """
    try:
        results = json.loads(path.read_text())
    except FileNotFoundError:
        sys.exit(f'Error: {path} does not exist. Results: '
                 f'{", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"}.')
    except (OSError, ValueError) as error:
        sys.exit(f'Error: cannot read {path}: {error}')
    if not isinstance(results, dict) or results.get('schema') != SCHEMA:
        sys.exit(f'Error: {path} has no results of `python -m benchmarks` that this version can '
                 f'read (schema {SCHEMA}).')
    return results


def measure_all(measurements, results, path):
    """Make the measurements that have no result yet and write the results after each."""
    due = [m for m in measurements if 'lines' not in results['measurements'].get(m.key, {})]
    with progress_bar(due, unit='measurement') as bar:
        for measurement in bar:
            bar.set_description(measurement.key)
            start, entry = time.time(), dict(section=measurement.section, load_before=load())
            try:
                entry['lines'] = run_child(measurement.command, measurement.timeout)
            except MeasurementError as error:
                entry['error'] = str(error)
                bar.write(f'{measurement.key}: {error}', file=sys.stderr)
            results['measurements'][measurement.key] = dict(entry,
                                                            seconds=round(time.time() - start,
                                                                          1), at=now())
            write(path, json.dumps(results, indent=1) + '\n')


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic_write(str(path), 'w') as file:
        file.write(text)


def write_report(results, path):
    """Write the tables, and the picture if training was measured, next to the results."""
    table, picture = path.with_suffix('.md'), path.with_suffix('.png')
    write(table, report.markdown(results, path.stem))
    print(path, table, *([picture] if report.plot(results, picture) else []), sep='\n')


def _resume(path):
    """The command that completes these results."""
    name = path.stem if path.parent == RESULTS else os.path.relpath(path)
    return module_command('benchmarks', '--resume', name)


def main(argv=None):
    """Run the command line. Returns the exit code: 1 if a measurement failed."""
    args = parse_args(argv)
    if args.report:
        write_report(read_results(args.report), args.report)
        return 0
    results, path = open_results(args)
    with tempfile.TemporaryDirectory() as folder:
        measurements = [
            m._replace(
                command=[*m.command, f'--venv={args.peers_venv or os.path.join(folder, "peers")}'])
            if m.section == 'peers' else m for m in suite.plan(args.sections, args.quick)
        ]
        try:
            measure_all(measurements, results, path)
        except KeyboardInterrupt:
            print(f'\nStopped. Continue with: {_resume(path)}', file=sys.stderr)
            return 130
    write_report(results, path)
    failed = [key for key, entry in results['measurements'].items() if 'error' in entry]
    if failed:
        print(f'Failed: {", ".join(failed)}. Try these again with: {_resume(path)}',
              file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: stops children too
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f'Error: {error}')
