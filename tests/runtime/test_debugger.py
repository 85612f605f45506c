"""Debugger: one firing at a time, in any order, forwards and back."""
from __future__ import annotations

import sys

import numpy as np
import pytest

import flowlab as fl
from flowlab import debugger


@pytest.fixture
def g():
    with fl.Graph("g") as graph:
        x = fl.placeholder((2, 3), name="x")
        w = fl.variable(np.arange(6, dtype="float32").reshape(3, 2), name="w")
        with fl.name_scope("model"):
            y = fl.matmul(x, w, name="y")
            z = fl.tanh(y, name="z")
        left, right = fl.square(z, name="left"), fl.exp(z, name="right")
        loss = fl.mean(left + right, name="loss")
        fl.optim.SGD(0.1).minimize(loss)
    return graph


XS = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
FEEDS = {"x": XS}


def names(events):
    return [e.node for e in events]


def test_start(g):
    dbg = fl.Debugger(fl.Session(g), ["loss", "train"], FEEDS)
    assert (dbg.cursor, dbg.length, dbg.done, dbg.results) == (0, 0, False, None)
    assert "model/y" in dbg.ready and "x" not in dbg.ready
    assert dbg.total == len([n for n in g.nodes if not n.op.source])
    np.testing.assert_array_equal(dbg.value("x:0"), XS)         # sources are there from the start
    np.testing.assert_array_equal(dbg.value("w:0"), np.arange(6).reshape(3, 2))
    assert dbg.back() is None
    assert (dbg.state("x"), dbg.state("model/y"), dbg.state("loss")) == ("done", "ready", "idle")


def test_step_goes_by_creation_order_to_the_end(g):
    sess, other = fl.Session(g), fl.Session(g)
    dbg = fl.Debugger(sess, ["loss", "train"], FEEDS)
    events = []
    while (event := dbg.step()) is not None:
        events.append(event)
        assert dbg.cursor == dbg.length == len(events) and event.index == len(events) - 1
    assert names(events) == [n.name for n in g.nodes if not n.op.source]
    assert dbg.done and dbg.ready == () and dbg.step() is None
    loss, nothing = dbg.results
    assert nothing is None
    np.testing.assert_array_equal(loss, other.run(["loss", "train"], FEEDS)[0])
    np.testing.assert_array_equal(sess.variables["w"], other.variables["w"])


def test_a_node_that_is_not_ready_names_what_it_waits_for(g):
    dbg = fl.Debugger(fl.Session(g), "loss", FEEDS)
    with pytest.raises(fl.DebuggerError, match="waits for left, right") as caught:
        dbg.fire("Add")
    assert caught.value.node == "Add" and dbg.missing("Add") == ["left", "right"] and dbg.cursor == 0
    dbg.fire("model/y"), dbg.fire("model/z"), dbg.fire("right")
    with pytest.raises(fl.DebuggerError, match="waits for left[^,]*$|waits for left\\."):
        dbg.fire("Add")
    assert dbg.join("Add") == (1, 2)
    with pytest.raises(fl.DebuggerError, match="fired already, as number 3"):
        dbg.fire("right")
    with pytest.raises(fl.DebuggerError, match="does not fire"):
        dbg.fire("x")
    with pytest.raises(fl.DebuggerError, match="does not fire"):
        dbg.fire("train")       # no part of this run
    with pytest.raises(fl.FlowError, match="no node"):
        dbg.fire("nowhere")


def test_value_before_it_is_computed_is_a_key_error(g):
    dbg = fl.Debugger(fl.Session(g), "loss", FEEDS)
    for name in ("loss:0", "train", "SGD/learning_rate:0"):
        with pytest.raises(KeyError):
            dbg.value(name)
    dbg.step()
    np.testing.assert_array_equal(dbg.value("model/y:0"), XS @ np.arange(6, dtype="float32").reshape(3, 2))
    dbg.value("model/y:0")[...] = 0
    assert dbg.value("model/y:0").any()


