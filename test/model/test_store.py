"""A store of models: a version is whole or not there, and what was chosen can be taken back."""

import json
import os
import signal
import subprocess
import sys
from time import monotonic
from time import sleep

import numpy as np
import pytest
from tool_recognizer.model import store as store_module
from tool_recognizer.model.onnx_model import ModelError
from tool_recognizer.model.store import ModelStore
from tool_recognizer.model.store import StoreError


@pytest.fixture
def model(write_model):
    """Write the n-th of different models."""
    def write(number, **options):
        weights = np.eye(3, dtype=np.float32) * (number + 1)
        return write_model(f'{number}.onnx', weights=weights, **options)
    return write


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / 'models')


def test_a_version_is_a_copy_with_what_is_known_of_it(store, model, tmp_path):
    path, report = model(0, metadata={'training': {'data_digest': 'abc'}}), tmp_path / 'r.html'
    report.write_text('page')
    version = store.add(path, 'anna', base='shipped', gate={'passed': True, 'words': 'better'},
                        report=report)
    assert version.name == '0001'
    assert version.model.read_bytes() == path.read_bytes()
    assert version.report.read_text() == 'page'
    path.unlink()
    (read,) = ModelStore(store.path).versions()
    assert read == version
    assert read.about | {'added': ''} == version.about | {'added': ''}
    assert [read.about[key] for key in ('by', 'base', 'data_digest', 'labels')] == [
        'anna', 'shipped', 'abc', ['hammer', 'screwdriver', 'wrench']]
    assert read.about['gate'] == {'passed': True, 'words': 'better'}


def test_held_out_figures_come_with_their_intervals(store, model):
    held = {'photographs': 9, 'recall': 0.9, 'low': 0.6, 'high': 0.98, 'nll': 0.2,
            'nll_low': 0.1, 'nll_high': None}
    figures = store.add(model(0, metadata={'training': {'held_out': {'all': held}}}),
                        'anna').about['figures']
    assert [figures[key] for key in ('accuracy', 'accuracy_ci_low', 'accuracy_ci_high')] == [
        0.9, 0.6, 0.98]
    assert (figures['photographs'], figures['nll'], figures['nll_ci_high']) == (9, 0.2, None)
    # What says nothing of that kind is a model all the same.
    other = store.add(model(1, metadata={'training': {'held_out': 7}}), 'anna')
    assert 'accuracy_ci_low' not in other.about['figures']


def test_the_same_model_is_not_taken_twice(store, model):
    assert store.add(model(0), 'anna') == store.add(model(0), 'ben')
    assert len(store.versions()) == 1


def test_nothing_is_in_charge_until_it_is_chosen_and_back_leads_back_step_by_step(store, model):
    for number in range(3):
        store.add(model(number), 'anna')
    assert store.chosen() is None
    assert store.standing() == []
    for name in ('1', '0002', '0003'):
        assert store.choose(name, 'anna').name == store.chosen().name
    assert store.standing() == ['0001', '0002', '0003']
    assert [store.go_back('ben').name, store.go_back('ben').name] == ['0002', '0001']
    store.choose('3', 'anna')
    assert store.go_back('ben').name == '0001'
    assert store.go_back('ben') is None
    with pytest.raises(StoreError, match='none to go back from'):
        store.go_back('ben')
    assert [(c.version, c.by, c.back) for c in store.choices()][-2:] == [
        ('0001', 'ben', True), ('', 'ben', True)]


def test_a_version_is_found_by_its_number_or_the_beginning_of_its_digest(store, model):
    first = store.add(model(0), 'anna')
    assert store.version(first.digest[:8]) == store.version('1') == first
    for name in ('7', 'nonsense', first.digest[:3], '', '../0001'):
        with pytest.raises(StoreError, match='no version'):
            store.version(name)


def test_a_file_that_is_no_model_is_refused_and_leaves_nothing(store, tmp_path):
    path = tmp_path / 'no.onnx'
    path.write_text('no model')
    with pytest.raises(ModelError):
        store.add(path, 'anna')
    assert not store.path.exists()


@pytest.mark.parametrize('by', ['', ' ', 'a\nb', 'a‮b', 'x' * 101])
def test_who_did_it_must_be_a_name(store, model, by):
    with pytest.raises(StoreError, match='who did it'):
        store.add(model(0), by)


def test_a_full_disk_leaves_the_store_as_it_was(store, model, monkeypatch):
    store.add(model(0), 'anna')
    written = []

    def full(path, content, opener=None):
        written.append(path)
        if len(written) == 2:
            raise OSError(28, 'No space left on device')
        path.write_bytes(content)
    monkeypatch.setattr(store_module, 'write_whole', full)
    with pytest.raises(StoreError, match=r'No space left on device.*make room'):
        store.add(model(1), 'anna')
    assert sorted(os.listdir(store.path)) == ['.lock', '0001']


