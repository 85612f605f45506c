"""Event files as TensorBoard reads them: scalars, step by step, with no TensorFlow.

A file is a row of records, each a length (uint64), a checksum of it, the data and a checksum of that; the data is a protocol buffer `Event`. Source of both: TensorFlow's
`record_writer.h` and `event.proto`.
"""
from __future__ import annotations

import os
import secrets
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import AttributeValueError


class EventFile:
    """A new event file in a folder; scalars go in until it is closed.

    >>> with EventFile("runs/first") as file:                  # doctest: +SKIP
    ...     file.scalars(0, {"loss": 2.3})                     # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike):
        where = Path(os.fspath(folder))
        if where.exists() and not where.is_dir():
            raise AttributeValueError(f"{os.fspath(folder)!r} is a file.", port="folder", hint="TensorBoard reads a folder of event files.")
        where.mkdir(parents=True, exist_ok=True)
        self.began = time.time()
        self.path = str(where / f"events.out.tfevents.{int(self.began):010d}.{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(3)}")
        self._file = open(self.path, "xb")
        self._write(_number(1, self.began) + _text(3, b"brain.Event:2"))

    def scalars(self, step: int, values: Mapping[str, float], seconds: float | None = None) -> None:
        """Add the scalars of one step; `seconds` since the training began."""
        if not values:
            return
        summary = b"".join(_text(1, _text(1, name.encode("utf-8", "replace")) + b"\x15" + struct.pack("<f", value)) for name, value in values.items())
        when = self.began + (seconds if seconds is not None else time.time() - self.began)
        self._write(_number(1, when) + b"\x10" + _varint(step) + _text(5, summary))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        self._file.write(length + struct.pack("<I", _masked(length)) + event + struct.pack("<I", _masked(event)))


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def _number(field: int, value: float) -> bytes:
    return bytes([field << 3 | 1]) + struct.pack("<d", value)


def _text(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _table() -> list[int]:
    """CRC-32C (Castagnoli), byte by byte."""
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ 0x82F63B78 if n & 1 else n >> 1
        table.append(n)
    return table


_CRC = _table()


def crc32c(data: bytes) -> int:
    """The checksum of a record.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> int:
    """A checksum that may itself be part of checked data."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