def test_back_undoes_and_step_goes_the_recorded_way_again(g):
    sess = fl.Session(g)
    before = sess.variables["w"]
    dbg = fl.Debugger(sess, ["loss", "train"], FEEDS)
    fired = []
    while dbg.ready:
        fired.append(dbg.fire(dbg.ready[-1]).node)
    after, loss = sess.variables["w"], dbg.results[0]
    assert (after != before).any()
    undone = []
    while (event := dbg.back()) is not None:
        undone.append(event.node)
        assert dbg.length == len(fired)         # the record stays
        assert (sess.variables["w"] == before).all() and dbg.results is None and not dbg.done
    assert undone == fired[::-1] and dbg.cursor == 0
    with pytest.raises(KeyError):
        dbg.value("loss:0")
    for name in fired[:4]:
        dbg.fire(name)
    assert dbg.length == len(fired)             # the same way: nothing is forgotten
    dbg.seek(len(fired))
    assert dbg.done and dbg.results[0] == loss and (sess.variables["w"] == after).all()
    dbg.seek(3)
    assert dbg.cursor == 3 and dbg.length == len(fired)
    if dbg.ready[0] != fired[3]:
        dbg.step()
        assert dbg.length == 4                  # another way: what came after is forgotten
    with pytest.raises(fl.DebuggerError):
        dbg.seek(dbg.length + 1)


def test_a_commit_is_not_undone_under_a_session_that_has_run_since(g):
    for move in (lambda s: s.run("loss", FEEDS), lambda s: s.run("train", FEEDS), lambda s: s.variables.update(w=np.ones((3, 2)))):
        sess = fl.Session(g)
        dbg = fl.Debugger(sess, ["loss", "train"], FEEDS)
        dbg.resume()
        move(sess)
        now = sess.variables["w"]
        with pytest.raises(fl.DebuggerError, match="run since"):
            dbg.back()
        assert dbg.done and (sess.variables["w"] == now).all()


def test_a_run_cannot_commit_over_what_changed_meanwhile(g):
    sess = fl.Session(g)
    stale, gone_back = (fl.Debugger(sess, ["loss", "train"], FEEDS) for _ in range(2))
    gone_back.resume()
    gone_back.back()
    sess.run("train", FEEDS)
    now = sess.variables["w"]
    assert stale.resume().reason == "error" and isinstance(stale.error, fl.DebuggerError)
    with pytest.raises(fl.DebuggerError, match="changed since"):
        gone_back.step()        # from the record, and yet
    assert (sess.variables["w"] == now).all()


def test_levels(g):
    dbg = fl.Debugger(fl.Session(g), "loss", FEEDS)
    levels = []
    while dbg.ready:
        levels.append(names(dbg.step_level()))
    assert levels == [["model/y"], ["model/z"], ["left", "right"], ["Add"], ["loss"]]
    assert dbg.step_level() == ()


def test_scopes(g):
    dbg = fl.Debugger(fl.Session(g), ["loss", "train"], FEEDS)
    assert names(dbg.step_scope()) == ["model/y", "model/z"]
    assert names(dbg.step_scope()) == ["left"]          # outside of any scope, one node
    while dbg.ready and not dbg.ready[0].startswith("gradients/"):
        dbg.step()
    scope = dbg.ready[0].rpartition("/")[0]
    events = names(dbg.step_scope())
    assert all(n.startswith(scope) for n in events) and not any(n.startswith(scope + "/") for n in dbg.ready)
    dbg.resume()
    assert dbg.step_scope() == ()


def test_passes(g):
    dbg = fl.Debugger(fl.Session(g), ["loss", "train"], FEEDS)
    passes = [dbg.step_pass() for _ in range(3)]
    assert [{e.phase for e in p} for p in passes] == [{"forward"}, {"backward"}, {"update"}]
    assert dbg.done and dbg.step_pass() == () and passes[0][-1].node == "loss"


def test_timestep_outside_of_a_loop_is_a_node(g):
    dbg = fl.Debugger(fl.Session(g), "loss", FEEDS)
    assert names(dbg.step_timestep()) == ["model/y"]
    dbg.resume()
    assert dbg.step_timestep() == ()


def test_run_to(g):
    dbg = fl.Debugger(fl.Session(g), ["loss", "train"], FEEDS)
    assert dbg.run_to("right") == fl.Stop("node", "right")
    assert dbg.ready[0] == "right" and dbg.state("left") == "done"
    assert dbg.run_to("right") == fl.Stop("node", "right")
    assert dbg.run_to("left") == fl.Stop("end", None) and dbg.done      # it has fired: to the end
    assert dbg.run_to("loss") == fl.Stop("end", None)
    with pytest.raises(fl.FetchError):
        dbg.run_to("nowhere")