def test_what_was_changed_by_others_is_never_put_in_charge(store, model):
    first, second = (store.add(model(number), 'anna') for number in range(2))
    store.choose('1', 'anna')
    second.model.write_bytes(first.model.read_bytes())
    with pytest.raises(StoreError, match='has changed since it came'):
        store.choose('2', 'anna')
    assert store.chosen().name == '0001'
    (first.folder / 'about.json').write_text('{')
    with pytest.raises(StoreError, match=r'cannot be used.*choose another'):
        store.chosen()
    damaged = store.versions()[0]
    assert 'about.json' in damaged.damage
    (store.path / 'choices.json').write_text('[]')
    with pytest.raises(StoreError, match=r'choices.json: is damaged'):
        store.choices()


def test_pruning_spares_what_is_in_charge_and_what_was_before_it(store, model):
    for number in range(6):
        store.add(model(number), 'anna')
    store.choose('1', 'anna')
    store.choose('2', 'anna')
    assert store.prune(2) == ['0003', '0004']
    assert [v.name for v in store.versions()] == ['0001', '0002', '0005', '0006']
    assert store.prune(1) == ['0005']


def test_the_store_is_bounded_and_no_name_comes_twice(store, model, monkeypatch):
    monkeypatch.setattr(store_module, 'MOST', 2)
    monkeypatch.setattr(store_module, 'MOST_CHOICES', 3)
    for number in range(4):
        store.add(model(number), 'anna')
    assert [v.name for v in store.versions()] == ['0003', '0004']
    for name in ('3', '4') * 3:
        store.choose(name, 'anna')
    assert 0 < len(store.choices()) <= 3
    assert store.chosen().name == '0004'
    assert store.add(model(9), 'anna').name == '0005'


def test_very_many_choices_do_not_forget_what_is_in_charge(store, model, monkeypatch):
    monkeypatch.setattr(store_module, 'MOST_CHOICES', 6)
    for number in range(2):
        store.add(model(number), 'anna')
    store.choose('1', 'anna')
    for _ in range(10):
        store.choose('2', 'anna')
        assert store.go_back('ben').name == store.chosen().name == '0001'
        assert len(store.choices()) <= 6


def test_choices_of_what_is_no_version_are_damage(store, model):
    store.add(model(0), 'anna')
    store.choose('1', 'anna')
    path = store.path / 'choices.json'
    path.write_text(path.read_text().replace('0001', '../../elsewhere'))
    for use in (store.chosen, lambda: store.add(model(1), 'anna')):
        with pytest.raises(StoreError, match=r'is damaged.*no name of a version'):
            use()


def test_what_cannot_be_written_of_a_model_is_refused_and_leaves_nothing(store, model):
    with pytest.raises(StoreError, match='NaN'):
        store.add(model(0), 'anna', gate={'difference': float('nan')})
    assert not store.path.exists()


WRITER = """
import sys
from pathlib import Path
from tool_recognizer.model.store import ModelStore
store = ModelStore(sys.argv[1])
files = sorted(Path(sys.argv[2]).glob('*.onnx'))
print('ready', flush=True)
while True:
    for number, file in enumerate(files):
        version = store.add(file, 'anna')
        store.choose(version.name, 'anna')
        print(version.name, flush=True)
        store.prune(1)
"""


def test_a_kill_at_any_moment_leaves_whole_versions_and_a_choice_that_can_be_read(
        store, model, tmp_path):
    for number in range(4):
        model(number)
    said = tmp_path / 'said.txt'
    for moment in range(4):
        with said.open('w') as output:
            process = subprocess.Popen([sys.executable, '-c', WRITER, str(store.path),
                                        str(tmp_path)], stdout=output)
            try:
                end = monotonic() + 90
                while len(said.read_text().splitlines()) < 2 + moment:
                    assert process.poll() is None
                    assert monotonic() < end
                    sleep(0.001)
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
        versions = store.versions()
        assert versions
        assert [v.damage for v in versions] == [''] * len(versions)
        last = said.read_text().splitlines()[-1]
        assert last in [c.version for c in store.choices()]
        assert store.chosen() in versions
    store.add(model(9), 'anna')
    assert not list(store.path.glob('.new-*'))


def test_two_writers_wait_for_each_other(store, model, tmp_path):
    store.add(model(0), 'anna')
    (tmp_path / 'two').mkdir()
    paths = [model(number) for number in range(1, 7)]
    code = ('import sys\nfrom tool_recognizer.model.store import ModelStore\n'
            'for path in sys.argv[2:]: ModelStore(sys.argv[1]).add(__import__("pathlib").'
            'Path(path), "anna")')
    both = [subprocess.Popen([sys.executable, '-c', code, str(store.path), *map(str, half)])
            for half in (paths[::2], paths[1::2])]
    assert [process.wait(120) for process in both] == [0, 0]
    assert [v.name for v in store.versions()] == [f'000{n}' for n in range(1, 8)]
    assert len({json.dumps(v.digest) for v in store.versions()}) == 7
