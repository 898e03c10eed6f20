"""Protocol Buffers' wire format, as far as an `.onnx` file needs it: numbers, and runs of bytes.

A message is a row of fields; each is a key (number of the field << 3 | kind), then a varint (kind 0) or a length and so
many bytes (kind 2). Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

_NUMBER, _BYTES = 0, 2
_LONGEST = 10  # bytes of a varint
_MOST_FIELDS = 1000  # of a message; some hundred in our largest


def field(number: int, value: int | str | bytes | memoryview) -> bytes:
    """One field of a message; numbers must not be negative."""
    if isinstance(value, int):
        return _varint(number << 3 | _NUMBER) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return b"".join((_varint(number << 3 | _BYTES), _varint(len(data)), data))


def message(*fields: tuple[int, int | str | bytes | memoryview]) -> bytes:
    """A message of these fields, each a number and a value."""
    return b"".join(field(number, value) for number, value in fields)


def runs(data: bytes | memoryview, number: int) -> Iterator[memoryview]:
    """The runs of bytes in the fields called `number` of a message; raises ValueError where it is none.

    They are views: of a file of megabytes nothing is copied.
    """
    data = memoryview(data)
    at = 0
    for _ in range(_MOST_FIELDS):
        if at == len(data):
            return
        key, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if key & 7 == _BYTES:
            if key >> 3 == number:
                yield data[at : at + value]
            at += value
        elif key & 7 != _NUMBER:
            raise ValueError(f"a field of kind {key & 7}")
    raise ValueError(f"more than {_MOST_FIELDS} fields")


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last byte have their top bit set."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """A varint's value, and where it ends."""
    value = 0
    for i, byte in enumerate(data[at : at + _LONGEST]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError("a number without an end")