def test_breakpoints(g):
    dbg = fl.Debugger(fl.Session(g), ["loss", "train"], FEEDS)
    at_node = dbg.breakpoints.add("right")
    on_edge = dbg.breakpoints.add("left:0")
    never = dbg.breakpoints.add("loss:0", when="max > 1e6")
    always = dbg.breakpoints.add("loss:0", when="mean >= -1")
    dbg.breakpoints.remove(dbg.breakpoints.add("left:0", when=lambda value: (value > 0).any()))
    assert len({at_node, on_edge, never, always}) == 4 and len(dbg.breakpoints) == 4
    assert dbg.resume() == fl.Stop("breakpoint", "left") and dbg.state("left") == "done"        # after the tensor
    assert dbg.state("right") == "ready"
    dbg.seek(2)
    dbg.breakpoints.remove(on_edge)
    assert dbg.resume() == fl.Stop("breakpoint", "right") and dbg.state("right") == "ready"     # before the node
    assert dbg.resume() == fl.Stop("breakpoint", "loss") and dbg.state("loss") == "done"
    dbg.breakpoints.clear()
    assert dbg.resume() == fl.Stop("end") and dbg.resume() == fl.Stop("end")
    with pytest.raises(fl.DebuggerError):
        dbg.breakpoints.remove(99)
    with pytest.raises(fl.FetchError):
        dbg.breakpoints.add("nowhere")
    for text in ("max >", "__import__('os').system('true')", "max > 1; nan", "median > 0"):
        with pytest.raises(fl.DebuggerError, match="cannot be read"):
            dbg.breakpoints.add("loss:0", when=text)


def test_break_on_the_first_nan():
    with fl.Graph() as g:
        x = fl.placeholder((3,), name="x")
        fl.sum(fl.log(x, name="log") * 0.0, name="total")
    dbg = fl.Debugger(fl.Session(g), "total", {"x": [1.0, 0.0, 2.0]})
    dbg.breakpoints.add("log:0", when="inf")
    dbg.breakpoints.add("Multiply:0", when="nan")
    with np.errstate(all="ignore"):
        assert dbg.resume() == fl.Stop("breakpoint", "log")
        assert dbg.resume() == fl.Stop("breakpoint", "Multiply")


def test_break_on_a_function_of_the_value(g):
    dbg = fl.Debugger(fl.Session(g), "loss", FEEDS)
    dbg.breakpoints.add("model/z:0", when=lambda value: value.shape == (3, 3))
    dbg.breakpoints.add("right:0", when=lambda value: value.shape == (2, 2))
    assert dbg.resume() == fl.Stop("breakpoint", "right")


def test_override_unfires_what_was_computed_from_it_and_holds(g):
    sess = fl.Session(g)
    dbg = fl.Debugger(sess, ["loss", "train"], FEEDS)
    for name in ("model/y", "model/z", "left", "right", "Add"):
        dbg.fire(name)
    dbg.override("left:0", np.full((2, 2), 5.0))
    assert (dbg.state("left"), dbg.state("right"), dbg.state("Add")) == ("done", "done", "ready")
    np.testing.assert_array_equal(dbg.value("left:0"), np.full((2, 2), 5, "float32"))
    dbg.resume()
    np.testing.assert_allclose(dbg.results[0], (5 + dbg.value("right:0")).mean(), rtol=1e-6)
    while dbg.back():
        pass
    dbg.run_to("loss")
    assert (dbg.value("left:0") == 5).all()     # after going back, too
    dbg.clear_override("left:0")
    assert dbg.state("left") == "done" and dbg.state("Add") == "ready"
    dbg.resume()
    np.testing.assert_array_equal(dbg.results[0], fl.Session(g).run("loss", FEEDS))


def test_override_of_sources(g):
    dbg = fl.Debugger(fl.Session(g), "loss", FEEDS)
    dbg.resume()
    dbg.override("x", np.zeros((2, 3)))
    assert dbg.cursor == 0 and dbg.results is None
    dbg.resume()
    assert dbg.results == 1
    dbg.clear_override()
    dbg.override("w", np.zeros((3, 2)))
    dbg.resume()
    assert dbg.results == 1
    dbg.clear_override()
    dbg.resume()
    np.testing.assert_array_equal(dbg.results, fl.Session(g).run("loss", FEEDS))


