"""Limits of the number of parts of a request, checked before it is parsed.

Parsing happens in the server's one event loop and holds it: 33 MB of empty lists take 10 s, in
which nobody, a health check included, gets an answer. Counting takes some hundredths of a second.
"""

from __future__ import annotations

from collections.abc import Iterator

from .columns import BadRequestError

MOST_OBJECTS = 1_000
"""JSON objects, or fields of a message, tensors among them, besides the numbers."""
_MOST_KEYS = 10 * MOST_OBJECTS
MOST_COLUMNS = 32
"""Numbers of a gRPC message are at most so many times the rows that a request may have."""

_INPUTS, _CONTENTS = 5, 5  # ModelInferRequest.inputs, InferInputTensor.contents
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_SHAPE = 3  # InferInputTensor.shape
_PACKED_VARINTS = frozenset({1, 2, 3, 4, 5})  # InferTensorContents: bool, int, uint …
_CONTINUED = bytes(range(128, 256))


def require_small_json(body: bytes, most_values: int, most_records: int = 0) -> None:
    """Check that JSON is parsed in less than a second.

    Args:
        body: Text that may or may not be JSON.
        most_values: Numbers of the largest request that is served.
        most_records: Rows that may be objects, with a key for each number.

    Raises:
        BadRequestError: it has more objects, keys, lists or values than a request has.
    """
    for sign, most, what in (
        (b"{", most_records + MOST_OBJECTS, "objects"),
        (b":", _MOST_KEYS + (most_values if most_records else 0), "keys"),
        (b"[", most_values + MOST_OBJECTS, "lists"),
        # Twice as many, so that the error about the number of rows comes first.
        (b",", 2 * most_values + _MOST_KEYS, "values"),
    ):
        if body.count(sign) > most:
            raise BadRequestError(
                f"the request has more than {most} JSON {what}, the most in a request"
            )


def require_small_message(content: bytes, most_rows: int) -> None:
    """Check that a gRPC ``ModelInferRequest`` is parsed in less than a second.

    Raises:
        BadRequestError: it has more fields or numbers than a request has.
    """
    numbers, most = 0, most_rows * MOST_COLUMNS
    for fields, packed in enumerate(_fields(content), 1):
        if fields > MOST_OBJECTS:
            raise BadRequestError(
                f"the message has more than {MOST_OBJECTS} fields, the most in a request; numbers "
                "must be packed"
            )
        if packed is not None:
            numbers += len(packed.tobytes().translate(None, _CONTINUED))
            if numbers > most:
                raise BadRequestError(
                    f"the message holds more than {most} numbers, the most there are"
                )


def _fields(content: bytes) -> Iterator[memoryview | None]:
    """Each field of the message, its tensors and their contents; packed integers with their
    bytes, others as None. Ends at bytes that cannot be read: the parser reports them."""
    try:
        for number, part in _parts(memoryview(content)):
            yield None
            if number != _INPUTS or part is None:
                continue
            for inner, tensor_part in _parts(part):
                yield tensor_part if inner == _SHAPE else None
                if inner == _CONTENTS and tensor_part is not None:
                    for innermost, values in _parts(tensor_part):
                        yield values if innermost in _PACKED_VARINTS else None
    except (IndexError, ValueError):
        return


def _parts(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Number and bytes of each field in the wire format; None where it is a single number."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind, part = tag & 7, None
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _EIGHT_BYTES:
            at += 8
        elif kind == _FOUR_BYTES:
            at += 4
        elif kind == _LENGTH:
            length, at = _varint(message, at)
            part, at = message[at : at + length], at + length
        else:
            raise ValueError("groups are in no message of the protocol")
        yield tag >> 3, part


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("no number has so many bytes")
