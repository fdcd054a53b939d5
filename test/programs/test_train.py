"""Training on small drawn data: what is learned, what is said of bad data, and that it repeats."""

from collections import Counter
import errno
import json
import re

import cv2
from journal_writer import JournalWriter
import numpy as np
import pytest
from tool_recognizer.core.drift import REFERENCE_LABELS
from tool_recognizer.core.information import log_softmax
from tool_recognizer.core.information import nll
from tool_recognizer.core.preprocessing import fit_image
from tool_recognizer.model.file import ModelFile
from tool_recognizer.model.file import seen_photographs
from tool_recognizer.model.file import was_seen
from tool_recognizer.model.onnx_model import DEFAULT_MODEL
from tool_recognizer.model.onnx_model import OnnxModel
from tool_recognizer.pictures.scene import draw_tool
from tool_recognizer.programs.model import main as show
from tool_recognizer.programs.train import main
from tool_recognizer.training.assemble import reference_rows
from tool_recognizer.training.fit import HeldOut
from tool_recognizer.training.photos import difference_hash
from tool_recognizer.training.photos import group
from tool_recognizer.training.photos import read_photos
from tool_recognizer.training.photos import timestamp
from tool_recognizer.training.progress import Progress
from tool_recognizer.training.progress import read_step
from tool_recognizer.training.views import view_plan

# Labels of which the shipped model's head knows one, and nothing of the other.
KINDS = ('helmet', 'wrench')
PHOTOS = 8


def draw_data(folder, kinds=KINDS, number=PHOTOS, seed=0):
    rng = np.random.default_rng(seed)
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for index in range(number):
            picture = draw_tool(kind, rng, 160, 200)[..., ::-1]
            cv2.imwrite(str(folder / kind / f'{index}.jpg'), picture)
    return folder


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return draw_data(tmp_path_factory.mktemp('data'), (*KINDS, 'other'))


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    cache = tmp_path_factory.mktemp('cache')

    def run(*arguments):
        return main([*map(str, arguments), '--cache', str(cache), '--views', '2', '--drawn', '11'])
    return run


