"""Event files: what TensorBoard's own reader expects, byte by byte."""
from __future__ import annotations

import numpy as np
import pytest
from event_files import read

import flowlab as fl
from flowlab.apps.events import EventFile, crc32c


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