def test_override_of_what_was_asked_for_changes_the_results(g):
    sess = fl.Session(g)
    dbg = fl.Debugger(sess, ["loss", "SGD/w/Assign"], FEEDS)
    dbg.resume()
    dbg.override("loss:0", 42.0)
    dbg.resume()
    assert dbg.done and dbg.results[0] == 42
    dbg.override("SGD/w/Assign:0", np.full((3, 2), 8.0))
    dbg.resume()
    assert (sess.variables["w"] == 8).all() and (dbg.results[1] == 8).all()
    dbg.clear_override("SGD/w/Assign:0")
    dbg.resume()
    assert (sess.variables["w"] != 8).all()
    sess.run("loss", FEEDS)
    with pytest.raises(fl.DebuggerError, match="run since"):
        dbg.override("loss:0", 1.0)
    assert dbg.results[0] == 42


def test_overrides_that_do_not_fit(g):
    dbg = fl.Debugger(fl.Session(g), "loss", FEEDS)
    for name, value in (("left:0", np.zeros(3)), ("x", np.zeros((9, 3))), ("SGD/learning_rate", 1.0), ("left:0", "text"), ("left:0", np.zeros((2, 2), complex)), ("left:0", [[1], [1, 2]])):
        with pytest.raises(fl.FlowError):
            dbg.override(name, value)
    dbg.resume()
    np.testing.assert_array_equal(dbg.results, fl.Session(g).run("loss", FEEDS))


def test_a_kernel_error_is_a_stop_and_can_be_gone_back_from():
    with fl.Graph() as g:
        table, i = fl.variable(np.ones((3, 2)), name="table"), fl.placeholder((2,), "int64", name="i")
        fl.sum(fl.gather(table, i, name="rows") * 2, name="total")
    dbg = fl.Debugger(fl.Session(g), "total", {"i": [0, 9]})
    assert dbg.resume() == fl.Stop("error", "rows") and isinstance(dbg.error, fl.KernelError)
    assert (dbg.state("rows"), dbg.cursor) == ("error", 0)
    with pytest.raises(fl.KernelError):
        dbg.step()
    dbg.override("i", [0, 1])
    assert dbg.resume() == fl.Stop("end") and dbg.results == 8 and dbg.error is None


def test_feeds_are_kept(g):
    xs = XS.copy()
    dbg = fl.Debugger(fl.Session(g), "loss", {"x": xs})
    xs[...] = 0
    dbg.resume()
    np.testing.assert_array_equal(dbg.results, fl.Session(g).run("loss", FEEDS))


def test_a_run_of_sources_alone_is_done_at_once(g):
    dbg = fl.Debugger(fl.Session(g), ["x", "w"], FEEDS)
    assert dbg.done and dbg.cursor == dbg.total == 0 and dbg.step() is None and dbg.back() is None
    np.testing.assert_array_equal(dbg.results[0], XS)
    dbg.override("x", np.ones((2, 3)))
    assert (dbg.results[0] == 1).all()


def test_nodes_go_as_well_as_their_names(g):
    dbg = fl.Debugger(fl.Session(g), "loss", FEEDS)
    assert dbg.fire(g.node("model/y")).node == "model/y"
    assert dbg.run_to(g.node("right")) == fl.Stop("node", "right")
    dbg.override(g.tensor("left"), np.ones((2, 2)))
    dbg.clear_override(g.tensor("left"))
    dbg.clear_override("train")     # no part of this run: nothing to clear
    assert dbg.state("Add") == "idle"


def test_watch_and_repr(g):
    dbg = fl.Debugger(fl.Session(g), "loss", FEEDS)
    dbg.watch("left:0")
    dbg.watch("left:0")
    assert "0 of 6" in repr(dbg) and "not computed yet" in repr(dbg) and dbg.watches == ["left:0"]
    dbg.resume()
    assert "6 of 6" in repr(dbg) and "not computed" not in repr(dbg)


def test_unfed_and_foreign(g):
    with pytest.raises(fl.FeedError):
        fl.Debugger(fl.Session(g), "loss")
    with fl.Graph("other"):
        c = fl.constant(1.0)
    with pytest.raises(fl.FetchError):
        fl.Debugger(fl.Session(g), c)


