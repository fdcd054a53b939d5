"""Evaluation: the figures against independent ones, comparison, and what is refused."""

from contextlib import suppress
from hashlib import sha256
import json
import os
import re
import shutil

import cv2
from journal_writer import JournalWriter
import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import log_loss
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.model.file import seen_entry
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.codec import read_picture
from tool_recognizer.programs.evaluate import main
from tool_recognizer.training.labelled import find_examples


@pytest.fixture(scope='module')
def figures(photo_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp('evaluate') / 'figures.json'
    assert main([str(DEFAULT_MODEL), str(photo_folder), '--json', str(path), '--quiet']) == 0
    return json.loads(path.read_text())


@pytest.fixture(scope='module')
def photo_folder(photos):
    return photos[0][0].parent.parent


@pytest.fixture
def colours(tmp_path):
    """Pictures of one colour each, for the small models that answer with the mean colour."""
    shades = {'hammer': (200, 20, 40), 'screwdriver': (30, 180, 60), 'wrench': (150, 90, 200)}
    for label, rgb in shades.items():
        (tmp_path / 'data' / label).mkdir(parents=True)
        for index in range(4):
            picture = np.full((20, 20, 3), rgb[::-1], np.uint8) + np.uint8(3 * index)
            cv2.imwrite(str(tmp_path / 'data' / label / f'{index}.png'), picture)
    return tmp_path / 'data'


def test_the_default_model_is_right_on_photographs_that_it_was_made_of(figures):
    assert figures['accuracy'] == 1.0
    assert figures['counts'] == {'hammer': 3, 'screwdriver': 3, 'wrench': 3, 'other': 3}


def test_the_figures_are_those_of_the_models_answers(figures, photos):
    model = OnnxModel.load(DEFAULT_MODEL)
    known = [(path, label) for path, label in photos if label in model.labels]
    pictures = []
    for path, _ in known:
        pixels, order = read_picture(path, model.input)
        pictures.append(fit_image(pixels, model.input, order))
    logits = np.concatenate([model.infer(p[np.newaxis])[0] for p in pictures]).astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = log_loss([label for _, label in known], p, labels=list(model.labels))
    assert figures['nll'] == pytest.approx(expected, abs=1e-4)
    # A confirmed label is certain, so its KL is its NLL.
    assert figures['kl'] == pytest.approx(figures['nll'], abs=1e-9)
    assert np.trace(figures['confusion']) == 9


def test_the_table_is_for_people(photo_folder, capsys):
    assert main([str(DEFAULT_MODEL), str(photo_folder)]) == 0
    printed = capsys.readouterr().out
    for word in ('accuracy 1.0000', 'NLL', 'ECE', 'AUROC', 'recall', 'hammer, right'):
        assert word in printed


def test_each_change_is_measured_and_the_gravest_cost_the_most(photo_folder, tmp_path, capsys):
    path, page = tmp_path / 'figures.json', tmp_path / 'page.html'
    assert main([str(DEFAULT_MODEL), str(photo_folder), '--robust', '--json', str(path),
                 '--html', str(page)]) == 0
    rows = {row['change']: row for row in json.loads(path.read_text())['robustness']}
    plain = rows['as it is']
    assert (plain['photographs'], plain['others']) == (9, 3)
    assert plain['accuracy'] == 1.0
    assert plain['wrong'] == 0.0
    # A camera out of focus is refused rather than answered wrongly.
    assert rows['moved by 7 pixels']['refused'] > plain['refused']
    assert all(row['wrong'] + row['refused'] <= 1.0 for row in rows.values())
    assert 0 < rows['on checks']['photographs'] <= 9
    printed, html = capsys.readouterr().out, page.read_text()
    for name in rows:
        assert name in printed
        assert name in html


def test_a_better_model_passes_the_gate_and_a_worse_one_does_not(colours, write_model, tmp_path):
    sharp = write_model('sharp.onnx', weights=np.eye(3, dtype=np.float32) * 3)
    dull = write_model('dull.onnx', weights=np.eye(3, dtype=np.float32) * 0.3)
    path = tmp_path / 'figures.json'
    common = ['--gate', '--quiet', '--json', str(path)]
    assert main([str(sharp), str(colours), '--against', str(dull), *common]) == 0
    against = json.loads(path.read_text())['against']
    assert against['nll_difference_low'] <= against['nll_difference'] < 0
    assert against['nll_difference'] <= against['nll_difference_high'] < 0
    assert main([str(dull), str(colours), '--against', str(sharp), *common]) == 1
    # A model is not better than itself.
    assert main([str(sharp), str(colours), '--against', str(sharp), *common]) == 1


@pytest.mark.parametrize('quiet', [[], ['--quiet']])
def test_the_gate_says_its_verdict(colours, write_model, capsys, quiet):
    sharp = str(write_model('sharp.onnx', weights=np.eye(3, dtype=np.float32) * 3))
    dull = str(write_model('dull.onnx', weights=np.eye(3, dtype=np.float32) * 0.3))

    def verdict(model, other):
        status = main([model, str(colours), '--against', other, '--gate', *quiet])
        lines = capsys.readouterr().out.splitlines()
        assert (len(lines) == 1) == bool(quiet)
        return status, lines[-1]

    status, line = verdict(sharp, dull)
    assert status == 0
    assert re.fullmatch(r'gate: passed: the interval -0\.\d{4} to -0\.\d{4} lies below 0', line)
    assert verdict(sharp, sharp) == (1, 'gate: not passed: identical on all 12 frames')
    status, line = verdict(dull, sharp)
    assert status == 1
    assert re.fullmatch(
        r'gate: not passed: the interval \+0\.\d{4} to \+0\.\d{4} reaches above 0', line)


def test_models_with_different_labels_are_compared_on_those_that_both_know(
        colours, write_model, tmp_path, capsys):
    path = tmp_path / 'out.json'
    three = str(write_model())
    two = str(write_model('two.onnx', labels=('wrench', 'hammer'),
                          weights=np.array([[0.0, 0.4], [0.0, 0.0], [0.4, 0.0]])))
    common = [str(colours), '--gate', '--json', str(path), '--quiet']
    assert main([three, *common, '--against', two]) == 0
    gate = json.loads(path.read_text())['gate']
    assert (gate['frames'], gate['new'], gate['lost']) == (8, ['screwdriver'], [])
    assert gate['words'].endswith('on 8 frames of the labels that both know; screwdriver only it '
                                  'knows')
    assert main([two, *common, '--against', three]) == 1
    gate = json.loads(path.read_text())['gate']
    assert (gate['passed'], gate['lost']) == (False, ['screwdriver'])
    assert 'it does not know screwdriver' in capsys.readouterr().out


def test_a_model_is_identical_with_itself_on_every_frame(colours, write_model, tmp_path, capsys):
    model, report = str(write_model()), tmp_path / 'report.html'
    assert main([model, str(colours), '--against', model, '--html', str(report)]) == 0
    assert 'NLL: identical on all 12 frames' in capsys.readouterr().out
    assert 'The NLL is identical on all 12 frames.' in report.read_text()
    # Surer of hammers, and so less sure of wrenches.
    other = str(write_model('other.onnx', weights=np.diag([1.3, 1.0, 1.0]).astype(np.float32)))
    assert main([other, str(colours), '--against', model, '--html', str(report), '--quiet']) == 0
    assert 'this model is neither better nor worse' in report.read_text()


def test_without_a_gate_there_is_no_verdict(colours, write_model, capsys):
    sharp = write_model('sharp.onnx', weights=np.eye(3, dtype=np.float32) * 3)
    assert main([str(sharp), str(colours), '--against', str(write_model())]) == 0
    assert 'gate:' not in capsys.readouterr().out


def test_without_other_things_there_is_no_ranking_and_it_is_null(colours, write_model, tmp_path):
    path = tmp_path / 'figures.json'
    assert main([str(write_model()), str(colours), '--json', str(path), '--quiet']) == 0
    figures = json.loads(path.read_text())
    assert figures['auroc'] is None
    assert figures['counts']['other'] == 0


def test_without_other_things_nothing_is_said_of_them(photo_folder, tmp_path, capsys):
    for label in OnnxModel.load(DEFAULT_MODEL).labels:
        shutil.copytree(photo_folder / label, tmp_path / 'known' / label)
    report = tmp_path / 'report.html'

    def said(folder):
        assert main([str(DEFAULT_MODEL), str(folder), '--html', str(report)]) == 0
        return capsys.readouterr().out, re.sub('<img.*?>', '', report.read_text())

    for page in said(tmp_path / 'known'):
        assert 'AUROC' not in page
        assert 'nan' not in page
        assert 'of the other' not in page
        assert 'of other things' not in page
    for page in said(photo_folder):
        assert 'AUROC' in page
        assert 'of other things' in page


def test_figures_on_the_models_own_photographs_come_with_a_warning(
        colours, write_model, tmp_path, capsys):
    own = [sha256((colours / 'wrench' / f'{i}.png').read_bytes()).hexdigest() for i in range(3)]
    model = str(write_model(metadata={'training': {'seen': seen_entry(own[:2])},
                                      'backbone': {'seen': own[1:]}}))
    report = tmp_path / 'report.html'
    figures = figures_of(tmp_path, model, colours, '--html', report)
    assert figures['seen'] == 3
    assert 'was trained on at least 3 of these 12 pictures' in capsys.readouterr().err
    assert 'was trained on at least 3 of these pictures' in report.read_text()
    other = write_model('other.onnx')
    assert figures_of(tmp_path, other, colours, '--html', report)['seen'] == 0
    assert 'trained on' not in capsys.readouterr().err + report.read_text()
    # A model against itself is warned of once.
    figures_of(tmp_path, model, colours, '--against', model)
    assert capsys.readouterr().err.count('was trained on') == 1
    # The other one has an unfair advantage then.
    assert figures_of(tmp_path, other, colours, '--against', model)['seen'] == 0
    assert 'model.onnx: was trained on at least 3' in capsys.readouterr().err


def test_a_photograph_that_cannot_be_read_is_said_and_left_out(colours, write_model, capsys):
    (colours / 'hammer' / 'bad.png').write_bytes(b'nothing')
    assert main([str(write_model()), str(colours)]) == 0
    captured = capsys.readouterr()
    assert 'bad.png' in captured.err
    assert '12 photographs of 3 labels' in captured.out


def test_what_cannot_be_evaluated_gives_one_line_and_status_2(colours, write_model, tmp_path,
                                                              capsys):
    model = str(write_model())
    two = str(write_model('two.onnx', labels=('anvil', 'saw')))
    (tmp_path / 'empty').mkdir()
    for arguments, words in [
            ([model, str(tmp_path / 'gone')], 'no such folder'),
            ([model, str(tmp_path / 'empty')], 'no photographs; they'),
            ([str(tmp_path / 'gone.onnx'), str(colours)], 'cannot be read'),
            ([model, str(colours), '--gate'], 'better than what'),
            ([model, str(colours), '--against', two], 'only models that share a label')]:
        assert main(arguments) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert words in lines[0]


def figures_of(tmp_path, *arguments):
    path = tmp_path / 'out.json'
    assert main([*map(str, arguments), '--json', str(path), '--quiet']) == 0
    return json.loads(path.read_text())


def test_what_annotators_disagree_about_costs_its_entropy_and_only_the_rest_is_divergence(
        colours, write_model, tmp_path):
    words = tmp_path / 'words.csv'
    rows = ['file,annotator,label,remark']
    for who, label in (('anna', 'hammer'), ('ben', 'hammer'), ('cy', 'wrench')):
        rows += [f'hammer/{i}.png,{who},{label},' for i in range(4)]
    words.write_text('\n'.join(rows) + '\n')
    model = OnnxModel.load(write_model())
    figures = figures_of(tmp_path, model.path, colours, '--annotations', words)
    # By hand: a third of the photographs has q = (2/3, 0, 1/3), the others are certain.
    expected, uncertain = [], -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    for label, q in (('hammer', [2 / 3, 0, 1 / 3]), ('screwdriver', [0, 1, 0]),
                     ('wrench', [0, 0, 1])):
        for i in range(4):
            pixels = cv2.imread(str(colours / label / f'{i}.png'))
            z = model.infer(fit_image(pixels, model.input, 'bgr')[np.newaxis]).logits[0]
            z = z.astype(float)
            expected.append(-np.dot(q, z - np.log(np.exp(z).sum())))
    assert figures['nll'] == pytest.approx(np.mean(expected), abs=1e-9)
    assert figures['entropy'] == pytest.approx(uncertain / 3, abs=1e-9)
    assert figures['kl'] == pytest.approx(figures['nll'] - figures['entropy'], abs=1e-9)
    assert figures['counts']['hammer'] == 4


@pytest.mark.parametrize(('text', 'words'), [
    ('file,label\nhammer/0.png,hammer\n', "no column ['annotator']"),
    ('file,annotator,label\nhammer/0.png,a,hammer\nhammer/0.png,a,wrench\n',
     "line 3: 'a' labels hammer/0.png twice"),
    ('file,annotator,label\nhammer/0.png,,hammer\n', 'line 2: file, annotator and label'),
    (None, 'cannot be read')])
def test_words_of_annotators_that_cannot_be_used_are_refused(colours, write_model, tmp_path,
                                                             capsys, text, words):
    path = tmp_path / 'words.csv'
    if text is not None:
        path.write_text(text)
    assert main([str(write_model()), str(colours), '--annotations', str(path)]) == 2
    assert words in capsys.readouterr().err


def test_words_about_nothing_and_of_no_label_are_said(colours, write_model, tmp_path, capsys):
    path = tmp_path / 'words.csv'
    path.write_text('file,annotator,label\nhammer/99.png,a,hammer\nhammer/0.png,a,anvil\n'
                    'hammer/0.png,b,hammer\nhammer/1.png,a,anvil\n')
    figures = figures_of(tmp_path, write_model(), colours, '--annotations', path)
    said = capsys.readouterr().err
    assert 'hammer/99.png is in none of the folders' in said
    assert "0.png: ['anvil'] among its labels" in said
    # Of hammer/1.png all say that it is none of the labels.
    assert figures['counts'] == {'hammer': 2, 'screwdriver': 4, 'wrench': 4, 'other': 1}


@pytest.fixture
def journal(colours, write_model, tmp_path):
    """Write a journal of that model: a picture, none, of another model, disputed, novel, lost."""
    model = OnnxModel.load(write_model())
    path = tmp_path / 'journal.db'
    jpeg = {label: cv2.imencode('.jpg', cv2.imread(str(colours / label / '0.png')))[1].tobytes()
            for label in model.labels}
    with JournalWriter(path, model.labels, digest=model.digest) as book:
        def confirm(seconds, distribution, picture):
            stamp = seconds * 1_000_000_000
            book.answer(stamp, [0.5, 0.3, 0.2], 'hammer')
            book.confirm(stamp, distribution, picture)

        confirm(100, 'hammer', jpeg['hammer'])
        confirm(103, {'hammer': 0.5, 'wrench': 0.5}, None)
        confirm(200, 'wrench', jpeg['wrench'])
        book.confirm(200 * 1_000_000_000, 'hammer')
        confirm(300, 'anvil', jpeg['screwdriver'])
        confirm(400, 'wrench', jpeg['wrench'])
        book.reload('e' * 64)
        confirm(500, 'hammer', None)
    return path, model


def test_a_journal_is_measured_by_its_pictures_and_by_what_the_same_model_answered_live(
        journal, tmp_path, capsys):
    path, model = journal
    figures = figures_of(tmp_path, model.path, path)
    said = capsys.readouterr().err
    assert '1 frames on which operators disagree' in said
    assert 'left out: 1 frames without a picture that another model answered' in said
    # The picture of 100 s and of 400 s, the live answer of 103 s; the anvil is another thing.
    assert figures['counts'] == {'hammer': 2, 'screwdriver': 0, 'wrench': 1, 'other': 1}
    live = -0.5 * (np.log(0.5) + np.log(0.2))
    assert any(w['nll'] == pytest.approx(live) for w in figures['worst'])
    assert figures['entropy'] == pytest.approx(np.log(2) / 3)
    assert figures['auroc'] is not None


def test_two_models_are_compared_on_the_frames_that_both_can_answer(journal, write_model,
                                                                    tmp_path):
    path, model = journal
    other = write_model('other.onnx', weights=np.eye(3, dtype=np.float32) * 0.5)
    figures = figures_of(tmp_path, model.path, path, '--against', other)
    assert figures['against']['frames'] == 2


def test_frames_of_one_object_are_one_witness(journal):
    bursts = [e.burst for e in find_examples([journal[0]], lambda line: None)]
    # Hammer at 100 s and, surest of hammer, at 103 s: one object; all others are apart.
    assert len(bursts) == 5
    assert bursts[0] == bursts[1]
    assert len(set(bursts)) == 4


def test_a_burst_of_a_journal_is_one_passage(journal, tmp_path):
    path, model = journal
    found = figures_of(tmp_path, model.path, path, '--passages')['passages']
    assert (found['passages'], found['photographs']) == (1, 2)
    assert found['nll'] > 0.0


def test_a_picture_that_was_lost_is_said(journal, tmp_path, capsys):
    path, model = journal
    for picture in path.with_name(f'{path.name}.pictures').rglob('*.jpg'):
        picture.unlink()
    assert main([str(model.path), str(path), '--quiet']) == 0
    # Of four: that of the disputed frame is not missed.
    assert ': 3 of the pictures are not there, such as' in capsys.readouterr().err


def test_a_file_that_is_no_journal_is_refused(write_model, tmp_path, capsys):
    (tmp_path / 'notes.txt').write_text('nothing')
    assert main([str(write_model()), str(tmp_path / 'notes.txt')]) == 2
    assert 'notes.txt' in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_is_said(colours, write_model, monkeypatch, capsys):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith('wrench'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    assert main([str(write_model()), str(colours)]) == 0
    captured = capsys.readouterr()
    assert 'wrench: left out, cannot be read (Permission denied)' in captured.err
    assert '8 photographs of 3 labels' in captured.out


def test_the_report_is_one_page_that_needs_nothing_else(photo_folder, tmp_path):
    path = tmp_path / 'report.html'
    assert main([str(DEFAULT_MODEL), str(photo_folder), '--html', str(path), '--quiet']) == 0
    page = path.read_text()
    assert page.count('<svg') == 2
    assert 'data:image/jpeg;base64,' in page
    assert 'src="http' not in page
    assert 'the threshold of the model file' in page
    for label in ('hammer', 'screwdriver', 'wrench'):
        assert label in page
    assert '>nan' not in page
    assert main([str(DEFAULT_MODEL), str(photo_folder), '--quiet', '--html',
                 str(tmp_path / 'no' / 'folder.html')]) == 2


def test_the_risk_at_full_coverage_is_the_error_rate(colours, write_model, tmp_path):
    shuffled = write_model('bad.onnx', weights=np.eye(3, dtype=np.float32)[[1, 0, 2]])
    figures = figures_of(tmp_path, shuffled, colours)
    assert figures['accuracy'] == pytest.approx(1 / 3)
    for curve in figures['risk_coverage'].values():
        assert curve[-1] == pytest.approx([1.0, 2 / 3])


def test_figures_come_with_their_95_percent_intervals(colours, write_model, tmp_path, capsys):
    shuffled = write_model('bad.onnx', weights=np.eye(3, dtype=np.float32)[[1, 0, 2]])
    report = tmp_path / 'report.html'
    figures = figures_of(tmp_path, shuffled, colours, '--html', report)
    wilson = stats.binomtest(4, 12).proportion_ci(method='wilson')
    assert (figures['accuracy_ci_low'], figures['accuracy_ci_high']) == pytest.approx(wilson)
    assert figures['nll_ci_low'] < figures['nll'] < figures['nll_ci_high']
    # Too few for a law, but the interval of the mean must be of the size that theory gives it.
    costs = [w['nll'] for w in figures['worst']]
    assert figures['nll'] - figures['nll_ci_low'] == pytest.approx(
        stats.t.ppf(0.975, 11) * np.std(costs) / np.sqrt(12), rel=0.5)
    # Up to 3.69 of 12 more may be errors, at ln(K / 0.003) each.
    assert figures['nll_ci_high'] == pytest.approx(
        figures['nll'] - np.log(0.025) / 12 * np.log(3 / 0.003))
    none, all_of_it = (stats.binomtest(k, 4).proportion_ci(method='wilson') for k in (0, 4))
    for label, ends in (('hammer', none), ('screwdriver', none), ('wrench', all_of_it)):
        row = figures['per_label'][label]
        assert (row['recall_ci_low'], row['recall_ci_high']) == pytest.approx(ends)
        # Pictures that cost all the same say nothing of their spread: up to 'inf'.
        assert row['nll_ci_low'] <= row['nll'] <= float(row['nll_ci_high'])
    assert main([str(shuffled), str(colours)]) == 0
    printed, page = capsys.readouterr().out, report.read_text()
    assert f'accuracy 0.3333 [{wilson.low:.4f}, {wilson.high:.4f}]' in printed
    assert f'{wilson.low:.3f} to {wilson.high:.3f}' in page
    for name in ('nll', 'kl', 'brier'):
        low, high = figures[f'{name}_ci_low'], figures[f'{name}_ci_high']
        assert f'[{low:.4f}, {high:.4f}]' in printed
        assert f'{low:.3f} to {high:.3f}' in page
    assert f'1.00 [{all_of_it.low:.2f}, {all_of_it.high:.2f}]' in printed


def test_frames_of_one_burst_widen_the_interval(journal, tmp_path):
    path, model = journal
    figures = figures_of(tmp_path, model.path, path)
    # Hammer twice in one burst, and a wrench: two witnesses, not three.
    assert figures['per_label']['hammer']['recall_ci_low'] == pytest.approx(
        stats.binomtest(1, 1).proportion_ci(method='wilson').low)


def test_a_right_answer_is_not_listed_as_taken_for_itself(
        colours, photo_folder, write_model, tmp_path, capsys):
    report = tmp_path / 'report.html'
    shuffled = write_model('bad.onnx', weights=np.eye(3, dtype=np.float32)[[1, 0, 2]])
    for model, folder, wrong in ((DEFAULT_MODEL, photo_folder, 0), (shuffled, colours, 8)):
        assert main([str(model), str(folder), '--html', str(report)]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if 'taken for' in line]
        assert len(lines) == min(wrong, 5)
        for line in lines:
            label, guess = re.search(r'(\w+) taken for (\w+)', line).groups()
            assert label != guess
        captions = re.findall(r'<figcaption>(\w+), (taken for \w+|right):', report.read_text())
        assert sum(said != 'right' for _, said in captions) == wrong
        assert all(said != f'taken for {label}' for label, said in captions)


def test_the_report_tells_what_was_measured_when_and_with_what_verdict(
        colours, write_model, tmp_path):
    sharp = write_model('sharp.onnx', weights=np.eye(3, dtype=np.float32) * 3,
                        metadata={'name': 'bench <7>', 'version': '2.1'})
    dull = write_model('dull.onnx', weights=np.eye(3, dtype=np.float32) * 0.3)
    report = tmp_path / 'report.html'

    def page(*arguments):
        status = main([*map(str, arguments), '--html', str(report), '--quiet'])
        return status, report.read_text()

    status, text = page(sharp, colours, '--against', dull, '--gate')
    assert status == 0
    assert '<p class="verdict good">Gate: passed: the interval -' in text
    assert re.search(r'measured \d{4}-\d\d-\d\d \d\d:\d\d', text)
    for words in ('bench &lt;7&gt; 2.1', OnnxModel.load(sharp).digest[:16],
                  OnnxModel.load(dull).digest[:16], str(colours), 'digest of the data'):
        assert words in text
    status, text = page(dull, colours, '--against', sharp, '--gate')
    assert status == 1
    assert '<p class="verdict wrong">Gate: not passed: the interval +' in text
    assert 'No verdict was asked for' in page(sharp, colours)[1]


def test_the_digest_of_the_data_is_that_of_the_frames_and_what_is_confirmed_of_them(
        colours, write_model, tmp_path):
    model = write_model()

    def digest(folder):
        return figures_of(tmp_path, model, folder)['data']['digest']

    before = digest(colours)
    shutil.copytree(colours, tmp_path / 'copy')
    (tmp_path / 'copy' / 'hammer' / '0.png').rename(tmp_path / 'copy' / 'hammer' / 'z.png')
    assert digest(tmp_path / 'copy') == before
    (tmp_path / 'copy' / 'hammer' / 'z.png').rename(tmp_path / 'copy' / 'wrench' / 'z.png')
    assert digest(tmp_path / 'copy') != before
    (colours / 'hammer' / '0.png').write_bytes((colours / 'hammer' / '1.png').read_bytes())
    assert digest(colours) != before
    assert figures_of(tmp_path, model, colours)['data']['sources'] == [str(colours)]


def test_a_small_tool_is_recognized_where_it_is_located(photos, tmp_path):
    rng = np.random.default_rng(0)
    for path, label in photos:
        photo = cv2.resize(cv2.imread(str(path)), (180, 180), interpolation=cv2.INTER_AREA)
        scene = rng.normal(110, 2, (720, 1280, 3)).clip(0, 255).astype(np.uint8)
        scene[300:480, 700:880] = photo
        (tmp_path / 'small' / label).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / 'small' / label / f'{path.stem}.png'), scene)
    figures = {}
    for mode, flag in (('off', ()), ('auto', ('--locate',))):
        file = tmp_path / f'{mode}.json'
        assert main([str(DEFAULT_MODEL), str(tmp_path / 'small'), '--json', str(file), '--quiet',
                     *flag]) == 0
        figures[mode] = json.loads(file.read_text())
        assert figures[mode]['locate'] == mode
    assert figures['auto']['accuracy'] >= 8 / 9
    assert figures['auto']['nll'] < figures['off']['nll'] / 2


