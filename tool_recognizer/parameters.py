"""
Every parameter of the recognizer: its default, text, unit, range and the moment it takes effect.

One table, so that the node's declarations, its checks and ``config/recognizer.yaml`` cannot drift
apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import isfinite

from tool_recognizer.core.region import LEAST

Value = bool | int | float | str | list[str] | list[float]


class Takes(Enum):
    """When a change of a parameter takes effect, and so when it is allowed."""

    AT_ONCE = 'at once'
    AT_RELOAD = 'at the next reload_model or configure'
    AT_CONFIGURE = 'at configure'
    AT_START = 'at start'


@dataclass(frozen=True)
class Parameter:
    """
    One parameter.

    Attributes
    ----------
    name : with its group, as in ``decision.deadline``
    default : the value if nobody says otherwise; its type is the parameter's type
    text : what it does, with the unit
    takes : when a change takes effect
    low, high : range of a number, both ends included
    choices : the values allowed, for a string

    """

    name: str
    default: Value
    text: str
    takes: Takes
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: Value) -> str:
        """Return what is wrong with a value, or ''."""
        if isinstance(value, float) and not isfinite(value):
            return f'{self.name} must be finite, got {value}'
        if (self.low is not None and self.high is not None and isinstance(value, (int, float))
                and not self.low <= value <= self.high):
            return f'{self.name} must be in {self.low:g} .. {self.high:g}, got {value}'
        if self.choices and value not in self.choices:
            return f'{self.name} must be one of {list(self.choices)}, got {value!r}'
        return ''


PARAMETERS = (
    Parameter('autostart', False,
              'Configure and activate without a manager, for `ros2 run`; a launch file that '
              'manages the node leaves it off.', Takes.AT_START),
    Parameter('model_path', '',
              'The model, an ONNX file; empty: the model that comes with the package.',
              Takes.AT_RELOAD),
    Parameter('shadow_model_path', '',
              'A candidate model that answers the same frames, is scored on the same '
              'confirmations and decides nothing; empty: none.', Takes.AT_RELOAD),
    Parameter('models.path', '',
              'A store of models, a folder as `models` keeps it: without model_path, the version '
              'that was chosen there is in charge, and promote_shadow chooses; empty: none.',
              Takes.AT_RELOAD),
    Parameter('image_transport', 'raw',
              'raw: sensor_msgs/Image on image_raw; compressed: sensor_msgs/CompressedImage on '
              'image_raw/compressed.', Takes.AT_CONFIGURE, choices=('raw', 'compressed')),
    Parameter('camera.max_pixels', 50_000_000,
              'Pixels of the largest frame that is read; a larger one is dropped as too_large '
              'before anything is decoded. Decoding takes up to 20 bytes of memory for each.',
              Takes.AT_ONCE, 10_000, 250_000_000),
    Parameter('region.x', 0.0,
              "Left edge of the part of the frame that is looked at, as a fraction of the frame's "
              'width; region.x + region.width is at most 1.', Takes.AT_ONCE, 0.0, 1.0),
    Parameter('region.y', 0.0,
              "Upper edge of that part, as a fraction of the frame's height.",
              Takes.AT_ONCE, 0.0, 1.0),
    Parameter('region.width', 1.0,
              "Width of that part, as a fraction of the frame's width.",
              Takes.AT_ONCE, LEAST, 1.0),
    Parameter('region.height', 1.0,
              "Height of that part, as a fraction of the frame's height.",
              Takes.AT_ONCE, LEAST, 1.0),
    Parameter('region.rotation', 0,
              'Degrees by which that part is turned clockwise before it is looked at: 0, 90, 180 '
              'or 270.', Takes.AT_ONCE, 0, 270),
    Parameter('locate.mode', 'off',
              'off: the whole region is shown to the model; auto: the object alone, where it is '
              'small and stands out from the ground; ground: the same, for a camera that stands '
              'still: it learns the empty place, and shows what differs from it.', Takes.AT_ONCE,
              choices=('off', 'auto', 'ground')),
    Parameter('locate.single', False,
              'Decide unknown:several_tools where locate.mode finds several objects of about the '
              'same weight.', Takes.AT_ONCE),
    Parameter('providers', ['CPUExecutionProvider'],
              'Execution providers of onnxruntime, the wanted one first. One that is not there '
              'is an error, never a silent fallback.', Takes.AT_RELOAD),
    Parameter('intra_op_threads', 0,
              'Threads within one inference; 0: one per core.', Takes.AT_RELOAD, 0, 256),
    Parameter('decision.min_probability', 0.6,
              'Below this probability the decision is unknown:low_confidence.',
              Takes.AT_ONCE, 0.0, 1.0),
    Parameter('decision.reject_unknown', True,
              'Decide unknown:not_a_known_tool for what the model takes for none of its labels, '
              'if it can tell.', Takes.AT_ONCE),
    Parameter('decision.check_quality', True,
              'Decide unknown:dark, unknown:overexposed, unknown:blurred or unknown:frozen for a '
              'frame that is not fit for a decision.', Takes.AT_ONCE),
    Parameter('decision.frozen_after', 30,
              'Identical frames in a row after which the camera is taken for frozen.',
              Takes.AT_RELOAD, 2, 1_000_000),
    Parameter('decision.coverage', 0.0,
              'Publish answer sets that hold the true label for this share of the frames, in the '
              'mean; 0: none.', Takes.AT_RELOAD, 0.0, 0.999),
    Parameter('decision.deadline', 0.5,
              'Seconds without a prediction for a fresh frame after which the decision becomes '
              'stale:no_frame; a prediction that took longer is stale, too.',
              Takes.AT_ONCE, 0.01, 60.0),
    Parameter('decision.max_frame_age', 0.0,
              "Seconds between a frame's stamp and its prediction above which the decision is "
              "stale:no_frame; 0: not checked. Needs a camera whose clock is the node's.",
              Takes.AT_ONCE, 0.0, 3600.0),
    Parameter('decision.refused_share', 0.5,
              'Share of the last 200 decisions above which a reserved id, such as unknown:dark or '
              'unknown:not_a_known_tool, is a warning in /diagnostics, with what mends it. Where '
              'nothing is in view most of the time, set it above that share; 1: never.',
              Takes.AT_ONCE, 0.0, 1.0),
    Parameter('decision.stop_on_drift', False,
              'From a drift alarm until its reset, decide degraded:drift.', Takes.AT_ONCE),
    Parameter('passage.gate', 'off',
              'When an object is before the camera, so that all of its frames get one answer. '
              'off: each frame is on its own; topic: while object_present is true; picture: while '
              'the place does not look empty; service: answer_now opens a passage.',
              Takes.AT_CONFIGURE, choices=('off', 'topic', 'picture', 'service')),
    Parameter('passage.min_probability', 0.99,
              'Probability of a label with which a passage is decided for it, as soon as it is '
              'reached.', Takes.AT_CONFIGURE, 0.5, 1.0),
    Parameter('passage.min_frames', 3,
              'Frames, fit for an answer, before a passage is decided.',
              Takes.AT_CONFIGURE, 1, 1000),
    Parameter('passage.correlation', 0.75,
              'How much the frames of one passage are alike: n of them are worth '
              'n / (1 + (n - 1) correlation). 0: as n different objects; 1: as one frame. The '
              'passages in /diagnostics say which value fits those that were confirmed.',
              Takes.AT_CONFIGURE, 0.0, 1.0),
    Parameter('passage.debounce', 0.05,
              'Seconds that an object must be there, or away, before it counts; the answer comes '
              'later by as much.', Takes.AT_CONFIGURE, 0.0, 10.0),
    Parameter('passage.max_seconds', 10.0,
              'Seconds after which a passage ends, whatever the gate says; the next one begins '
              'when the gate has said that nothing is there.',
              Takes.AT_CONFIGURE, 0.1, 3600.0),
    Parameter('passage.seconds', 2.0,
              'Seconds of a passage that answer_now opens, at most: it ends with the answer.',
              Takes.AT_CONFIGURE, 0.1, 60.0),
    Parameter('monitor.window', 200,
              'Confirmed frames over which the rolling figures are taken.',
              Takes.AT_CONFIGURE, 2, 100_000),
    Parameter('monitor.minimum', 30,
              'Confirmed frames below which nothing is called in control.',
              Takes.AT_CONFIGURE, 1, 100_000),
    Parameter('monitor.run_length', 2000,
              'The promise: at most one false drift alarm in this many confirmed frames, in the '
              'mean.', Takes.AT_CONFIGURE, 20, 10_000_000),
    Parameter('monitor.reference', 'line',
              'What drift is measured from. line: the first 200 confirmed labels here, and until '
              "then only what the model's own reference calls grossly wrong is an alarm; model: "
              "the model's reference alone, for a model that was calibrated on frames of this "
              'very line.', Takes.AT_RELOAD, choices=('line', 'model')),
    Parameter('monitor.pending', 20_000,
              'Predictions that wait for a confirmation; the oldest leaves first.',
              Takes.AT_CONFIGURE, 1, 10_000_000),
    Parameter('monitor.late_after', 10.0,
              'Seconds by which newer frames must have been answered for a confirmation to count '
              'as late.', Takes.AT_CONFIGURE, 0.0, 86_400.0),
    Parameter('monitor.skip_repeated', True,
              'Keep a confirmed frame that is nearly the same picture as the last tested one of '
              'its label out of the drift test; it is scored all the same.', Takes.AT_CONFIGURE),
    Parameter('monitor.stale_after', 3600.0,
              'Seconds without a confirmation after which the monitor is stale.',
              Takes.AT_ONCE, 1.0, 31_536_000.0),
    Parameter('monitor.volunteered', 'auto',
              'Confirmations of frames that nobody was asked for. score: they count as all '
              'others, for a source that confirms all frames or picks them blindly; keep: they '
              'are kept, but not scored; auto: keep while inspection.probability is above 0, '
              'otherwise score.', Takes.AT_RELOAD, choices=('auto', 'score', 'keep')),
    Parameter('inspection.probability', 0.0,
              'Each frame is picked for the operator with at least this probability, while '
              'somebody listens to inspection_request; 0: none is.', Takes.AT_RELOAD, 0.0, 1.0),
    Parameter('inspection.uncertain_probability', 0.02,
              'A frame whose label the model does not know at all is picked with this '
              'probability; the entropy sets the probability of frames in between.',
              Takes.AT_RELOAD, 0.0, 1.0),
    Parameter('inspection.max_per_minute', 12.0,
              'Frames picked per minute, at most in the mean; up to three more within one minute.',
              Takes.AT_RELOAD, 0.01, 6000.0),
    Parameter('inspection.expire_after', 120.0,
              'Seconds after which a request without a confirmation counts as expired.',
              Takes.AT_RELOAD, 1.0, 86_400.0),
    Parameter('early_warning.interval', 10.0,
              'Seconds of video of which the early warning takes one sample; longer than a tool '
              'is in view.', Takes.AT_RELOAD, 0.01, 86_400.0),
    Parameter('early_warning.run_length', 10_000.0,
              'A false early warning comes within n samples with a probability of at most '
              'n / run_length.',
              Takes.AT_RELOAD, 20.0, 1e9),
    Parameter('early_warning.mix', False,
              'Warn of another mix of tools, too; only where tools do not come in batches.',
              Takes.AT_RELOAD),
    Parameter('journal.path', '',
              'A file that remembers predictions and confirmations, so that the monitor goes on '
              'after a restart where it was; empty: nothing is remembered.',
              Takes.AT_CONFIGURE),
    Parameter('journal.keep_predictions', 1_000_000,
              'Predictions without a confirmation that the journal keeps, about 200 bytes each.',
              Takes.AT_CONFIGURE, 0, 1_000_000_000),
    Parameter('journal.keep_days', 730.0,
              'Days after which all events leave the journal, confirmations too; 0: they leave '
              'for its size alone.', Takes.AT_CONFIGURE, 0.0, 36_500.0),
    Parameter('journal.max_megabytes', 2000.0,
              'Megabytes of the journal beyond which its oldest events leave it, confirmations '
              'too; 0: no bound. A million confirmations take some 300.',
              Takes.AT_CONFIGURE, 0.0, 1e6),
    Parameter('journal.archive', '',
              'A folder to which events are written before they leave for their age or the '
              "journal's size; empty: they are not kept.", Takes.AT_CONFIGURE),
    Parameter('journal.picture_budget', 500.0,
              'Megabytes of pictures of asked and confirmed frames that the journal keeps, the '
              'most surprising; 0: none.', Takes.AT_CONFIGURE, 0.0, 1e6),
    Parameter('journal.recent_pictures', 64.0,
              'Megabytes of pictures of the last frames that are held in memory in case one is '
              'confirmed.', Takes.AT_CONFIGURE, 0.0, 1e5),
    Parameter('evidence.path', '',
              'A folder that gets one folder for each drift alarm, with the most surprising '
              'frames, figures, parameters and versions; empty: none.', Takes.AT_CONFIGURE),
    Parameter('evidence.budget', 200.0,
              'Megabytes of evidence that are kept, the newest.', Takes.AT_CONFIGURE, 1.0, 1e6),
    Parameter('preview.max_rate', 10.0,
              'Annotated pictures per second, at most; made only while somebody subscribes.',
              Takes.AT_ONCE, 0.1, 120.0),
    Parameter('preview.width', 640,
              'Width of an annotated picture in pixels, at most.', Takes.AT_ONCE, 64, 4096),
    Parameter('preview.jpeg_quality', 80,
              'JPEG quality of an annotated picture.', Takes.AT_ONCE, 10, 100),
    Parameter('plain_model.labels_file', '',
              'For a classifier without our metadata: a text file with one label per line. The '
              'other plain_model parameters count only with it.', Takes.AT_RELOAD),
    Parameter('plain_model.height', 0,
              'Height of its input in pixels; 0: as its graph says.', Takes.AT_RELOAD, 0, 4096),
    Parameter('plain_model.width', 0,
              'Width of its input in pixels; 0: as its graph says.', Takes.AT_RELOAD, 0, 4096),
    Parameter('plain_model.fit', 'crop',
              'How a frame is fitted to its input: letterbox, stretch or crop.',
              Takes.AT_RELOAD, choices=('letterbox', 'stretch', 'crop')),
    Parameter('plain_model.layout', 'nchw', "Order of its input's axes.",
              Takes.AT_RELOAD, choices=('nchw', 'nhwc')),
    Parameter('plain_model.order', 'rgb', "Order of its input's channels.",
              Takes.AT_RELOAD, choices=('rgb', 'bgr')),
    Parameter('plain_model.scale', 1.0 / 255.0,
              'x = (pixel * scale - mean) / std, for a float input.',
              Takes.AT_RELOAD, 1e-9, 1e9),
    Parameter('plain_model.mean', [0.485, 0.456, 0.406], 'Mean per channel.', Takes.AT_RELOAD),
    Parameter('plain_model.std', [0.229, 0.224, 0.225], 'Deviation per channel.',
              Takes.AT_RELOAD),
    Parameter('plain_model.output', 'logits',
              'What its graph returns: logits, or probabilities after a softmax.',
              Takes.AT_RELOAD, choices=('logits', 'probabilities')),
)
BY_NAME: Mapping[str, Parameter] = {parameter.name: parameter for parameter in PARAMETERS}
