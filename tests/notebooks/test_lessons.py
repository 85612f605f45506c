"""The course: every lesson runs in both languages and they say the same; every exercise takes right solutions, whatever their nodes are called, and tells wrong ones why."""
from __future__ import annotations

import random

import numpy as np
import pytest
from lesson_kernel import kernel

import flowlab as fl
from flowlab.io.document import document_of
from flowlab.io.edits import Rename, apply
from tools import lessons

NAMES, TASKS = lessons.names(), lessons.tasks()
# what a lesson's short budget comes to, as Python expressions
COMES_TO: dict[str, list[str]] = {
    "01_dataflow_graphs": ["float(counter.variables['count']) == 3", "abs(float(ranks.sum()) - 1) < 1e-4", "len({e.device for e in recorded.events}) == 2"],
    "02_gradients": ["np.array_equal(np.float32(in_graph), np.float32(paths[0.2][:, 2]))", "abs(paths[0.2][-1, :2] - best).max() < 2e-3", "paths[1.05][-1, 2] > 100 > paths[0.02][-1, 2] > 0.5",
                     "len({row[1] for row in table}) == 1 and table[-1][4] > table[-1][3]", "[float(np.float32(p)) for p in parts] == [float(parts[0]), float(parts[1]), float(parts[0] + parts[1])]",
                     "fl.check_gradients(loss, [g.tensor('w:0')], fed).ok", "all(optimized.variables[n] == training.variables[n] for n in 'wb')"],
    "03_a_first_network": ["losses == history.steps['loss'] == run.history.steps['loss']", "np.allclose(both, grid @ W + b, atol=1e-4)", "told.validation['loss'][-1] > 1.3 * min(told.validation['loss'])",
                           "reach.attempts and not reach.attempts[-1].solved"],
    "04_convolution": ["apart < 1e-4 and len(np.unique(M[M != 0])) == 4", "columns == [11] and looking.run('valid', {'picture': noise}).shape == (1, 1, 10, 10)", "size == {'dense': 116000, 'convolution': 80}",
                       "list(reads.values())[1][2] > 0.3", "0.8 < changes[1][0] < 0.85 and changes[2][0] > 1"],
    "05_the_recurrent_loop": ["comma['loop'] > 0.95 and comma[6] > 0.95", "comma[5] < 0.7", "0.3 < after['小'] < 0.7", "len(set(variables)) == 1 and nodes[-1] > 4 * nodes[0]", "np.allclose(sum(parts), total, atol=1e-6)"],
    "06_why_gradients_vanish": ["agree", "sizes[0.5][0] < 1e-6 * sizes[0.5][-1] and sizes[4.0][0] > 1e3 * sizes[4.0][-1]", "clipped[None][2] > 100 * clipped[1.0][2] and clipped[1.0][1] < clipped[1.0][0] < clipped[None][1]",
                                "share['RNN random'] < share['LSTM bias 1'] < share['RNN orthogonal'] < share['LSTM bias 3']", "plain[0] < 0.1 and back[0].own[0] < back[1].own[0] < back[3].own[0] < back[5].own[0]"],
    "07_the_lstm": ["apart < 1e-5", "counts['lstm'] == 4 * counts['rnn']", "(lambda was, held: abs(was[2] - np.tanh(0.9)) < 0.02 and abs(was[5]) < 0.01 < held[5])(*list(memory.values())[:2])", "np.ptp(np.abs(memory['f = 0'])) > 0.5",
                    "not counting.attempts[0].solved", "[mine.variables.__setitem__(*p) for p in {'lstm/kernel': [[0, 0, 9, 0]], 'lstm/bias': [9, 12, 0, 0]}.items()] and counting.check(mine).solved"],
    "08_read_a_captcha": ["history.epochs['loss'][-1] < history.epochs['loss'][0] - 0.3", "digit_accuracy > 0.3", "trace.gates('lstm_2')['c'].shape == (1, 60, 128)",
                          "[note.text[:4] for note in figure.layout.annotations if note.y > 0.9] == [''.join(map(str, unseen_labels[k])) for k in wrong[:4]]"],
    "09_strokes_and_sound": ["one_way[-1] > 0.4", "two_ways[0] > one_way[0] + 0.1", "accuracy['LSTM'] > 0.85 and accuracy['mean'] < 0.75", "trace.gates('lstm')['c'].shape[2] == 32", "not mask.all()"],
    "10_debugging_a_sick_network": ["nan.stopped == 'nan' and np.isfinite(nan.steps['loss'][0])", "list(zeros.values())[1][1] == 1 and max(list(slopes.values())[1]) == 0 < min(list(slopes.values())[0])",
                                    "again.epochs['loss'][-1] < lies_flat.epochs['loss'][-1]", "compared.first.tensor == 'lstm/i:0' and compared.first.frame == ('lstm', 0)",
                                    "abs(found.steps['loss'][0] / 32 - course.steps['loss'][0]) < 1e-5 and apart < 1e-3"],
    "11_your_own_op": ["not wrong.ok and wrong.node == 'y' and right.ok", "fl.check_gradients(table, [a, b], pair).ok", "np.isnan(slopes[0.0, 0.0][0]).all() and not slopes[0.0, 0.0][1].any()",
                       "fading is None or (fl.check_gradients(smooth_in_c, [signal], {signal: [[1.0, -2.0, 3.0]]}).ok and len(results) == 3)",
                       "all(np.allclose(u, v, atol=1e-4) for way in results.values() for u, v in zip(way, list(results.values())[1]))",
                       "medians is None or np.abs(list(lines.values())[1][0] - np.sin(times)).max() < np.abs(list(lines.values())[0][0] - np.sin(times)).max()", "not own.attempts[-1].solved"],
    "12_from_lab_to_product": ["len(differences) == 5 and max(differences.values()) < 1e-5", "statuses == [200, 422, 422, 422, 422, 413]", "accuracy > 0.9 and made.size < 4e6"],
    "13_what_a_plan_does": ["max(apart.values()) < 1e-5", "len({e.device for e in crossings.events}) >= 2", "peaks['trace'] > 20 * peaks['run']", "'# table' not in cut.code(total, square) and '# bent' in cut.code(total, square)",
                            "max(abs(alone[2][n] - together[2][n]).max() for n in alone[2]) < 1e-5 and alone[1][-1] < alone[1][0]", "any('/copy/' in e.node for e in together[3].events)",
                            "abs(values['a loop'] - values['written out']) < 1e-3", "len(speeds) == 3 and min(speeds.values()) > 0", "not wide.check(fl.Session(deep))",
                            "exec('with fl.Graph() as tree:\\n n = [fl.placeholder((), name=c) for c in \"abcdefgh\"]\\n while len(n) > 1: n = [p + q for p, q in zip(n[::2], n[1::2])]') or bool(wide.check(fl.Session(tree)))"],
}
IN_A_BROWSER = {"08_read_a_captcha"}      # tests/browser runs the English one


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_runs_in_both_languages(name, tmp_path):
    with kernel(tmp_path) as k:
        for language in lessons.LANGUAGES[name in IN_A_BROWSER:]:
            k.run(name, language)
            for claim in COMES_TO[name]:
                assert k.value(f"bool({claim})"), f"{name} in {language}: {claim}"


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_say_the_same(name):
    assert not lessons.apart(name)