@pytest.mark.parametrize(("budget", "every"), [(None, 2), (0, 37)])
def test_after_an_interrupt_anywhere_a_debugger_goes_on(g, budget, every):
    """A firing took place or did not, its commit too; the run then ends as if nothing had been."""
    reference = fl.Session(g)
    want = reference.run(["loss", "train"], FEEDS)[0]

    def walk(dbg):
        dbg.step_level()
        dbg.back()
        dbg.resume()

    stopped = 0
    for at in range(1, 100_000, every):
        left = at

        def hook(frame, event, arg):
            nonlocal left
            if not frame.f_code.co_filename.startswith(debugger.__path__[0]):
                return None
            left -= 1
            if not left:
                sys.settrace(None)
                raise KeyboardInterrupt
            return hook

        session = fl.Session(g)
        dbg = fl.Debugger(session, ["loss", "train"], FEEDS, budget=budget)
        outer = sys.gettrace()
        sys.settrace(hook)
        try:
            walk(dbg)
            break
        except KeyboardInterrupt:
            stopped += 1
        finally:
            sys.settrace(outer)
        assert dbg.resume() == fl.Stop("end"), at
        assert dbg.done and dbg.cursor == dbg.length == dbg.total, at
        assert dbg.results[0] == want and (session.variables["w"] == reference.variables["w"]).all(), at
        while dbg.back() is not None:
            pass
        assert (session.variables["w"] == np.arange(6).reshape(3, 2)).all() and dbg.ready[0] == "model/y", at
    assert stopped > 50


def test_a_condition_that_fails_is_a_stop_that_says_so(g):
    dbg = fl.Debugger(fl.Session(g), "loss", FEEDS)
    dbg.breakpoints.add("left:0", when=lambda value: value.no_such_thing)
    assert dbg.resume() == fl.Stop("error", "left")
    assert "breakpoint 1" in str(dbg.error) and "no_such_thing" in str(dbg.error)
    dbg.breakpoints.clear()
    assert dbg.resume() == fl.Stop("end") and dbg.done


def test_an_override_cuts_no_fractions_off():
    with fl.Graph() as g:
        fl.multiply(fl.add(fl.placeholder((2,), "int64", name="n"), 1, name="more"), 2, name="twice")
    dbg = fl.Debugger(fl.Session(g), "twice", {"n": [1, 2]})
    dbg.step()
    with pytest.raises(fl.DebuggerError, match="int64"):
        dbg.override("more:0", [1.5, 2.5])
    dbg.override("more:0", [5, 6])
    dbg.resume()
    assert dbg.results.tolist() == [10, 12]


def test_without_a_record_what_is_taken_back_is_forgotten():
    with fl.Graph() as g:
        x = fl.placeholder((), name="x")
        y = fl.exp(fl.square(x), name="y")
    dbg = fl.Debugger(fl.Session(g), y, {x: 1.0}, record=False)
    dbg.step()
    dbg.step()
    assert dbg.length == 2
    assert dbg.back().node == "y"
    assert (dbg.cursor, dbg.length) == (1, 1)
    dbg.step()
    assert dbg.results == pytest.approx(np.exp(1.0))


def test_a_second_thread_is_refused_while_one_steps():
    import threading

    inside, go_on = threading.Event(), threading.Event()
    with fl.Graph() as g:
        y = fl.square(fl.placeholder((), name="x"), name="y")
        z = fl.negative(y, name="z")
    dbg = fl.Debugger(fl.Session(g), z, {"x": 3.0})
    dbg.breakpoints.add("y:0", lambda value: (inside.set(), go_on.wait(20), False)[-1])
    stops = []
    thread = threading.Thread(target=lambda: stops.append(dbg.resume()))
    thread.start()
    assert inside.wait(20)
    for command in (dbg.step, dbg.back, dbg.step_level, dbg.resume, lambda: dbg.fire("z"), lambda: dbg.override("y:0", 1.0)):
        with pytest.raises(fl.DebuggerError, match="another thread is stepping this run"):
            command()
    go_on.set()
    thread.join(20)
    assert stops[0].reason == "end" and dbg.results == -9 and dbg.back().node == "z"


@pytest.mark.parametrize(("how", "whole"), [("level", "step_level"), ("scope", "step_scope"), ("pass", "step_pass"), ("resume", "resume")])
def test_a_command_can_be_gone_through_firing_by_firing(g, how, whole):
    slow, fast = (fl.Debugger(fl.Session(g), ["loss", "train"], FEEDS) for _ in range(2))
    getattr(fast, whole)()
    for count, event in enumerate(slow.going(how), 1):
        assert slow.cursor == count and slow.records[-1] is event      # it has fired when it comes, and the next has not
    assert names(slow.records) == names(fast.records)
    with pytest.raises(fl.DebuggerError, match="no way 'back' to go on"):
        slow.going("back")