def test_the_photographs_of_one_object_are_one_passage(colours, write_model, tmp_path, capsys):
    """Of each label two photographs lie in a folder of their own, and two beside it."""
    for folder in colours.iterdir():
        (folder / 'one').mkdir()
        for index in (0, 1):
            (folder / f'{index}.png').rename(folder / 'one' / f'{index}.png')
    model = write_model()
    assert main([str(model), str(colours), '--passages', '--json', str(tmp_path / 'f.json')]) == 0
    found = json.loads((tmp_path / 'f.json').read_text())['passages']
    assert (found['passages'], found['photographs']) == (3, 6)
    assert found['accuracy'] == found['photograph_accuracy'] == 1.0
    assert found['correlation'] == 0.75
    # Nearly the same picture twice, worth 2 / 1.75 pictures.
    assert found['nll'] < found['photograph_nll']
    assert found['fitted_correlation'] == 0.0
    assert found['fitted_nll'] < found['nll']
    assert '3 objects in 6 photographs' in capsys.readouterr().out


def test_objects_are_judged_by_the_rules_that_a_plant_has_set(
        colours, write_model, tmp_path, capsys):
    """Of each label three photographs lie in a folder of their own, of one two."""
    for folder in colours.iterdir():
        (folder / 'one').mkdir()
        for index in range(2 + (folder.name != 'wrench')):
            (folder / f'{index}.png').rename(folder / 'one' / f'{index}.png')
    model = write_model()

    def passages(*options):
        return figures_of(tmp_path, model, colours, '--passages', *options)['passages']
    usual, alike = passages(), passages('--correlation', '0.1')
    assert (usual['correlation'], usual['min_probability'], usual['min_frames']) == (0.75, 0.99, 1)
    assert alike['correlation'] == 0.1
    assert alike['nll'] < usual['nll']
    assert passages('--min-probability', '0.5')['decided'] == 1.0
    assert passages('--min-probability', '1')['decided'] == 0.0
    of_three = passages('--min-probability', '0.5', '--min-frames', '3')
    assert of_three['decided'] == pytest.approx(2 / 3)
    assert of_three['passages'] == 3
    # Live they are the parameters' ranges, and they mean nothing without objects.
    for options, words in (
            (['--passages', '--correlation', '1.1'], 'must be a number, 0 .. 1'),
            (['--min-frames', '3'], '--min-frames is about objects: add --passages')):
        with suppress(SystemExit):
            assert main([str(model), str(colours), *options]) == 2
        assert words in capsys.readouterr().err


