"""Why a recognizer is not heard at all."""

from collections.abc import Iterator
from collections.abc import Mapping
from difflib import get_close_matches

from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.finding import Finding
from tool_recognizer.diagnosis.finding import Severity


def missing_node(facts: Facts, prefix: str) -> Iterator[Finding]:
    """
    Find why the node that was asked for is not heard.

    Parameters
    ----------
    facts : without a node
    prefix : with which a command of this package begins

    """
    here = facts.place.environment
    domain = here.get('ROS_DOMAIN_ID') or '0'
    heard = (f'{len(facts.nodes)} others are' if facts.nodes else 'nor is any other node')
    like = [*facts.recognizers] or get_close_matches(facts.wanted, facts.nodes, 3)
    space = facts.wanted.rpartition('/')[0]
    cure = (f'{prefix} recognizer --ros-args -p autostart:=true'
            + (f' -r __ns:={space}' if space else ''))
    if like:
        cure = f'{prefix} doctor --node {like[0]}'
    yield Finding(
        Severity.ERROR, 'no_node',
        f'no node {facts.wanted} is heard in domain {domain}, {heard}'
        + (f'; {" and ".join(like)} {"is" if len(like) == 1 else "are"} there' if like else ''),
        cure)
    # Of several that are set up alike, one is told.
    alike = {tuple(sorted(process.environment.items())): process
             for process in reversed(facts.place.processes)}
    for process in reversed(alike.values()):
        yield from _elsewhere(facts, process.number, process.environment)
    reach = here.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '').upper()
    if here.get('ROS_LOCALHOST_ONLY') == '1' or reach in ('LOCALHOST', 'OFF'):
        name = ('ROS_LOCALHOST_ONLY=1' if here.get('ROS_LOCALHOST_ONLY') == '1'
                else f'ROS_AUTOMATIC_DISCOVERY_RANGE={reach}')
        yield Finding(
            Severity.NOTE, 'discovery_range', f'with {name} nothing is heard of '
            + ('any other process' if reach == 'OFF' else 'other machines'),
            'if the recognizer is on another one: unset ROS_LOCALHOST_ONLY; '
            'export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET')
    elif not facts.nodes:
        yield Finding(
            Severity.NOTE, 'discovery', 'nothing at all is heard: the others may have another '
            'ROS_DOMAIN_ID, a narrower ROS_AUTOMATIC_DISCOVERY_RANGE, or another '
            'RMW_IMPLEMENTATION; or the network lets no multicast through',
            'printenv | grep -e ROS -e RMW in the shells of both, and set the same')


def _elsewhere(facts: Facts, number: int, theirs: Mapping[str, str]) -> Iterator[Finding]:
    here = facts.place.environment
    for name, code, default in (
            ('ROS_DOMAIN_ID', 'other_domain', '0'),
            ('RMW_IMPLEMENTATION', 'other_middleware', 'rmw_fastrtps_cpp')):
        its, ours = theirs.get(name) or default, here.get(name) or default
        if its != ours:
            yield Finding(
                Severity.ERROR, code,
                f'a recognizer runs on this machine (process {number}) with {name}={its}, '
                f'here it is {ours}: the two do not hear each other', f'export {name}={its}')
            return
    if (theirs.get('ROS_AUTOMATIC_DISCOVERY_RANGE') or '').upper() == 'OFF':
        yield Finding(
            Severity.ERROR, 'other_range', f'a recognizer runs on this machine (process {number}) '
            'with ROS_AUTOMATIC_DISCOVERY_RANGE=OFF: nobody hears it',
            'start it with ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, or SUBNET')
    elif not facts.recognizers:
        yield Finding(
            Severity.ERROR, 'not_heard', f'a recognizer runs on this machine (process {number}), '
            'and is not heard: it is only just starting, or it is stopped or hangs',
            f'look again; if it is still so, look into its log, and end it: kill {number}')