def test_the_lessons_of_both_languages_are_the_same_ones():
    assert lessons.names() == sorted(path.stem for path in lessons.folder("zh-CN").glob("*.ipynb"))
    assert [name[:2] for name in NAMES] == [f"{k:02}" for k in range(1, 14)]


# ---------------------------------------------------------------- exercises


@pytest.mark.parametrize("name", TASKS)
def test_an_exercise_is_the_one_of_its_file_in_both_languages(name):
    for language in lessons.LANGUAGES:
        ours, there = lessons.made(TASKS[name], language), fl.load_exercise(lessons.file_of(name, language))
        told = [(e.title, e.task, e.hints, e.sources, e.goals, e.inner, e.uses, e.without, e.most_nodes, [m.hint for m in e.mistakes]) for e in (ours, there)]
        assert told[0] == told[1], "python tools/lessons.py exercises"
        assert ours.start.same_graph(there.start)
        for a, b in zip(ours.cases, there.cases, strict=True):
            for part in ("given", "outputs", "slopes"):
                for key, value in getattr(a, part).items():
                    np.testing.assert_allclose(getattr(b, part)[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_right_solutions_pass_renamed_and_reordered_too(name):
    task = TASKS[name]
    exercise = fl.load_exercise(lessons.file_of(name, "en"))
    assert len(task["others"]) >= 1
    for right in (task["solution"], *task["others"]):
        graph = lessons.graph_of(right)
        assert exercise.check(graph), f"{right.__name__}:\n{exercise.check(graph)}"
        assert exercise.check(other_names(graph)), f"{right.__name__}, renamed:\n{exercise.check(other_names(graph))}"


@pytest.mark.parametrize("name", TASKS)
def test_wrong_solutions_are_told_why(name):
    for language in lessons.LANGUAGES:
        exercise = fl.load_exercise(lessons.file_of(name, language))
        assert not exercise.check(exercise.start)
        for wrong, told in TASKS[name]["mistakes"]:
            verdict = exercise.check(lessons.graph_of(wrong))
            assert not verdict, wrong.__name__
            assert told is None or told[language] in str(verdict), f"{wrong.__name__}:\n{verdict}"


def other_names(graph: fl.Graph) -> fl.Document:
    """The same graph under other names, its nodes in another order."""
    document = document_of(graph)
    for k, id in enumerate(random.Random(0).sample(sorted(n.id for n in document.nodes.values()), len(document.nodes))):
        name = next(n.name for n in document.nodes.values() if n.id == id)      # a loop's new name is that of its scope too
        document = apply(document, Rename(name, f"q{k}"))
    return document
