"""
The program ``model``: what a model file says of itself, and whether it keeps its contract.

Left out: whether its predictions are right; ``evaluate`` measures that on photographs.
"""

import argparse
from collections.abc import Iterator
import json
from pathlib import Path
import statistics
import sys
import time
from typing import Any
from typing import NamedTuple

import numpy as np
from tool_recognizer.core.conformal import conformal_threshold
from tool_recognizer.model.contract import FOUNDATION
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.programs.arguments import Parser
from tool_recognizer.programs.arguments import run_program
from tool_recognizer.programs.outputs import check_outputs
from tool_recognizer.programs.outputs import write_whole
from tool_recognizer.programs.plain_arguments import add_plain_arguments
from tool_recognizer.programs.plain_arguments import plain_model

SUMMARY = 'show what a model file says of itself, and check its contract'
EXAMPLES = (
    'model show tools.onnx',
    'model check tools.onnx',
    'model check classifier.onnx --labels imagenet.txt')
RUNS = 21
COVERAGES = (0.9, 0.95)

ANEW = 'make the model anew with train'
# Part of the contract: its name for people, the text if it is kept, and the cure if not.
PARTS = {
    'graph': ('graph', 'one picture in, scores out', 'see --layout, --height, --width'),
    'schema': ('metadata', 'a schema that this version reads', f'{ANEW} of this version'),
    'labels': ('labels', 'differ, and none is a reserved id',
               'rename the folders of photographs and train again'),
    'input': ('input', 'the graph takes what the metadata say',
              f'metadata and graph are of two models: {ANEW}'),
    'outputs': ('outputs', 'logits and features are there',
                f'export the graph with both outputs, or {ANEW}'),
    'temperature': ('temperature', 'positive', ANEW),
    'answer': ('answer', 'one finite score per label',
               f'give as many labels as the graph has outputs, or {ANEW}'),
    'rejection': ('rejection', 'threshold and output fit', ANEW),
    'reference': ('reference', 'as many predictions as labels', ANEW),
    'quality': ('frame quality', 'thresholds fit', ANEW),
    'golden': ('golden answers', 'this machine computes them',
               'fetch the file again; if it stays, use another execution provider'),
}
# What a file may do without, and what is then missing.
OPTIONAL = {
    'rejection': 'none: nothing is refused as unknown',
    'reference': 'none: drift is judged against the first confirmed frames',
    'quality': 'none: no frame is refused as dark, overexposed or blurred',
    'golden': 'none: damage to the file would not be noticed',
}


class Finding(NamedTuple):
    """One line of the check: PASS, FAIL or NOTE, the part, and the text."""

    status: str
    part: str
    text: str


def main(argv: list[str] | None = None) -> int:
    """
    Run the command.

    Parameters
    ----------
    argv : the arguments, default the process's

    Returns
    -------
    0 shown, or checked and good; 1 the contract is broken; 2 unusable file or arguments

    """
    return run_program(_model, _parser(), (ModelError,), argv)


def _parser() -> Parser:
    parser = Parser('model', SUMMARY, EXAMPLES)
    parser.add_argument('action', choices=('show', 'check'),
                        help='show: all that it says of itself; check: hold it to its contract')
    parser.add_argument('file', type=Path, help='the model file')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the same as JSON')
    parser.add_argument('--quiet', action='store_true', help='print nothing')
    add_plain_arguments(parser)
    return parser


def _model(arguments: argparse.Namespace) -> int:
    check_outputs([arguments.json], inputs=[arguments.file, arguments.labels])
    plain = plain_model(arguments)
    if arguments.action == 'show':
        # The labels and figures of a file that breaks its contract would mean nothing.
        facts = describe(OnnxModel.load(arguments.file, plain=plain))
        lines = list(facts_lines(facts))
        status, figures = 0, facts
    else:
        findings = list(check(*OnnxModel.examine(arguments.file, plain)))
        lines = list(finding_lines(findings))
        status = 1 if any(f.status == 'FAIL' for f in findings) else 0
        figures = {'ok': status == 0, 'findings': [f._asdict() for f in findings]}
    if arguments.json:
        write_whole({arguments.json: json.dumps(figures, indent=2) + '\n'})
    if not arguments.quiet:
        print('\n'.join(lines))
    return status


def describe(model: OnnxModel) -> dict[str, Any]:
    """
    Gather what a model says of itself.

    Returns
    -------
    What can be written as JSON; None where the file says nothing

    """
    meta = model.metadata
    spec = model.input
    training = meta.get('training') or {}
    facts: dict[str, Any] = {
        'file': str(model.path), 'bytes': model.size, 'digest': model.digest,
        'name': meta.get('name'), 'version': meta.get('version'), 'created': meta.get('created'),
        'labels': list(model.labels),
        'input': {'height': spec.height, 'width': spec.width, 'fit': spec.fit},
        'temperature': model.temperature, 'golden': len(meta.get('golden') or []),
        'reference': _reference(model), 'rejection': meta.get('rejection'),
        'quality': None if model.quality is None else model.quality._asdict(),
        'training': {key: value for key, value in training.items()
                     if value != {} and key != 'seen'},
        'backbone': {key: value for key, value in (meta.get('backbone') or {}).items()
                     if key != 'seen'},
        'licence': meta.get('licence'), 'attribution': meta.get('attribution')}
    return facts


def _reference(model: OnnxModel) -> dict[str, Any] | None:
    if model.reference is None:
        return None
    said = model.metadata['reference']
    log_p, q = model.reference.log_probabilities, model.reference.distribution
    thresholds = {f'{c:g}': conformal_threshold(log_p, q, c) for c in COVERAGES}
    return {'answers': len(q), 'photographs': said.get('photographs'),
            'counts': dict(zip(model.labels, q.sum(axis=0).astype(int).tolist(), strict=True)),
            'nll': model.reference_nll,
            'accuracy': float(np.mean(log_p.argmax(axis=1) == q.argmax(axis=1))),
            'ece': said.get('ece'),
            # JSON has no inf: None means that there are too few predictions for the promise.
            'answer_set_nll': {c: t if np.isfinite(t) else None for c, t in thresholds.items()}}


