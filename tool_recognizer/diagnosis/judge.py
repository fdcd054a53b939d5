"""
From facts to findings, the worst first.

Each finding says in one sentence what is wrong, and gives the command or the argument that mends
it. Rules that only make sense when another one has nothing to say ask for that.
"""

from tool_recognizer.diagnosis import camera_rules
from tool_recognizer.diagnosis import frame_rules
from tool_recognizer.diagnosis import monitor_rules
from tool_recognizer.diagnosis import node_rules
from tool_recognizer.diagnosis.facts import Facts
from tool_recognizer.diagnosis.finding import Commands
from tool_recognizer.diagnosis.finding import Finding
from tool_recognizer.diagnosis.finding import Rule
from tool_recognizer.diagnosis.finding import Severity
from tool_recognizer.diagnosis.missing_node import missing_node

# Findings of one severity are told in this order.
RULES: tuple[Rule, ...] = (
    node_rules.presence, node_rules.lifecycle, camera_rules.publishers, camera_rules.qos,
    frame_rules.arrival, frame_rules.drops, frame_rules.sim_time, monitor_rules.alarms,
    monitor_rules.journal, frame_rules.gate, frame_rules.decisions, monitor_rules.confirmations,
    node_rules.versions, node_rules.other_recognizers)


def judge(facts: Facts, prefix: str = 'ros2 run tool_recognizer') -> list[Finding]:
    """
    Find what is wrong.

    Parameters
    ----------
    facts : what was seen
    prefix : with which a command of this package begins

    Returns
    -------
    The worst first; none, or notes alone, if nothing is wrong

    """
    if facts.node is None:
        findings = [*missing_node(facts, prefix)]
    else:
        commands = Commands(prefix, facts.node.name)
        findings = [finding for rule in RULES for finding in rule(facts, facts.node, commands)]
    return sorted(findings, key=lambda finding: finding.severity)


def is_healthy(findings: list[Finding]) -> bool:
    """Tell whether nothing is wrong."""
    return all(finding.severity is Severity.NOTE for finding in findings)
