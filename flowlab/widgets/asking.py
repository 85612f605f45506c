"""Predict, then reveal: an Editor's questions before a step, what is kept from the page while they are open, and the answers."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from ..apps import questions as Q
from ..core.errors import DebuggerError, DocumentError, HeldError
from ..debugger import Debugger
from ..io import loops as L
from ..io.build import Build
from ..io.document import MOST_ANSWERS, Answer, Document, Question
from ..io.edits import PutQuestion, RemoveQuestion
from . import protocol as P
from .debugging import gradient_of, whose_gradient_of

KINDS = {"shape": "shape", "value": "value", "sign": "sign", "gradient sign": "sign"}
SHOWN = 200     # answers that the page lists


def _from_here(document: Document, tensors: Sequence[str], known: Iterable[str]) -> frozenset[str]:
    """These tensors, and all that is computed from them: a Relu of it would tell its shape too."""
    if not tensors:
        return frozenset()
    users: dict[str, list[str]] = {}
    for node in L.flat(document).nodes.values():
        for source in node.inputs.values():
            users.setdefault(source, []).append(node.name)
    given: dict[str, list[str]] = {}
    for tensor in known:
        given.setdefault(tensor.rpartition(":")[0], []).append(tensor)
    found, stack = set(tensors), list(tensors)
    while stack:
        for name in users.get(stack.pop(), ()):
            for tensor in given.get(name, (f"{name}:0",)):
                if tensor not in found:
                    found.add(tensor)
                    stack.append(tensor)
    return frozenset(found)


class Asking:
    """What an Editor does with questions."""

    _secrets_cache: tuple[Document, Build, tuple[frozenset[str], frozenset[str]]] | None = None

    _document: Document
    _debugger: Debugger | None
    _waits: str | None      # the node that the run waits before, because somebody is asked about it

    # ------------------------------------------------------------ in Python

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked before a step, answered or not."""
        return self._document.questions

    @property
    def answers(self) -> Q.Answers:
        """What was answered, in order; `.to_csv(path)` and `.to_json(path)` write them."""
        return Q.Answers(self._document.answers)

    def ask(self, target: Any, kind: str = "value", at: Sequence[int] | None = None, text: str = "") -> Question:
        """Ask for the `"shape"`, `"value"`, `"sign"` or `"gradient sign"` of a tensor before the step that gives it.

        The lab keeps it to itself until it is answered: a run stops before that node and asks. `at` picks one element, `text` asks in your own
        words. Asking again opens the question again.
        """
        if kind not in KINDS:
            raise DocumentError(f"{kind!r} is nothing that can be asked for.", hint=f"Ask for {', '.join(KINDS)}.")
        tensor = self._asked_tensor(target)
        if kind == "gradient sign":
            found = gradient_of(self._built.graph, tensor)
            if found is None:
                raise DocumentError(f"{tensor} has no gradient in this graph.", node=tensor.rpartition(":")[0], hint="Differentiate a scalar that depends on it first.")
            tensor = found
        at = None if at is None else tuple(int(k) for k in at)
        self._check_element(tensor, KINDS[kind], at)
        self.edit(PutQuestion(tensor, KINDS[kind], at, text))
        return self._document.questions[-1]

    def ask_no_more(self, target: Any, kind: str | None = None, at: Sequence[int] | None = None) -> None:
        """Take a question back; what was answered stays."""
        found = self._question(target, kind, at, still_open=False)
        self.edit(RemoveQuestion(*found.key))

    def answer(self, target: Any, answer: Any, kind: str | None = None, at: Sequence[int] | None = None) -> Answer:
        """Answer the open question about a tensor, as one would in the lab: the step is made, and the record says what was so.

        `answer` is what a person types (`"batch, 3"`, `"[[1, 2], [3, 4]]"`, `"+"`), or a number, an array, a shape.
        """
        text = answer if isinstance(answer, str) else ", ".join(map(str, answer)) or "()" if isinstance(answer, tuple) else str(np.asarray(answer).tolist())
        return self._reveal_answer(self._question(target, kind, at), text)

    def skip(self, target: Any, kind: str | None = None, at: Sequence[int] | None = None) -> Answer:
        """Make the step without an answer."""
        return self._reveal_answer(self._question(target, kind, at), None)

    # ------------------------------------------------------------ which question

    def _asked_tensor(self, target: Any) -> str:
        name = str(getattr(target, "name", target))
        return name if name.rpartition(":")[2].isdecimal() and ":" in name else f"{name}:0"

    def _question(self, target: Any, kind: str | None, at: Sequence[int] | None, still_open: bool = True) -> Question:
        tensor, at = self._asked_tensor(target), None if at is None else tuple(at)
        mine = [q for q in self._document.questions if q.tensor == tensor and (kind is None or q.kind == KINDS.get(kind, kind)) and (at is None or q.at == at)]
        found = next((q for q in mine if q.open or not still_open), None)
        if found is None:
            there = ", ".join(q.tensor for q in self._document.questions if q.open)
            raise DebuggerError(f"nothing {'is' if not mine else 'more is'} asked about {tensor}.", node=tensor.rpartition(":")[0], hint=f"Open questions: {there}." if there else "There is no open question.")
        return found

    def _check_element(self, tensor: str, kind: str, at: tuple[int, ...] | None) -> None:
        """DocumentError if the question makes no sense for what is known of the shape."""
        type = self._true_types().get(tensor)
        if type is None:
            return
        shape, node = type.shape, tensor.rpartition(":")[0]
        if at is not None and (len(at) != len(shape) or any(isinstance(n, int) and not -n <= k < n for k, n in zip(at, shape))):
            raise DocumentError(f"{tensor} has no element [{', '.join(map(str, at))}].", node=node, hint=f"Give {len(shape)} indices, each within its axis." if shape else "It is one number: leave the element out.")
        if kind == "sign" and at is None and any(n != 1 for n in shape):
            raise DocumentError(f"{tensor} has more than one number, so it has no one sign.", node=node, hint=f"Ask about one element, such as {', '.join('0' * len(shape))}.")

    # ------------------------------------------------------------ while it is open

    def _secret(self) -> frozenset[str]:
        """Tensors whose values are kept from the page: somebody is asked about them, or about what they are computed from."""
        return self._secrets()[0]

    @property
    def kept_back(self) -> frozenset[str]:
        """Tensors whose values nobody is shown while a question about them, or about what they are computed from, is open."""
        return self._secret()

    def _secret_shapes(self) -> frozenset[str]:
        return self._secrets()[1]

    def _secrets(self) -> tuple[frozenset[str], frozenset[str]]:
        document = self._document
        if self._secrets_cache is None or self._secrets_cache[0] is not document or self._secrets_cache[1] is not self._built:
            asked = [q for q in document.questions if q.open]
            types = self._true_types() if asked else {}
            values, shapes = _from_here(document, [q.tensor for q in asked], types), _from_here(document, [q.tensor for q in asked if q.kind == "shape"], types)
            self._secrets_cache = (document, self._built, (values, shapes))
        return self._secrets_cache[2]

    def _masked(self, built: Build) -> Build:
        """What the page may know of the types."""
        hidden = self._secret_shapes()
        return replace(built, types={k: v for k, v in built.types.items() if k not in hidden}) if hidden else built

    def _true_types(self) -> Any:
        return L.view(self._document, self._built).built.types

    def _hold(self) -> None:
        """Let the run stop before what is asked about."""
        if self._debugger is not None:
            self._debugger.holds = frozenset(q.node for q in self._document.questions if q.open)

    def _asking(self) -> Question | None:
        """The question that is put now: the run waits before its node, or has passed it already."""
        dbg = self._debugger
        if dbg is None:
            return None
        waiting = [q for q in self._document.questions if q.open and (dbg.computed(q.tensor) or q.node == self._waits and q.node in dbg.ready)]
        return min(waiting, key=lambda q: q.kind != "shape", default=None)

    def _tell_gone(self, before: Document) -> None:
        """Say which questions have lost their node."""
        ids = {q.key for q in self._document.questions}
        if len(before.questions) <= len(ids):
            return
        here = {n.id for n in L.flat(self._document).nodes.values()}
        drawn = L.flat(before).nodes
        lost = [f"the question about {q.tensor}" for q in before.questions if q.node in drawn and drawn[q.node].id not in here]
        self._tell_dropped(lost)

    def _keep_secret(self, tensor: str, what: str) -> None:
        """DebuggerError if the answer would give away what somebody is asked."""
        if tensor in self._secret():
            raise DebuggerError(f"{what} of {tensor} would give away the answer to an open question.", node=tensor.rpartition(":")[0], hint="Answer it, or skip it.")

    # ------------------------------------------------------------ the answer

    def _reveal_answer(self, asked: Question, text: str | None, language: str = "en") -> Answer:
        typed = None if text is None else Q.read(asked.kind, text)      # what cannot be read is said first: the question stays
        dbg, chinese = self._debugger, language.startswith("zh")
        if dbg is None or not dbg.computed(asked.tensor):
            if dbg is None or asked.node not in dbg.ready:
                raise DebuggerError(f"the run has not come to {asked.node} yet.", node=asked.node, hint="Step, or Run: it stops there.")
            dbg.holds -= {asked.node}
            try:
                self._go(lambda d: d.fire(asked.node))
            finally:
                self._hold()
        node, inputs, truth = dbg.firing(asked.tensor)
        declared = getattr(self._true_types().get(asked.tensor), "shape", ())
        found = Q.judge(asked.kind, typed, truth, asked.at, node, inputs, declared, chinese=chinese)
        sentences = list(found.sentences)
        if asked.kind != "shape":
            why = dbg.explain(asked.tensor, asked.at, "zh" if chinese else "en")
            sentences += [why.arithmetic] if why.arithmetic else list(why.sentences[:1])
        record = Answer(asked.tensor, asked.kind, asked.at, (text or "").strip(), found.truth, found.word, datetime.now().astimezone().isoformat(timespec="seconds"), dbg.cursor)
        self._waits = None
        self._commit(replace(self._document, questions=tuple(replace(q, open=False) if q.key == asked.key else q for q in self._document.questions),
                             answers=(*self._document.answers, record)[-MOST_ANSWERS:]), f"answer the question about {asked.tensor}")
        self._say(P.Revealed(tensor=asked.tensor, drawn=self._drawn().owner.get(asked.node), kind=asked.kind, at=list(asked.at) if asked.at is not None else None, of=whose_gradient_of(self._built.graph, asked.tensor),
                             text=asked.text, answer=record.answer, truth=record.truth, verdict=record.verdict, sentences=sentences))
        return record

    def _question_specs(self, drawn: Callable[[str], str | None]) -> tuple[list[P.QuestionSpec], list[P.AnswerSpec]]:
        now = self._asking()
        last = {(a.tensor, a.kind, a.at): a for a in self._document.answers}
        specs = [P.QuestionSpec(tensor=q.tensor, drawn=drawn(q.node), kind=q.kind, at=list(q.at) if q.at is not None else None, of=whose_gradient_of(self._built.graph, q.tensor), text=q.text, open=q.open, now=now is not None and q.key == now.key,
                                verdict=last[q.key].verdict if not q.open and q.key in last else "") for q in self._document.questions]
        answers = [P.AnswerSpec(tensor=a.tensor, drawn=drawn(a.tensor.rpartition(":")[0]), kind=a.kind, at=list(a.at) if a.at is not None else None, answer=a.answer, truth=a.truth,
                                verdict=a.verdict, when=a.when, firing=a.firing) for a in self._document.answers[-SHOWN:]]
        return specs, answers

    def _debug_question(self, name: str, target: str, content: dict[str, Any]) -> None:
        """`ask`, `ask_no_more`, `answer` and `skip` from the page."""
        at, kind, text = content.get("at"), str(content.get("kind") or "value"), str(content.get("text") or "")
        at = tuple(at) if isinstance(at, list) and all(type(k) is int for k in at) else None
        match name:
            case "ask":
                self.ask(target, kind, at, text)
                self._notice("status", f"The run will stop before {self._document.questions[-1].node} and ask.")
            case "ask_no_more":
                self.edit(RemoveQuestion(target, KINDS.get(kind, kind), at))
                self._notice("status", f"{target} is not asked about any more.")
            case _:
                asked = next((q for q in self._document.questions if q.open and q.key == (target, KINDS.get(kind, kind), at)), None)
                if asked is None:
                    raise DebuggerError(f"nothing is asked about {target}.", node=target.rpartition(":")[0])
                if name == "answer" and len(text) > Q.MOST_TEXT:
                    raise DebuggerError(f"the answer has {len(text):,} characters, at most {Q.MOST_TEXT:,} are read.")
                self._reveal_answer(asked, text if name == "answer" else None, str(content.get("language") or "en"))

    def _tell_held(self, error: HeldError) -> None:
        self._notice("status", f"Before {error.node} fires: a question.", "Answer it, or skip it.")
