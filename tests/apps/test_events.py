"""Event files: what TensorBoard's own reader expects, byte by byte."""
from __future__ import annotations

import struct

import numpy as np
import pytest

import flowlab as fl
from flowlab.apps.events import EventFile, crc32c


def read(path):
    """Records of a file by the format's description, written apart from the writer: [(wall time, step, {tag: value})], checksums held."""
    data, at, out = open(path, "rb").read(), 0, []

    def masked(chunk):
        crc = crc32c(chunk)
        return ((crc >> 15) | (crc << 17) & 0xFFFFFFFF) + 0xA282EAD8 & 0xFFFFFFFF

    def fields(chunk):
        k = 0

        def varint():
            nonlocal k
            value = shift = 0
            while True:
                byte = chunk[k]
                k += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while k < len(chunk):
            key = varint()
            kind = key & 7
            if kind == 0:
                yield key >> 3, varint()
            else:
                size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
                yield key >> 3, chunk[k:k + size]
                k += size
    while at < len(data):
        head = data[at:at + 8]
        size, = struct.unpack("<Q", head)
        event = data[at + 12:at + 12 + size]
        assert struct.unpack("<I", data[at + 8:at + 12])[0] == masked(head) and struct.unpack("<I", data[at + 12 + size:at + 16 + size])[0] == masked(event)
        at += 16 + size
        found = dict(fields(event))
        values = {}
        for number, value in fields(found.get(5, b"")):
            assert number == 1
            one = dict(fields(value))
            values[one[1].decode()] = struct.unpack("<f", one[2])[0]
        out.append((struct.unpack("<d", found[1])[0], found.get(2, 0), values, found.get(3)))
    return out


def test_checksums_are_those_of_the_standard():
    # RFC 3720, B.4
    assert crc32c(b"\0" * 32) == 0x8A9136AA and crc32c(b"\xff" * 32) == 0x62A8AB43 and crc32c(bytes(range(32))) == 0x46DD794E and crc32c(b"") == 0


def test_a_history_comes_out_as_scalars(tmp_path):
    history = fl.History(["loss", "acc"], {"loss": [3.0, 2.0, 1.5, float("nan")], "acc": [0.1, 0.2, 0.3, 0.4]}, {"loss": [2.5, 1.0], "acc": [0.15, 0.35]}, epochs_done=2, steps_done=4,
                         validation={"loss": [2.25, 0.75]}, times=[0.5, 1.0, 1.5, 2.0], ends=[2, 4])
    path = history.to_tensorboard(tmp_path / "runs" / "one")
    events = read(path)
    assert events[0][3] == b"brain.Event:2" and path.startswith(str(tmp_path / "runs" / "one" / "events.out.tfevents.")) and len(events) == 7
    assert [e[1] for e in events[1:]] == [0, 1, 2, 3, 1, 3] and events[2][2] == {"loss": 2.0, "acc": pytest.approx(0.2)} and np.isnan(events[4][2]["loss"])
    assert events[6][2] == {"epoch/loss": 1.0, "epoch/acc": pytest.approx(0.35), "validation/loss": 0.75}
    assert events[3][0] - events[0][0] == pytest.approx(1.5, abs=1e-3)
    assert history.to_tensorboard(tmp_path / "runs" / "one") != path      # never over another
    with EventFile(tmp_path / "long") as file:
        file.scalars(2**40 + 5, {"é" * 200: 1e-3})
        file.scalars(3, {})
    assert read(file.path)[1][1:3] == (2**40 + 5, {"é" * 200: pytest.approx(1e-3)}) and len(read(file.path)) == 2
    (tmp_path / "taken").write_text("x")
    with pytest.raises(fl.AttributeValueError, match="is a file"):
        history.to_tensorboard(tmp_path / "taken")
