"""The process that checks signatures for another one, so that a long log costs two cores half the time.

Run as a script by crypto/signatures_ahead.py, isolated (`python -I`), with nothing in its environment; it sees public bytes only.
In: per signature 32 bytes of public key, 64 of signature, a u32 length and the signed bytes. Out, in the same order, a byte each:
1 for good.
"""

import struct
import sys
from typing import BinaryIO

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

HEADER = struct.Struct("<32s64sI")


def main(asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the pipe ends."""
    while len(header := asked.read(HEADER.size)) == HEADER.size:
        public, signature, size = HEADER.unpack(header)
        answers.write(b"\x01" if _holds(public, signature + asked.read(size)) else b"\x00")
        answers.flush()


def _holds(public: bytes, signed: bytes) -> bool:
    try:
        crypto_sign_open(signed, public)
    except BadSignatureError:
        return False
    return True


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
