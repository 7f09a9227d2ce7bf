"""Bytes with something cut out, put in, repeated or written over."""

from __future__ import annotations

from hypothesis import strategies as st

TOKENS = [b"\0", b"\xff", b"\xef\xbb\xbf", b'"', b"'", b";", b",", b"\t", b"|", b"\r", b"\n"]
TOKENS += [b"\r\n", b"\x1a", b"NaN", b"inf", b"-", b"1e999", b"9" * 40, b"True", b"#", b"\\"]
TOKENS += ["é٣\u2028\u00a0".encode(), b"\xed\xa0\x80", b"0x1", b"1_0", b"=1+1"]


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 20)))
        piece = draw(st.binary(max_size=6) | st.sampled_from(TOKENS))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            del content[start:end]
        elif kind == 1:
            content[start:start] = piece
        elif kind == 2:
            content[start : start + len(piece)] = piece
        elif kind == 3:
            content[start:start] = content[start:end] * draw(st.integers(1, 30))
        elif kind == 4 and content:
            at = min(start, len(content) - 1)
            content[at] ^= 1 << draw(st.integers(0, 7))
        else:
            del content[start:]
    return bytes(content)
