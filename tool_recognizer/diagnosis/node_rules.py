"""What is wrong with the node itself: its name, lifecycle, model and versions."""

from collections.abc import Iterator

from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.facts import Recognizer
from tool_recognizer.diagnosis.finding import Commands
from tool_recognizer.diagnosis.finding import Finding
from tool_recognizer.diagnosis.finding import Severity


def presence(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find nodes of one name, and one that does not reply."""
    if node.count > 1:
        yield Finding(
            Severity.ERROR, 'same_name', f'{node.count} nodes are named {node.name}: services '
            'reach any of them, and their answers mix', 'end all but one, or start each with its '
            'own --ros-args -r __ns:=/NAME')
    if not node.state:
        yield Finding(
            Severity.ERROR, 'no_reply', f'{node.name} is in the graph, but answers no service: it '
            'hangs, or has just been killed', 'wait half a minute and look again; if it is still '
            'so, end it and start it anew')


def lifecycle(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find a node that is not active, and a model that was refused."""
    refused = node.model or next((e for e in node.errors), '')
    if node.state == 'unconfigured':
        if refused:
            yield Finding(
                Severity.ERROR, 'model_refused', f'it cannot be configured: {refused}',
                f'set model_path to a model that can be used ({commands("set", "model_path")} '
                f'FILE), then {commands("call", "configure")} && {commands("call", "activate")}')
        yield Finding(
            Severity.ERROR, 'unconfigured', f'{node.name} is not configured: it has no model and '
            'answers nothing', f'{commands("call", "configure")} && '
            f'{commands("call", "activate")}; or start it with -p autostart:=true')
    elif node.state == 'inactive':
        yield Finding(Severity.ERROR, 'inactive', f'{node.name} is not active: it hears no camera',
                      commands('call', 'activate'))
    elif node.state == 'finalized':
        yield Finding(Severity.ERROR, 'finalized', f'{node.name} has been shut down',
                      'end it and start it anew')
    elif node.state == 'active' and node.said('input', 'enabled') == 'False':
        yield Finding(Severity.ERROR, 'paused', 'it is paused: every frame is dropped',
                      commands('call', 'enable'))
    reload = node.said('inference', 'refused')
    if reload:
        yield Finding(
            Severity.ERROR, 'model_refused', 'the last reload was refused, and the old model '
            f'stays: {reload}', f'mend that, then {commands("call", "reload_model")}')


def versions(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find packages that are of other versions there than here."""
    for package, ours in facts.place.versions.items():
        theirs = node.said('inference', f'version_{package}')
        if theirs and ours and theirs != ours:
            yield Finding(Severity.WARNING, 'versions',
                          f'the node runs with {package} {theirs}, here it is {ours}',
                          'source the same environment in both shells, and start the node anew '
                          'after an update')


def other_recognizers(facts: Facts, node: Recognizer, commands: Commands) -> Iterator[Finding]:
    """Find recognizers beside the one that is looked at."""
    others = [name for name in facts.recognizers if name != node.name]
    if others:
        yield Finding(Severity.NOTE, 'others', f'there are other recognizers: {", ".join(others)}',
                      f'{commands.prefix} doctor --node {others[0]}')