@pytest.fixture(scope='module')
def trained(data, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    assert run(data, '--output', folder / 'new.onnx', '--report', folder / 'report.html',
               '--licence', 'CC0', '--quiet') == 0
    return folder


def predict(path, kinds=KINDS, seed=99):
    model = OnnxModel.load(path)
    rng = np.random.default_rng(seed)
    pictures = [fit_image(draw_tool(kind, rng, 160, 200), model.input)
                for kind in kinds for _ in range(6)]
    return model.infer(np.stack(pictures))[0], np.repeat(range(len(kinds)), 6)


def test_tools_that_it_has_not_seen_are_recognised(trained):
    logits, labels = predict(trained / 'new.onnx')
    assert np.mean(logits.argmax(axis=1) == labels) >= 0.9


def test_the_file_says_all_about_itself(trained):
    meta = OnnxModel.load(trained / 'new.onnx').metadata
    assert meta['labels'] == sorted(KINDS)
    assert meta['training']['base'] == OnnxModel.load(DEFAULT_MODEL).digest
    assert meta['training']['counts'] == {'helmet': PHOTOS, 'wrench': PHOTOS, 'other': PHOTOS}
    assert meta['licence'] == 'CC0'
    assert meta['temperature'] == 1.0
    assert len(meta['golden']) >= 3


def test_what_is_held_out_is_compared_with_another_model_on_labels_that_both_know(
        data, run, trained, tmp_path, capsys):
    figures = tmp_path / 'figures.json'

    def verdict(other):
        assert run(data, '--output', tmp_path / 'new.onnx', '--against', other,
                   '--json', figures, '--prior-strength', '1', '--progress') == 0
        return json.loads(figures.read_text())
    found = verdict(DEFAULT_MODEL)
    lines = capsys.readouterr().err.splitlines()
    assert found['gate']['words'] in lines
    steps = list(filter(None, map(read_step, lines)))
    assert steps
    assert all(0 < step.number <= step.total for step in steps)
    assert (found['against']['frames'], found['trained_on']) == (PHOTOS, 0)
    assert found['gate']['new'] == ['helmet']
    assert not found['gate']['passed']
    assert 'it does not know hammer, screwdriver' in found['gate']['words']
    # What the other one was trained on says nothing about it.
    found = verdict(trained / 'new.onnx')
    assert (found['against'], found['trained_on']) == (None, 2 * PHOTOS)
    assert not found['gate']['passed']
    assert run(data, '--output', tmp_path / 'new.onnx', '--json', figures) == 2


def test_other_photographs_have_a_say_in_the_verdict(data, run, tmp_path, capsys):
    apart = draw_data(tmp_path / 'apart', KINDS, number=10, seed=7)
    figures = tmp_path / 'figures.json'
    arguments = (data, '--output', tmp_path / 'new.onnx', '--prior-strength', '1',
                 '--json', figures, '--against', DEFAULT_MODEL)
    assert run(*arguments, '--prove-on', apart) == 0
    found = json.loads(figures.read_text())
    # Those of the one label that both know.
    assert found['gate']['confirmed']['frames'] == found['proof']['frames'] == 10
    assert '; on 10 confirmed frames the interval is ' in found['gate']['words']
    # What the new model was trained on proves nothing.
    assert run(*arguments, '--prove-on', data) == 0
    assert 'new to both' in capsys.readouterr().err
    assert 'confirmed' not in json.loads(figures.read_text())['gate']
    assert run(*arguments[:-4], '--prove-on', apart) == 2
    assert run(*arguments, '--prove-on', tmp_path / 'none') == 2


def test_photographs_from_elsewhere_set_the_threshold(data, run, tmp_path, capsys):
    apart = draw_data(tmp_path / 'apart', (*KINDS, 'other'), number=10, seed=7)
    new = tmp_path / 'new.onnx'
    arguments = (data, '--output', new, '--prior-strength', '1', '--threshold-photos', apart)
    assert run(*arguments, '--false-rejection-rate', '0.1', '--quiet') == 0
    model = OnnxModel.load(new)
    novelty = [float(model.infer(fit_image(p.pixels(), model.input)[np.newaxis]).novelty[0])
               for p in read_photos([apart], Progress(quiet=True)) if p.label in KINDS]
    # Of 20 the rule refuses all above the 19th.
    assert np.sum(np.array(novelty) > model.novelty_threshold + 1e-3) == 1
    assert model.metadata['rejection']['photographs'] == 30
    capsys.readouterr()
    assert run(*arguments, '--false-rejection-rate', '0.01', '--quiet') == 2
    assert '20 photographs of the labels are too few' in capsys.readouterr().err


def test_the_reference_is_what_its_logits_say(trained):
    reference = OnnxModel.load(trained / 'new.onnx').metadata['reference']
    log_p = log_softmax(reference['logits'])
    np.testing.assert_allclose(nll(log_p, np.array(reference['label'])), reference['nll'],
                               atol=1e-3)
    assert sum(reference['counts'].values()) == len(reference['label'])
    assert reference['accuracy'] == pytest.approx(
        np.mean(log_p.argmax(axis=1) == reference['label']), abs=1e-6)


def test_predictions_for_views_are_not_taken_for_photographs(data, run, tmp_path, capsys):
    path = tmp_path / 'm.onnx'
    assert run(data, '--output', path, '--report', tmp_path / 'r.html') == 0
    reference = ModelFile.read(path).metadata['reference']
    # Each of the 16 tools' photographs is shown as it is and in five gentle views.
    assert reference['photographs'] == len(KINDS) * PHOTOS
    assert len(reference['label']) == 6 * len(KINDS) * PHOTOS
    assert '(96 predictions for 16 photographs)' in capsys.readouterr().err
    assert '<b>96</b>held-out predictions, for 16 photographs' in (tmp_path / 'r.html').read_text()
    assert show(['show', str(path)]) == 0
    assert '96 held-out predictions for 16 photographs: accuracy' in capsys.readouterr().out


def test_a_model_knows_its_own_photographs_and_those_of_its_base(trained, data, run, tmp_path,
                                                                 capsys):
    other = draw_data(tmp_path / 'data', seed=5)
    assert run(other, '--output', tmp_path / 'm.onnx', '--base', trained / 'new.onnx',
               '--quiet') == 0
    seen = seen_photographs(ModelFile.read(tmp_path / 'm.onnx').metadata)
    for path in [*data.rglob('*.jpg'), *other.rglob('*.jpg')]:
        assert was_seen(path.read_bytes(), seen)
    assert not was_seen(b'another one', seen)
    assert show(['show', str(tmp_path / 'm.onnx'), '--json', str(tmp_path / 'facts.json')]) == 0
    assert 'seen' not in json.loads((tmp_path / 'facts.json').read_text())['training']


def held_out(photos, views=9, ordinary=6):
    """Return predictions for so many photos, every fifth of which is none of the two labels."""
    photo, view = (axis.ravel() for axis in np.mgrid[:photos, :views])
    return HeldOut(np.zeros((len(photo), 3)), np.where(photo % 5 == 0, 2, photo % 2), photo, view,
                   view < ordinary, [1.0], 1.0, {})


def test_the_reference_holds_one_prediction_for_each_photo_where_that_is_enough():
    held = held_out(REFERENCE_LABELS * 5 // 4)
    rows = reference_rows(held, 2, seed=1)
    assert len(rows) == REFERENCE_LABELS
    assert (held.view[rows] == 0).all()
    assert (held.column[rows] < 2).all()
    fewer = held_out(REFERENCE_LABELS * 5 // 4 - 4)
    rows = reference_rows(fewer, 2, seed=1)
    assert set(fewer.view[rows]) == set(range(6))
    many = held_out(4000)
    assert len(set(many.photo[reference_rows(many, 2, seed=1)])) == 2000


def test_the_same_seed_gives_the_same_model(trained, data, run, tmp_path):
    for name in ('cached.onnx', 'fresh.onnx'):
        cache = ['--cache', tmp_path / 'empty'] if name == 'fresh.onnx' else []
        status = main([str(a) for a in (
            data, '--output', tmp_path / name, '--views', 2, '--drawn', 11, '--quiet',
            '--licence', 'CC0', '--name', 'new', *cache)]) if cache else run(
            data, '--output', tmp_path / name, '--quiet', '--licence', 'CC0', '--name', 'new')
        assert status == 0
        first = ModelFile.read(trained / 'new.onnx')
        again = ModelFile.read(tmp_path / name)
        texts = []
        for model in (first, again):
            assert model.metadata.pop('created')
            texts.append(json.dumps(model.metadata, sort_keys=True))
        assert texts[0] == texts[1]
        np.testing.assert_allclose(predict(tmp_path / name)[0],
                                   predict(trained / 'new.onnx')[0], atol=1e-6)


def test_the_report_is_one_page_that_needs_nothing_else(trained):
    page = (trained / 'report.html').read_text()
    assert page.count('<svg') == 3
    # Two curves of another scale than the NLL at the top, and both say so.
    assert page.count('NLL before calibration, nats') == 2
    assert page.count('The NLL at the top is after it, without strong views') == 2
    assert 'held-out NLL' not in page
    assert 'data:image/jpeg;base64,' in page
    assert 'http' not in page
    for word in (*KINDS, 'CC0', 'nan'):
        assert (word in page) == (word != 'nan')


def test_a_full_disk_ends_a_training_in_one_line_and_leaves_no_model(
        data, run, tmp_path, capsys, monkeypatch):
    def full(**options):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr('tool_recognizer.training.assemble.tempfile.TemporaryDirectory', full)
    new = tmp_path / 'new.onnx'
    assert run(data, '--output', new, '--prior-strength', '1', '--quiet') == 2
    said = capsys.readouterr().err
    assert 'cannot be written (No space left on device)' in said
    assert len(said.splitlines()) == 1
    assert not new.exists()


def test_what_cannot_be_used_is_said_and_left_out(data, run, tmp_path, capsys):
    folder = draw_data(tmp_path / 'data')
    (folder / 'helmet' / 'cut.jpg').write_bytes((folder / 'helmet' / '0.jpg').read_bytes()[:900])
    (folder / 'helmet' / 'copy.jpg').write_bytes((folder / 'helmet' / '1.jpg').read_bytes())
    (folder / 'wrench' / 'both.jpg').write_bytes((folder / 'helmet' / '2.jpg').read_bytes())
    assert run(folder, '--output', tmp_path / 'm.onnx') == 0
    words = capsys.readouterr().err
    assert 'cut.jpg: left out, the JPEG is cut off' in words
    assert "the same picture lies under 'helmet' too" in words
    assert f'{2 * PHOTOS - 1} of {2 * PHOTOS + 3} files used' in words
    counts = ModelFile.read(tmp_path / 'm.onnx').metadata['training']['counts']
    assert counts == {'helmet': PHOTOS - 1, 'wrench': PHOTOS, 'other': 0}


def test_the_folder_other_can_be_a_label(data, run, tmp_path):
    assert run(data, '--output', tmp_path / 'm.onnx', '--other-is-a-label', '--quiet') == 0
    assert ModelFile.read(tmp_path / 'm.onnx').metadata['labels'] == ['helmet', 'other', 'wrench']


@pytest.mark.parametrize(('make', 'words'), [
    (lambda folder: None, 'no such folder'),
    (lambda folder: (folder / 'hammer').mkdir(parents=True), 'no photographs'),
    (lambda folder: draw_data(folder, ('hammer',)), 'at least 2 labels'),
    (lambda folder: (draw_data(folder, KINDS, 3), draw_data(folder, ('hammer',), 1)),
     r"one photo only for \['hammer'\]"),
    (lambda folder: draw_data(folder).joinpath('wrench').rename(folder / 'a:b'), 'colon'),
])
def test_data_that_cannot_be_used_give_one_line_and_status_2(make, words, run, tmp_path, capsys):
    make(tmp_path / 'data')
    assert run(tmp_path / 'data', '--output', tmp_path / 'm.onnx', '--quiet') == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert re.search(words, lines[0])
    assert not (tmp_path / 'm.onnx').exists()


def test_a_base_that_is_no_model_is_refused(data, run, tmp_path, capsys):
    (tmp_path / 'base.onnx').write_bytes(b'nothing')
    assert run(data, '--output', tmp_path / 'm.onnx', '--base', tmp_path / 'base.onnx') == 2
    assert 'base.onnx: not an ONNX file' in capsys.readouterr().err


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(SystemExit) as refused:
        main(['--output'])
    assert refused.value.code == 2


def test_bursts_and_near_duplicates_are_one_group():
    rng = np.random.default_rng(0)
    one, two = (cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (180, 160),
                           interpolation=cv2.INTER_CUBIC) for _ in range(2))
    brighter = np.clip(one * 1.15 + 5, 0, 255).astype(np.uint8)
    smaller = cv2.resize(one, (120, 107), interpolation=cv2.INTER_AREA)
    marks = [(difference_hash(p), None, 'wrench') for p in (one, brighter, smaller, two)]
    assert group(marks) == [0, 0, 0, 1]
    times = [(0, 100.0, 'wrench'), (2**32 - 1, 112.0, 'wrench'), (2**64 - 1, 190.0, 'wrench')]
    assert group(times) == [0, 0, 1]


@pytest.mark.parametrize(('name', 'seconds'), [
    ('IMG_20260619_212033_jpg_0_8efd.jpg', 33), ('2023-08-14_15-29-21_png_0.jpg', 21),
    ('20231102145943_jpg.jpg', 43)])
def test_a_cameras_file_name_tells_the_time(name, seconds):
    assert timestamp(name) % 60 == seconds


@pytest.mark.parametrize('name', ['hammer.jpg', '20239902145943.jpg', 'IMG-20260619-WA0026.jpg'])
def test_another_name_tells_no_time(name):
    assert timestamp(name) is None


def test_what_has_no_hash_is_like_nothing_but_its_neighbours_in_time():
    marks = [(None, 100.0, 'a'), (None, 110.0, 'a'), (None, 110.0, 'b'), (7, None, 'a'),
             (None, None, 'a')]
    assert group(marks) == [0, 0, 1, 2, 3]


@pytest.fixture(scope='module')
def journal(tmp_path_factory):
    """Write a journal: each object twice, 2 s apart; then confirmations that teach nothing."""
    path = tmp_path_factory.mktemp('journal') / 'journal.db'
    rng = np.random.default_rng(7)
    with JournalWriter(path, KINDS) as book:
        def confirm(seconds, distribution, picture):
            stamp = seconds * 1_000_000_000
            book.answer(stamp, [0.5, 0.5], KINDS[0])
            book.confirm(stamp, distribution, picture)

        def jpeg(kind):
            return cv2.imencode('.jpg', draw_tool(kind, rng, 120, 160)[..., ::-1])[1].tobytes()

        for number in range(PHOTOS):
            for place, kind in enumerate(KINDS):
                start = 100 * number + 40 * place
                confirm(start, {kind: 1.0}, jpeg(kind))
                confirm(start + 2, {kind: 0.8, KINDS[1 - place]: 0.2}, jpeg(kind))
        confirm(5000, {KINDS[0]: 1.0}, None)
        confirm(5100, {KINDS[0]: 0.5, KINDS[1]: 0.5}, jpeg(KINDS[0]))
        confirm(5200, {KINDS[0]: 1.0}, jpeg(KINDS[0]))
        book.confirm(5200 * 1_000_000_000, KINDS[1])
    return path


def test_a_model_is_learned_from_a_journal_alone(journal, run, tmp_path, capsys):
    assert run(journal, '--output', tmp_path / 'm.onnx') == 0
    said = capsys.readouterr().err
    assert '1 frames on which operators disagree' in said
    assert '1 confirmed frames without a picture, and 1 of which no label is surer' in said
    training = ModelFile.read(tmp_path / 'm.onnx').metadata['training']
    assert training['counts'] == {'helmet': 2 * PHOTOS, 'wrench': 2 * PHOTOS, 'other': 0}
    # Each object's two frames stay together.
    assert training['groups'] == 2 * PHOTOS
    logits, labels = predict(tmp_path / 'm.onnx')
    assert np.mean(logits.argmax(axis=1) == labels) >= 0.9


def test_a_journal_and_a_folder_are_read_together_each_picture_once(journal, data):
    photos = read_photos([data, journal, data], Progress(quiet=True))
    assert Counter(p.label for p in photos) == {
        'helmet': 3 * PHOTOS, 'wrench': 3 * PHOTOS, 'other': PHOTOS}


def test_many_photographs_get_fewer_views_unless_they_are_asked_for():
    assert view_plan(200, None).fitted > view_plan(5000, None).fitted >= 1
    assert view_plan(5000, 6).fitted == 6


def draw_crate(rng):
    """Draw a wooden crate, seen from above; RGB."""
    picture = np.full((160, 200, 3), 150, np.uint8) + rng.integers(0, 20, (160, 200, 3), np.uint8)
    x, y = (int(v) for v in rng.integers((60, 50), (140, 110)))
    cv2.rectangle(picture, (x - 40, y - 30), (x + 40, y + 30), (150, 100, 50), -1)
    for board in (-20, 0, 20):
        cv2.line(picture, (x - 40, y + board), (x + 40, y + board), (90, 60, 30), 3)
    return picture


def test_a_label_of_one_burst_is_learned_and_said_to_be_unmeasured(run, tmp_path, capsys):
    folder = draw_data(tmp_path / 'data')
    (folder / 'crate').mkdir()
    rng = np.random.default_rng(50)
    for second in range(4):
        cv2.imwrite(str(folder / 'crate' / f'20260101_12000{second}.jpg'),
                    draw_crate(rng)[..., ::-1])
    assert run(folder, '--output', tmp_path / 'm.onnx', '--report', tmp_path / 'r.html') == 0
    assert "the photos of ['crate'] look like one burst" in capsys.readouterr().err
    meta = ModelFile.read(tmp_path / 'm.onnx').metadata
    assert meta['labels'] == ['crate', *KINDS]
    assert meta['reference']['counts']['crate'] == 0
    model = OnnxModel.load(tmp_path / 'm.onnx')
    fresh = np.stack([fit_image(draw_crate(rng), model.input) for _ in range(10)])
    assert (model.infer(fresh).logits.argmax(axis=1) == 0).all()


def draw_shape(rng, colour, shape):
    """Draw one of five shapes in one of twelve colours, anywhere on a grey ground."""
    picture = np.full((160, 200, 3), rng.integers(60, 200), np.uint8)
    picture += rng.integers(0, 20, picture.shape, np.uint8)
    hue = cv2.cvtColor(np.uint8([[[15 * colour, 230, 230]]]), cv2.COLOR_HSV2BGR)[0, 0].tolist()
    x, y = (int(v) for v in rng.integers((60, 60), (140, 100)))
    if shape < 2:
        cv2.circle(picture, (x, y), 45, hue, -1 if shape else 8)
    elif shape == 2:
        cv2.rectangle(picture, (x - 40, y - 40), (x + 40, y + 40), hue, -1)
    elif shape == 3:
        cv2.rectangle(picture, (x - 55, y - 8), (x + 55, y + 8), hue, -1)
    else:
        cv2.fillPoly(picture, [np.array([[x, y - 50], [x + 50, y + 40], [x - 50, y + 40]])], hue)
    return picture


def test_many_labels_and_a_great_imbalance_are_learned(tmp_path, tmp_path_factory):
    rng = np.random.default_rng(0)
    kinds = 30
    for kind in range(kinds):
        (tmp_path / 'data' / f'kind {kind:02}').mkdir(parents=True)
        for number in range(24 if kind == 0 else 3):
            cv2.imwrite(str(tmp_path / 'data' / f'kind {kind:02}' / f'{number}.png'),
                        draw_shape(rng, kind // 5 * 2, kind % 5))
    assert main([str(tmp_path / 'data'), '--output', str(tmp_path / 'm.onnx'), '--views', '0',
                 '--drawn', '0', '--cache', str(tmp_path_factory.mktemp('cache')),
                 '--quiet', '--prior-strength', '0.003']) == 0
    meta = ModelFile.read(tmp_path / 'm.onnx').metadata
    assert len(meta['labels']) == kinds
    assert meta['training']['counts']['kind 00'] == 24
    model = OnnxModel.load(tmp_path / 'm.onnx')
    fresh = np.stack([fit_image(draw_shape(rng, kind // 5 * 2, kind % 5), model.input, 'bgr')
                      for kind in range(kinds)])
    # Far above the chance of 1 in 30, and not by the label that had the most pictures.
    right = model.infer(fresh).logits.argmax(axis=1) == np.arange(kinds)
    assert right[1:].mean() > 0.3