@pytest.mark.parametrize("how", ["level", "out", "timestep", "scope", "pass", "resume"])
def test_going_on_firing_by_firing_sees_it_when_the_run_was_stepped_otherwise(how):
    with fl.Graph() as g:
        x = fl.placeholder((3, 2), name="x")
        low, high = fl.sin(x, name="low"), fl.cos(x, name="high")
        with fl.scan(low * high, time_axis=0, name="rnn") as step:
            h = step.state("h", init=fl.constant(np.zeros(2, "f")))
            step.update(h, fl.tanh(h + step.input, name="new"))
        fl.sum(step.states["h"], name="total")
    for begin in (0, 4):
        dbg = fl.Debugger(fl.Session(g), "total", {"x": np.ones((3, 2), "f")})
        for _ in range(begin):
            dbg.step()
        going = dbg.going(how)
        next(going)
        dbg.seek(0)
        dbg.seek(dbg.length)
        dbg.step()
        try:
            rest = names(going)
        except fl.DebuggerError as error:
            assert "stepped otherwise" in error.message
        else:
            assert rest or how not in ("pass", "resume")
        dbg.resume()
        keys = [e.key for e in dbg.records]
        assert len(set(keys)) == len(keys) == dbg.cursor      # nothing has fired twice
        np.testing.assert_array_equal(dbg.results, fl.Session(g).run("total", {"x": np.ones((3, 2), "f")}))


@pytest.mark.parametrize("budget", [-1, 0.5, True, "64 MB"])
def test_a_budget_is_a_number_of_bytes(g, budget):
    with pytest.raises(fl.AttributeValueError, match="budget is"):
        fl.Debugger(fl.Session(g), "loss", FEEDS, budget=budget)


def test_going_on_in_the_past_keeps_the_record_in_whatever_order_it_was_fired(g):
    dbg = fl.Debugger(fl.Session(g), ["loss", "train"], FEEDS)
    for name in ("model/y", "model/z", "right", "left"):
        dbg.fire(name)
    dbg.resume()
    whole = names(dbg.records)
    dbg.seek(2)
    assert dbg.ready[0] == "right" and dbg.step().node == "right"
    for go in (dbg.step, dbg.step_level, dbg.step_scope, dbg.step_out, dbg.step_timestep, dbg.step_pass, dbg.resume):
        dbg.seek(0)
        while go() and not dbg.done:
            assert dbg.length == len(whole)
        assert names(dbg.records) == whole
    phases = "".join(e.phase[0] for e in dbg.records)
    dbg.seek(0)
    assert phases.startswith("".join(e.phase[0] for e in dbg.step_pass())) and phases[dbg.cursor] != phases[dbg.cursor - 1]
    dbg.seek(2)
    dbg.fire("left")                                            # another order is another run
    assert dbg.length == 3


def test_a_loop_in_the_past_keeps_the_record():
    with fl.Graph() as g:
        seq = fl.placeholder((4, 3), name="seq")
        with fl.scan(seq, time_axis=0, name="rnn") as step:
            h = step.state("h", init=fl.constant(np.zeros(3, "f")))
            a, b = fl.sin(step.input, name="a"), fl.cos(h, name="b")
            new = fl.add(a, b, name="new")
            step.update(h, new)
            step.output(new)
        fl.sum(step.outputs[0], name="total")
    dbg = fl.Debugger(fl.Session(g), "total", {"seq": np.ones((4, 3), "f")})
    while not dbg.done:
        dbg.fire(dbg.ready[-1])                                 # b before a, in every timestep
    whole = names(dbg.records)
    for go in (dbg.step, dbg.step_level, dbg.step_timestep, dbg.step_out, dbg.step_scope, dbg.step_pass):
        dbg.seek(0)
        while go() and not dbg.done:
            assert dbg.length == len(whole)
        assert names(dbg.records) == whole


def test_a_loop_with_nothing_inside_that_never_ends_is_an_error_and_no_standstill():
    with fl.Graph() as g:
        on = fl.placeholder((), "bool", name="on")
        out = fl.while_loop(lambda a, b: a, lambda a, b: (b, a), (on, fl.constant(True)), name="idle")
    dbg = fl.Debugger(fl.Session(g), out, {"on": True})
    assert dbg.ready == ("idle/While",)
    assert dbg.resume().reason == "error" and "nothing to fire inside" in dbg.error.message and dbg.error.node == "idle/While"
    ends = fl.Debugger(fl.Session(g), out, {"on": False})
    assert ends.resume().reason == "end"
