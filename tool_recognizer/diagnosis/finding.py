"""A finding, and the commands of this package that mend it."""

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.facts import Recognizer

DEFAULT_NODE = '/tool_recognizer'


class Severity(IntEnum):
    """How bad a finding is; a note is no fault."""

    ERROR = 0
    WARNING = 1
    NOTE = 2


@dataclass(frozen=True)
class Finding:
    """
    What is wrong, and what mends it.

    Attributes
    ----------
    severity : how bad
    code : one word, the same for ever, for scripts
    what : one sentence
    cure : a command or what to do

    """

    severity: Severity
    code: str
    what: str
    cure: str


@dataclass(frozen=True)
class Commands:
    """The commands of this package as their reader has to type them, for one node."""

    prefix: str
    node: str

    def __call__(self, *words: str) -> str:
        """Write one of them."""
        target = [] if self.node == DEFAULT_NODE else ['--node', self.node]
        return ' '.join([self.prefix, *words, *target])

    def reconfigured(self, name: str, value: object) -> str:
        """Write how a parameter is changed that takes effect at configure."""
        return ' && '.join([self('call', 'deactivate'), self('call', 'cleanup'),
                            self('set', name, str(value)), self('call', 'configure'),
                            self('call', 'activate')])


Rule = Callable[[Facts, Recognizer, Commands], Iterator[Finding]]
