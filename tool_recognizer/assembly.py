"""From parameters to an engine: the models are loaded and checked, and a new run is made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tool_recognizer.core.comparison import Comparison
from tool_recognizer.core.conformal import conformal_threshold
from tool_recognizer.core.drift import DriftDetector
from tool_recognizer.core.early_warning import EarlyWarning
from tool_recognizer.core.early_warning import Sampler
from tool_recognizer.core.gate import FRAMES
from tool_recognizer.core.gate import Gate
from tool_recognizer.core.inspection import Inspector
from tool_recognizer.core.inspection import Requests
from tool_recognizer.core.monitor import Monitor
from tool_recognizer.core.passage import PassageRules
from tool_recognizer.core.passages import Passages
from tool_recognizer.core.run import Run
from tool_recognizer.core.view import View
from tool_recognizer.engine import Engine
from tool_recognizer.gating import Gating
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.model.onnx_model import PlainModel
from tool_recognizer.model.onnx_model import read_labels
from tool_recognizer.model.store import ModelStore
from tool_recognizer.parameters import PARAMETERS
from tool_recognizer.shadow import ShadowModel


def make_engine(parameters: Mapping[str, Any], seed: int = 0) -> Engine:
    """
    Load and check what the parameters name, and put an engine together.

    Parameters
    ----------
    parameters : of the node's table; what is missing has its default
    seed : of the random numbers that break ties of the ranks. A replay has always the same ones;
        a plant must have its own, for the promise is one over all of them

    Raises
    ------
    ModelError
        A model cannot be used.
    ValueError
        Parameters that do not go together.

    """
    value: dict[str, Any] = {p.name: p.default for p in PARAMETERS} | dict(parameters)
    View.of(value.__getitem__)  # a region that is none is said now, not for every frame
    stored = None
    if value['models.path'] and not value['model_path']:
        stored = ModelStore(value['models.path']).chosen()
    model = _load(value, value['model_path'] or (stored.model if stored else DEFAULT_MODEL))
    if stored and model.digest != stored.digest:
        raise ValueError(f'{stored.model}: has changed since it came to the store; choose another '
                         'version: models choose')
    threshold, shadow, comparison = None, None, None
    if value['decision.coverage'] > 0.0:
        if model.reference is None:
            raise ValueError(f'{model.path}: decision.coverage needs a model with a reference')
        threshold = conformal_threshold(model.reference.log_probabilities,
                                        model.reference.distribution, value['decision.coverage'])
    if value['shadow_model_path']:
        shadow = ShadowModel(_load(value, value['shadow_model_path']))
        try:
            comparison = Comparison(_monitor(value, shadow.model, seed), model.labels,
                                    (model.digest, shadow.model.digest))
        except ValueError as error:
            raise ValueError(f'{shadow.model.path}: {error}') from None
    sampler = Sampler(int(value['early_warning.interval'] * 1e9))
    names = ['monitor.reference', 'monitor.volunteered']
    gating, passages = None, None
    if value['passage.gate'] != 'off':
        gating = _gating(value)
        passages = Passages(model.labels, PassageRules(
            *(value[f'passage.{name}'] for name in PassageRules._fields)))
        # The scores of passages are of another kind, as are those with other rules.
        names += ['passage.gate', *(f'passage.{name}' for name in PassageRules._fields)]
    run = Run(
        model.digest, _monitor(value, model, seed, threshold),
        EarlyWarning(len(model.labels), run_length=value['early_warning.run_length'],
                     mix=value['early_warning.mix'], seed=seed),
        Requests(int(value['inspection.expire_after'] * 1e9)), sampler.interval, comparison,
        passages)
    return Engine(
        model, run,
        Inspector(value['inspection.probability'],
                  max(value['inspection.probability'], value['inspection.uncertain_probability']),
                  value['inspection.max_per_minute']),
        sampler, value['decision.frozen_after'], shadow, threshold,
        {name: value[name] for name in names}, gating)


def _gating(value: Mapping[str, Any]) -> Gating:
    if value['passage.gate'] == 'service':
        return Gating('service', Gate(0, int(value['passage.seconds'] * 1e9)))
    by_frames = value['passage.gate'] == 'picture'
    return Gating(value['passage.gate'], Gate(
        int(value['passage.debounce'] * 1e9), int(value['passage.max_seconds'] * 1e9),
        not by_frames, FRAMES if by_frames else 1))


def _load(value: Mapping[str, Any], path: str | Path) -> OnnxModel:
    plain = None
    if value['plain_model.labels_file']:
        plain = PlainModel(
            labels=read_labels(value['plain_model.labels_file']),
            mean=tuple(value['plain_model.mean']), std=tuple(value['plain_model.std']),
            **{name: value[f'plain_model.{name}'] for name in (
                'height', 'width', 'fit', 'layout', 'order', 'scale', 'output')})
    return OnnxModel.load(path, providers=value['providers'],
                          intra_op_threads=value['intra_op_threads'], plain=plain)


def _monitor(value: Mapping[str, Any], model: OnnxModel, seed: int,
             set_threshold: float | None = None) -> Monitor:
    taken = value['monitor.volunteered']
    return Monitor(
        model.labels,
        DriftDetector(len(model.labels), model.reference, float(value['monitor.run_length']),
                      seed, learn=value['monitor.reference'] == 'line'),
        reference_nll=model.reference_nll, window=value['monitor.window'],
        minimum=value['monitor.minimum'], pending=value['monitor.pending'],
        late_after=int(value['monitor.late_after'] * 1e9),
        complete=taken == 'score' or (taken == 'auto' and value['inspection.probability'] == 0.0),
        set_threshold=float('nan') if set_threshold is None else set_threshold,
        # What stands for a plain classifier's features are its logits, much the same for all
        # pictures of a label.
        skip_repeated=value['monitor.skip_repeated'] and bool(model.metadata))
