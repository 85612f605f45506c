"""TensorBoard's event files, read by the format's description and apart from the writer."""
from __future__ import annotations

import struct

from flowlab.apps.events import crc32c


def read(path):
    """Records of a file: [(wall time, step, {tag: value})], checksums held."""
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
