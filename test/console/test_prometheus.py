"""The rules and the dashboard ask only for what the console tells; promtool agrees, if there."""

import json
from pathlib import Path
import re
import shutil
import subprocess

import pytest
from tool_recognizer.console.board import Status
from tool_recognizer.console.metrics import GAUGES
from tool_recognizer.console.metrics import Metrics
import yaml

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / 'config' / 'prometheus-rules.yml'
DASHBOARD = ROOT / 'config' / 'grafana-dashboard.json'
PROMTOOL = shutil.which('promtool')
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool is installed (it comes with Debian's prometheus)")


def everything():
    """Return the metrics of a console that has seen everything once."""
    metrics = Metrics()
    metrics.predicted((0.5, 0.5), 0.01)
    metrics.decided('wrench')
    metrics.acknowledged('scored')
    metrics.client('operator', 1)
    metrics.collect_from(lambda: {
        'alive': True, 'open': 1, 'unacknowledged': 0,
        'requests': {'asked': 2, 'expired': 1},
        'monitor': Status(0, '', dict.fromkeys([*GAUGES, 'scored'], '1.0')),
        'health': {
            'input': Status(0, '', {'received': '2', 'answered': '1', 'dropped_busy': '1'}),
            'inference': Status(0, '', {'latency_p50_ms': '1.0', 'model_digest': 'a'}),
            'journal': Status(0, '')}})
    return metrics.text()


def asked_for(text):
    return set(re.findall(r'\btool_recognizer_\w+', text))


def test_every_metric_that_a_rule_or_a_panel_asks_for_is_exported():
    exported = set(re.findall(r'^(tool_recognizer_\w+)', everything().decode(), re.MULTILINE))
    rules = yaml.safe_load(RULES.read_text())['groups'][0]['rules']
    panels = json.loads(DASHBOARD.read_text())['panels']
    asked = [rule['expr'] for rule in rules]
    asked += [target['expr'] for panel in panels for target in panel['targets']]
    assert len(asked) > 20
    assert asked_for('\n'.join(asked)) <= exported


def test_no_two_panels_lie_on_one_another():
    places = [panel['gridPos'] for panel in json.loads(DASHBOARD.read_text())['panels']]
    covered = [(x, y) for place in places
               for x in range(place['x'], place['x'] + place['w'])
               for y in range(place['y'], place['y'] + place['h'])]
    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) < 24


@needs_promtool
@pytest.mark.parametrize('arguments', [
    ['check', 'rules', str(RULES)],
    ['test', 'rules', str(Path(__file__).parent / 'prometheus-rules-test.yml')]])
def test_promtool_accepts_the_rules_and_they_fire_when_they_should(arguments):
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_finds_no_fault_with_the_metrics():
    done = subprocess.run([PROMTOOL, 'check', 'metrics'], input=everything(),
                          capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
