"""`oci-dir:PATH[:TAG]`: an OCI layout in a directory."""

from pathlib import Path

from mlbloat.errors import BadImageError
from mlbloat.image import oci_layout
from mlbloat.image.places import existing
from mlbloat.image.store import Directory
from mlbloat.image.stored import Question, Stored

SCHEME = "oci-dir"


def find(question: Question) -> Stored:
    path, choice = existing(question.rest, question.reference)
    if not recognises(path):
        raise BadImageError(f"cannot read {question.reference}: it is no OCI layout; for a root file system use dir:")
    return oci_layout.find(Directory(path, question.reference), choice, question)


def recognises(path: Path) -> bool:
    return path.is_dir() and ((path / "oci-layout").is_file() or (path / "index.json").is_file())