def test_the_figures_of_objects_have_intervals_for_which_an_object_is_one_witness(
        colours, write_model, tmp_path, capsys):
    """Of each label four photographs of two objects, and the model is right about wrenches."""
    for folder in colours.iterdir():
        for index in range(4):
            of = folder / f'object {index % 2}'
            of.mkdir(exist_ok=True)
            (folder / f'{index}.png').rename(of / f'{index}.png')
    shuffled = write_model('bad.onnx', weights=np.eye(3, dtype=np.float32)[[1, 0, 2]])
    file, report = tmp_path / 'figures.json', tmp_path / 'report.html'
    assert main([str(shuffled), str(colours), '--passages', '--json', str(file), '--html',
                 str(report)]) == 0
    found, printed = json.loads(file.read_text())['passages'], capsys.readouterr().out
    page = report.read_text()
    wilson = [*stats.binomtest(2, 6).proportion_ci(method='wilson')]
    assert [found['accuracy_ci_low'], found['accuracy_ci_high']] == pytest.approx(wilson)
    # Twelve photographs, all right or all wrong of each object: worth six, a little less as drawn.
    assert [found['photograph_accuracy_ci_low'], found['photograph_accuracy_ci_high']
            ] == pytest.approx(wilson, abs=0.02)
    for name in ('nll', 'photograph_nll', 'fitted_nll'):
        # Up to 3.69 of 6 more may be errors, at ln(K / 0.003) each.
        assert found[f'{name}_ci_low'] < found[name]
        assert found[f'{name}_ci_high'] >= found[name] - np.log(0.025) / 6 * np.log(3 / 0.003)
    for name, places in (('accuracy', 4), ('nll', 4), ('photograph_accuracy', 4),
                         ('photograph_nll', 4), ('decided', 3), ('fitted_correlation', 2),
                         ('fitted_nll', 4)):
        value, low, high = (found[name + end] for end in ('', '_ci_low', '_ci_high'))
        assert f'{value:.{places}f} [{low:.{places}f}, {high:.{places}f}]' in printed, name
    for name in ('accuracy', 'nll', 'photograph_accuracy', 'photograph_nll'):
        assert (f'{found[name]:.3f}<br><small>{found[name + "_ci_low"]:.2f}&ndash;'
                f'{found[name + "_ci_high"]:.2f}</small>') in page, name
    assert f'{found["decided_ci_low"]:.1%} to {found["decided_ci_high"]:.1%}' in page


def test_without_objects_of_several_photographs_nothing_is_made_up(
        colours, write_model, tmp_path, capsys):
    report = tmp_path / 'report.html'
    assert main([str(write_model()), str(colours), '--passages', '--html', str(report)]) == 0
    assert 'none has two photographs' in capsys.readouterr().out
    assert 'No object has two photographs' in report.read_text()
