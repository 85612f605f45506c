"""Mutated graph, weight and ONNX files: nothing but flowlab's errors comes out, and nothing is imported, opened, run or connected to on the way."""
from __future__ import annotations

import os
import random
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import flowlab as fl
from flowlab.io.build import build
from flowlab.io.document import bytes_of, document_of, from_text
from flowlab.io.edits import PutBookmark, apply
from flowlab.io.lecture import Lecture, lecture_in

BARRED = ("import", "exec", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "socket.getaddrinfo", "ctypes.dlopen", "pickle.find_class", "shutil.rmtree", "os.remove", "os.rename", "os.mkdir")
SPICE = [b"null", b"-1", b"1e999", b"9007199254740993", b'"__proto__"', b"[]", b"{}", b"NaN", b'"../../etc/passwd"', b"[" * 60, b'{"dtype":"float32","shape":[1000000,1000000],"data":""}', b"\x00", b"\xff\xff\xff\xff\x0f", b"\\", b'"',
         b"\x80" * 9, b"__import__('os').system('x')", b"F64", b"BOOL", b"data_offsets"]
_seen: list[str] = []
_watching: list[Path] = []


def _audit(event: str, args: tuple) -> None:
    """What Python tells of while a file is read: the file itself may be opened, and nothing else may happen."""
    if _watching and (event in BARRED or event == "open" and Path(os.fsdecode(args[0]) if isinstance(args[0], str | bytes) else str(args[0])) != _watching[0]):
        _seen.append(f"{event} {args[:1]}")


def sound(folder: Path) -> dict[str, bytes]:
    """A small file of every kind."""
    with fl.Graph("net") as g:
        x = fl.placeholder(("batch", 3), name="x")
        with fl.scan(fl.expand_dims(x, 1), time_axis=1, name="rnn") as step:
            h = step.state("h", size=2)
            step.update(h, fl.tanh(h + fl.matmul(step.input, fl.variable(np.ones((3, 2), "float32"), name="w"))))
        fl.mean(fl.nn.dense(step.states["h"], 2, name="out"), name="loss")
    sess = fl.Session(g)
    sess.save(folder / "weights")
    with fl.Graph("plain") as plain:
        fl.softmax(fl.nn.dense(fl.placeholder(("batch", 3), name="x"), 2, name="out"), name="y")
    told = apply(document_of(g), PutBookmark("start", "$x$", 2, "rnn/Tanh", (0, 0, 80, 60), ("x",), ("rnn",), ("x",), "x:0", "loss:x", ("code",)))
    return {"graph": bytes_of(Lecture(told, 3, 0, 1, 2, dict(sess.variables)).to_json()), "weights": (folder / "weights").read_bytes(), "onnx": fl.to_onnx(plain, "y", fl.Session(plain)).SerializeToString()}


def mutant(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(out))
        match rng.choice((0, 0, 0, 1, 2, 3, 4, 4, 4, 5)):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at:at + rng.randrange(1, 30)]
            case 2:
                out[at:at] = rng.choice(SPICE)
            case 3:
                start = rng.randrange(len(out))
                out[at:at] = out[start:start + rng.randrange(1, 80)]
            case 4:
                out[at] = rng.randrange(256)
            case _:
                del out[rng.randrange(len(out) // 2, len(out)):]
        if not out:
            return b""
    return bytes(out)


def read(kind: str, data: bytes, path: Path, sess: fl.Session) -> str:
    """"read" or "refused"; any other error is raised."""
    path.write_bytes(data)
    _watching.append(path)
    try:
        if kind == "weights":
            sess.restore(path)
        elif kind == "onnx":
            fl.from_onnx(data)
        else:
            found = lecture_in(data, "it")
            build(found.document if found is not None else from_text(data))
        return "read"
    except fl.FlowError:
        return "refused"
    finally:
        _watching.clear()


def go(seed: int, count: int) -> Counter[str]:
    """So many mutants, a kind after another; AssertionError names the first that does what it must not."""
    sys.addaudithook(_audit)
    warnings.simplefilter("ignore")
    rng, found = random.Random(seed), Counter()
    with tempfile.TemporaryDirectory() as folder:
        files = sound(Path(folder))
        with fl.Graph() as g:
            fl.variable(np.ones((3, 2), "float32"), name="w")
            fl.nn.dense(fl.placeholder((2, 2), name="x"), 2, name="out")
        sess, path = fl.Session(g), Path(folder) / "mutant"
        for kind, data in files.items():        # what is loaded at its first use is loaded before
            read(kind, data, path, sess)
            for k in range(30):
                read(kind, mutant(data, random.Random(k)), path, sess)
        _seen.clear()
        for k in range(count):
            kind = tuple(files)[k % 3]
            made = mutant(files[kind], rng)
            try:
                found[f"{kind}, {read(kind, made, path, sess)}"] += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}, mutant {k} ({kind}): {type(error).__name__}: {error}; {made[:300]!r}") from error
            assert not _seen, f"seed {seed}, mutant {k} ({kind}): {_seen[:3]}; {made[:300]!r}"
    return found


def test_some_mutants():
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:      # a hook of Python's audit stays for good
        found = pool.submit(go, 1, 600).result()
    assert found.total() == 600 and min(found[f"{k}, refused"] for k in ("graph", "weights", "onnx")) > 50 and found["graph, read"]


@pytest.mark.slow
def test_a_million_mutants():
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        found = sum(pool.map(go, range(100, 200), [10_000] * 100), Counter())
    print(dict(found))
    assert found.total() == 1_000_000
