"""
The program ``models``: a store of models, what is in charge, and the way back.

Left out: what is in one model file (``model``), and the recognizer itself: what is chosen here it
takes at its next start or reload.
"""

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
from datetime import datetime
from datetime import timezone
from getpass import getuser
import json
from pathlib import Path
import sys
from typing import Any

from tool_recognizer.event_log.file import JournalError
from tool_recognizer.event_log.reader import JournalReader
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.store import ModelStore
from tool_recognizer.model.store import StoreError
from tool_recognizer.model.store import Version
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.arguments import starter
from tool_recognizer.programs.arguments import whole
from tool_recognizer.programs.outputs import check_outputs
from tool_recognizer.programs.outputs import write_whole
from tool_recognizer.text_file import read_text
from tool_recognizer.text_file import TextError

SUMMARY = 'keep versions of models: list, compare, put in charge, go back'
EXAMPLES = (
    'models list models',
    'models add models --model torx.onnx --report torx.html --by anna',
    'models show models 0002',
    'models diff models 0001 0002',
    'models choose models 0002 --by anna',
    'models rollback models --by anna',
    'models prune models --keep 10',
    '',
    'A recognizer with models.path: models and without model_path has the chosen version in',
    'charge, from its next start or `call reload_model` on.')
# Actions, how many versions each takes, and what it does.
ACTIONS = {
    'list': (0, 'all versions, and which is in charge'),
    'show': (1, 'all that is known of one'),
    'diff': (2, 'what differs between two'),
    'add': (0, 'take a copy of --model in'),
    'choose': (1, 'a version that is to be in charge'),
    'rollback': (0, 'go back to what was in charge before'),
    'prune': (0, 'remove all but the newest --keep, the one in charge and the one before it')}
# Versions that prune may be told to keep.
MOST_KEPT = 1_000_000
SHIPPED = 'the model that comes with the package'


def main(argv: list[str] | None = None) -> int:
    """
    Run the command.

    Parameters
    ----------
    argv : the arguments, default the process's

    Returns
    -------
    0 done; 1 list, and a version is damaged; 2 unusable input or arguments

    """
    parser = _parser()
    return run_program(lambda arguments: _models(parser, arguments), parser,
                       (StoreError, ModelError, JournalError, TextError), argv)


def _parser() -> Parser:
    parser = Parser('models', SUMMARY, EXAMPLES)
    parser.add_argument('action', choices=ACTIONS,
                        help='; '.join(f'{name}: {what}' for name, (_, what) in ACTIONS.items()))
    parser.add_argument('store', type=Path, help='the folder of the store')
    parser.add_argument('version', nargs='*',
                        help='its number, or the beginning of its digest')
    parser.add_argument('--model', type=Path, metavar='FILE', help='add: the model file')
    parser.add_argument('--report', type=Path, metavar='FILE', help='add: a page about it')
    parser.add_argument('--gate', type=Path, metavar='FILE',
                        help='add: the JSON of `evaluate --gate` or of `train --against`')
    parser.add_argument('--base', default='', help='add: of which model it was made')
    parser.add_argument('--by', default='', metavar='NAME',
                        help='who does it (default: the user of this machine)')
    parser.add_argument('--keep', type=whole(1, MOST_KEPT), metavar='N',
                        help='prune: versions that stay')
    parser.add_argument('--journal', type=Path, metavar='FILE',
                        help='list, show: a journal, which says when a version answered')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='list, show, diff: write the same as JSON')
    return parser


def _models(parser: Parser, arguments: argparse.Namespace) -> int:
    action, store = arguments.action, ModelStore(arguments.store)
    takes = ACTIONS[action][0]
    if len(arguments.version) != takes:
        parser.error(f'{action} takes {takes or "no"} version{"s" * (takes != 1)}, got '
                     f'{len(arguments.version)}')
    for name, of in (('model', ('add',)), ('report', ('add',)), ('gate', ('add',)),
                     ('keep', ('prune',)), ('journal', ('list', 'show')),
                     ('json', ('list', 'show', 'diff'))):
        if getattr(arguments, name) is not None and action not in of:
            parser.error(f'--{name} belongs to {" and ".join(of)}, not to {action}')
    check_outputs([arguments.json], inputs=[arguments.journal])
    by = arguments.by or _user()
    if action == 'add':
        return _add(parser, store, arguments, by)
    if action == 'choose':
        return _say_chosen(store.choose(arguments.version[0], by))
    if action == 'rollback':
        return _say_chosen(store.go_back(by))
    if action == 'prune':
        if arguments.keep is None:
            parser.error('prune needs --keep N, at least 1')
        gone = store.prune(arguments.keep)
        print(f'removed: {", ".join(gone) or "nothing"}')
        return 0
    answered = _answered(arguments.journal)
    damaged = False
    if action == 'diff':
        one, other = map(store.version, arguments.version)
        facts: Any = differences(one, other)
        lines = [f'{name:<14} {before} -> {after}' for name, before, after in facts] or [
            'nothing that is known of them differs']
        facts = [dict(zip(('what', 'before', 'after'), fact, strict=True)) for fact in facts]
    elif action == 'show':
        version = store.version(arguments.version[0])
        facts = _facts(version, store, answered)
        lines = [f'{name:<14} {_shown(value)}' for name, value in facts.items()]
    else:
        versions = store.versions()
        facts = [_facts(version, store, answered) for version in versions]
        lines = list(_table(facts)) or ['no version in it']
        damaged = any(fact['damage'] for fact in facts)
        in_charge = store.in_charge()
        if not in_charge:
            lines.append(f'in charge: {SHIPPED}, or what model_path names')
        elif in_charge not in [version.name for version in versions]:
            lines.append(f'{in_charge}* DAMAGED: is to be in charge, and is not there; choose '
                         'another one')
            damaged = True
    if arguments.json:
        write_whole({arguments.json: json.dumps(facts, indent=2) + '\n'})
    print('\n'.join(lines))
    return int(damaged)


