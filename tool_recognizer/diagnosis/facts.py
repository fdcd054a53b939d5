"""What can be observed of a recognizer from outside: plain values from ``ros.observer``."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field

# The levels of diagnostic_msgs/DiagnosticStatus.
OK, WARN, ERROR, STALE = range(4)
# The types of a camera's frames, as they are and compressed.
RAW, PACKED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'


@dataclass(frozen=True)
class Status:
    """A diagnostic_msgs/DiagnosticStatus."""

    level: int = OK
    message: str = ''
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """
    One end of a topic.

    Attributes
    ----------
    node : its full name
    kind : the message's type, as in 'sensor_msgs/msg/Image'
    reliable, latched : what a publisher offers, or a subscription asks for

    """

    node: str
    kind: str
    reliable: bool = False
    latched: bool = False


@dataclass(frozen=True)
class Topic:
    """Who publishes a topic, and who listens."""

    name: str
    publishers: tuple[End, ...] = ()
    subscribers: tuple[End, ...] = ()


@dataclass(frozen=True)
class Frames:
    """
    The camera's frames, as received beside the recognizer.

    Attributes
    ----------
    heard : frames received
    sent : frames by their publisher's count, from the first one heard to the last; 0: not known
    rate : frames received per second; 0 for fewer than two
    largest : bytes of the largest one
    trouble : what is wrong with their stamps, and how to mend it
    age : median of the seconds from a frame's stamp to its arrival; None without a frame

    """

    heard: int = 0
    sent: int = 0
    rate: float = 0.0
    largest: int = 0
    trouble: str = ''
    age: float | None = None


@dataclass(frozen=True)
class Clock:
    """Simulated time: how many publish /clock, and how often it moved forward."""

    publishers: int = 0
    ticks: int = 0


@dataclass(frozen=True)
class Process:
    """A recognizer that runs on this machine, with those of its variables that ROS reads."""

    number: int
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """
    The machine and the environment that we observe from.

    Attributes
    ----------
    environment : those of our variables that ROS reads
    middleware : as in 'rmw_fastrtps_cpp'
    versions : by package
    profile : the file that makes Fast DDS carry large frames; '' if it is not found
    processes : the recognizers on this machine

    """

    environment: Mapping[str, str] = field(default_factory=dict)
    middleware: str = 'rmw_fastrtps_cpp'
    versions: Mapping[str, str] = field(default_factory=dict)
    profile: str = ''
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True)
class Recognizer:
    """
    The node that is observed.

    Attributes
    ----------
    name : its full name
    count : how many nodes have it
    state : of its lifecycle; '' if it responds to no service
    parameters : by name
    statuses : its statuses in /diagnostics, by the name's last part ('input', ...); 'monitor' is
        the one on ~/monitor
    before : the first statuses that were received
    decisions : how often each was received
    labels : the model's
    errors : its last log lines of level ERROR
    model : why its model file cannot be used, if that was tried; or ''

    """

    name: str
    count: int = 1
    state: str = 'active'
    parameters: Mapping[str, object] = field(default_factory=dict)
    statuses: Mapping[str, Status] = field(default_factory=dict)
    before: Mapping[str, Status] = field(default_factory=dict)
    decisions: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    model: str = ''

    def said(self, status: str, name: str) -> str | None:
        """Return a value of one of the statuses; None if it is not there."""
        found = self.statuses.get(status)
        return None if found is None else found.values.get(name)

    def counted(self, name: str) -> int:
        """Return a count of the input while we looked, or if nothing came, since the start."""
        after = int(self.said('input', name) or 0)
        before = self.before.get('input')
        if before is None or int(self.said('input', 'received') or 0) == int(
                before.values.get('received') or 0):
            return after
        return after - int(before.values.get(name) or 0)


@dataclass(frozen=True)
class Facts:
    """
    All facts.

    Attributes
    ----------
    wanted : the full name of the node that was asked for
    node : what was found; None if there is no such node
    nodes : the full names of all nodes, ours left out
    recognizers : of those that are recognizers
    camera : the topic that the node listens to; '' if that is not known
    topics : by name: the node's, the camera's, and the camera's other transport
    seconds : how long we listened

    """

    wanted: str
    node: Recognizer | None = None
    nodes: tuple[str, ...] = ()
    recognizers: tuple[str, ...] = ()
    camera: str = ''
    topics: Mapping[str, Topic] = field(default_factory=dict)
    frames: Frames = Frames()
    clock: Clock = Clock()
    place: Place = Place()
    seconds: float = 5.0

    @property
    def camera_kind(self) -> str:
        """Return the type that the node listens for at the camera."""
        return PACKED if self.camera.endswith('/compressed') else RAW