def facts_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Lay out what ``describe`` gives, a line each."""
    def line(name: str, text: object) -> str:
        return f'{name:<14} {text}'

    yield line('file', f'{facts["file"]}, {facts["bytes"] / 1e6:.2f} MB')
    yield line('digest', f'SHA-256 {facts["digest"]}')
    if facts['name'] is not None:
        yield line('model', f'{facts["name"]}, version {facts["version"]}, made '
                            f'{facts["created"]}')
    labels = facts['labels']
    shown = ', '.join(labels[:12]) + (', ...' if len(labels) > 12 else '')
    yield line('labels', f'{len(labels)}: {shown}')
    spec = facts['input']
    yield line('input', f'{spec["height"]} x {spec["width"]} RGB, {spec["fit"]}')
    yield line('temperature', f'{facts["temperature"]:g}')
    yield line('reference', _reference_text(facts['reference']))
    rejection = facts['rejection']
    yield line('rejection', OPTIONAL['rejection'] if not rejection else
               f'above {rejection["threshold"]:.3f} of {rejection["output"]}, set to refuse '
               f'{rejection.get("false_rejection_rate", float("nan")):.1%} of known tools')
    quality = facts['quality']
    yield line('frame quality', OPTIONAL['quality'] if not quality else
               f'dark below {quality["dark"]:g}, overexposed below {quality["overexposed"]:.1%} '
               f'unclipped, blurred below {quality["blurred"]:g}')
    yield line('golden answers', facts['golden'] or OPTIONAL['golden'])
    yield from _training_lines(facts['training'], line)
    if facts['backbone']:
        yield line('backbone', ', '.join(f'{k} {v}' for k, v in facts['backbone'].items()))
    yield line('licence', facts['licence'] or 'not stated')
    yield line('attribution', facts['attribution'] or 'not stated')


def _reference_text(reference: dict[str, Any] | None) -> str:
    if reference is None:
        return OPTIONAL['reference']
    photographs = reference['photographs']
    to = ('an unstated number of' if photographs is None else photographs)
    text = (f'{reference["answers"]} held-out predictions for {to} photographs: accuracy '
            f'{reference["accuracy"]:.4f}, NLL {reference["nll"]:.4f} nats')
    if reference['ece'] is not None:
        text += f', ECE {reference["ece"]:.4f}'
    return text


def _training_lines(training: dict[str, Any], line: Any) -> Iterator[str]:
    if not training:
        return
    counts = training.get('counts', {})
    drawn = {k: v for k, v in training.get('drawn', {}).items() if v}
    yield line('trained on', ', '.join(f'{n} {label}' for label, n in counts.items())
               + (f' photographs in {training["groups"]} groups' if 'groups' in training else '')
               + ''.join(f', {n} drawn {label}' for label, n in drawn.items()))
    if 'data_digest' in training:
        yield line('data', f'SHA-256 {training["data_digest"]}')
    said = [('seed', 'seed {}'), ('views', '{} views a photograph'),
            ('prior_strength', 'prior strength {:g}'),
            ('fitted_temperature', 'fitted temperature {:.3f}'),
            ('separation', 'separation {}'), ('tool_version', 'program {}')]
    yield line('training', ', '.join(text.format(training[key]) for key, text in said
                                     if key in training))


def check(model: OnnxModel, found: dict[str, str | None]) -> Iterator[Finding]:
    """
    Say for each part of the contract whether it is kept.

    Parameters
    ----------
    model, found : from ``OnnxModel.examine``

    Returns
    -------
    Findings, in the order of the contract

    """
    broken = False
    for part, wrong in found.items():
        name, kept, cure = PARTS[part]
        if wrong is not None:
            broken = broken or part in FOUNDATION
            yield Finding('FAIL', name, f'{wrong}; {cure}')
        elif part in OPTIONAL and not model.metadata.get(part):
            yield Finding('NOTE', name, OPTIONAL[part])
        else:
            yield Finding('PASS', name, kept)
    if broken:
        yield Finding('NOTE', 'the rest', 'not checked: it means nothing without the above')
        return
    if model.metadata:
        for key in ('licence', 'attribution'):
            if not model.metadata.get(key):
                yield Finding('NOTE', key, f'not stated; train --{key} puts it into the file')
    for hint in model.hints:
        yield Finding('NOTE', 'hint', hint)
    yield Finding('NOTE', 'speed', f'{speed(model) * 1e3:.1f} ms for one picture on this machine, '
                                   f'{model.provider}, the median of {RUNS}')


def finding_lines(findings: list[Finding]) -> Iterator[str]:
    """Lay findings out, a line each, with a summary last."""
    for status, part, text in findings:
        yield f'{status} {part:<14} {text}'
    failed = sum(f.status == 'FAIL' for f in findings)
    yield (f'{failed} of {sum(f.status != "NOTE" for f in findings)} parts of the contract are '
           'broken' if failed else 'the contract is kept')


def speed(model: OnnxModel) -> float:
    """Time one inference: the median, s."""
    picture = np.full((1, model.input.height, model.input.width, 3), 127, np.uint8)
    times = []
    for _ in range(RUNS + 2):
        begin = time.perf_counter()
        model.infer(picture)
        times.append(time.perf_counter() - begin)
    # The first ones allocate memory.
    return statistics.median(times[2:])


if __name__ == '__main__':
    sys.exit(main())