def _add(parser: Parser, store: ModelStore, arguments: argparse.Namespace, by: str) -> int:
    if arguments.model is None:
        parser.error('add needs --model FILE')
    gate = None
    if arguments.gate:
        try:
            gate = json.loads(read_text(arguments.gate, 2**20))['gate']
            if not isinstance(gate, dict):
                raise TypeError('its gate is no verdict')
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if isinstance(error, TextError):
                raise
            raise StoreError(f'{arguments.gate}: holds no verdict of a gate; write it with '
                             'evaluate NEW DATA --against OLD --gate --json FILE') from None
    version = store.add(arguments.model, by, base=arguments.base, gate=gate,
                        report=arguments.report)
    print(f'version {version.name} ({version.digest[:12]}): '
          f'{", ".join(map(str, version.about["labels"]))}; not in charge: '
          f'{starter()} models choose {arguments.store} {version.name}')
    return 0


def _say_chosen(version: Version | None) -> int:
    named = SHIPPED if version is None else f'version {version.name} ({version.digest[:12]})'
    print(f'{named} is to be in charge; a recognizer that runs takes it with: {starter()} call '
          'reload_model')
    return 0


def differences(one: Version, other: Version) -> list[tuple[str, str, str]]:
    """
    Say what differs between two versions.

    Returns
    -------
    What, how it is with the one, and how with the other

    """
    found = []
    before, after = one.about, other.about
    lost = [label for label in before.get('labels', []) if label not in after.get('labels', [])]
    new = [label for label in after.get('labels', []) if label not in before.get('labels', [])]
    if lost or new:
        found.append(('labels', f'without {", ".join(new) or "none"}',
                      f'without {", ".join(lost) or "none"}'))
    for name in ('digest', 'data_digest', 'base', 'by', 'added', 'counts', 'figures', 'gate'):
        if before.get(name) != after.get(name):
            found.append((name, _shown(before.get(name)), _shown(after.get(name))))
    return found


def _facts(version: Version, store: ModelStore, answered: dict[str, list[str]] | None
           ) -> dict[str, Any]:
    chosen = [f'{choice.at} by {choice.by}{" (back)" * choice.back}'
              for choice in store.choices() if choice.version == version.name]
    in_charge = store.in_charge() == version.name
    facts = {'version': version.name, 'in_charge': in_charge, 'damage': version.damage,
             'chosen': chosen, **{k: v for k, v in version.about.items() if k != 'schema'},
             'model': str(version.model),
             'report': str(version.report) if version.report.is_file() else ''}
    if answered is not None:
        facts['answered'] = answered.get(version.digest, [])
    return facts


def _answered(journal: Path | None) -> dict[str, list[str]] | None:
    """Read when each model's runs began, by its digest; None without a journal."""
    if journal is None:
        return None
    runs: dict[str, list[str]] = {}
    with JournalReader(journal) as reader:
        for event in reader.runs().values():
            moment = datetime.fromtimestamp(event.moment / 1e9, timezone.utc)
            runs.setdefault(event.model_digest, []).append(
                f'from {moment.isoformat(timespec="seconds")} ({event.reason})')
        for wrong in reader.damage:
            print(f'{journal}: left out, {wrong}', file=sys.stderr)
    return runs


def _table(facts: Sequence[dict[str, Any]]) -> Iterator[str]:
    for fact in facts:
        if fact['damage']:
            yield (f'{fact["version"]}{"*" if fact["in_charge"] else " "} DAMAGED: '
                   f'{fact["damage"]}')
            continue
        figures = fact.get('figures') or {}
        # No interval, no figure.
        held = ', '.join(
            f'{name} {figures[key]:.3f} ({figures[f"{key}_ci_low"]:.3f} to '
            f'{figures[f"{key}_ci_high"]:.3f})' for key, name in (
                ('accuracy', 'accuracy'), ('nll', 'NLL'))
            if all(isinstance(figures.get(f'{key}{end}'), int | float)
                   for end in ('', '_ci_low', '_ci_high')))
        gate = fact.get('gate')
        verdict = '' if not gate else f'; gate {"passed" if gate.get("passed") else "not passed"}'
        yield (f'{fact["version"]}{"*" if fact["in_charge"] else " "} {fact["digest"][:12]}  '
               f'{str(fact.get("added", ""))[:19]}  {fact.get("by", "")}: '
               f'{", ".join(map(str, fact["labels"]))}' + (f' ({held})' if held else '') + verdict)
        for when in fact.get('answered', []):
            yield f'      answered {when}'
    if any(fact['in_charge'] for fact in facts):
        yield '* in charge'


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ', '.join(f'{k} {_shown(v)}' for k, v in value.items()) or 'none'
    if isinstance(value, list):
        return ', '.join(map(str, value)) or 'none'
    return f'{value:.4g}' if isinstance(value, float) else str('-' if value is None else value)


def _user() -> str:
    try:
        return getuser()
    except (OSError, KeyError):  # a container's user has no name
        return 'unknown'


if __name__ == '__main__':
    sys.exit(main())
