"""Content digests, `algorithm:hex`, as the OCI image specification writes them.

https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests
"""

import hashlib
import re

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class Digest(str):
    """A validated digest; compares and prints as its text."""

    __slots__ = ()

    def __new__(cls, text: str) -> "Digest":
        """Raise ValueError when text is not a sha256 or sha512 digest in lower-case hex."""
        if not _DIGEST.fullmatch(text):
            raise ValueError(f"not a digest: {text[:80]!r}")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, content: bytes) -> "Digest":
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]
