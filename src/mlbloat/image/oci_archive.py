"""`oci-archive:PATH[:TAG]`: an OCI layout in a tar, compressed or not."""

from mlbloat.image import oci_layout
from mlbloat.image.places import existing
from mlbloat.image.store import Archive, open_archive
from mlbloat.image.stored import Question, Stored

SCHEME = "oci-archive"


def find(question: Question) -> Stored:
    path, choice = existing(question.rest, question.reference)
    return oci_layout.find(open_archive(path, question), choice, question)


def recognises(archive: Archive) -> bool:
    return archive.find("oci-layout") is not None or archive.find("index.json") is not None
