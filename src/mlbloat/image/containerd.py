"""`containerd:NAME`: an image of containerd, exported as an OCI archive by `ctr`, or by `nerdctl`.

CONTAINERD_ADDRESS and CONTAINERD_NAMESPACE hold, as they do for those programs.

https://github.com/containerd/containerd/blob/v1.7.25/cmd/ctr/commands/images/export.go
https://github.com/containerd/nerdctl/blob/v2.0.3/docs/command-reference.md#whale-nerdctl-save
"""

import os

from mlbloat.image import oci_layout
from mlbloat.image.spool import spool
from mlbloat.image.store import open_archive
from mlbloat.image.stored import AbsentError, Question, Stored
from mlbloat.runtime import ProgramError, ask, find_program, printed

SCHEME = "containerd"
_ADDRESS = "/run/containerd/containerd.sock"
_NAMESPACE = "default"


def find(question: Question) -> Stored:
    address = (os.environ.get("CONTAINERD_ADDRESS") or _ADDRESS).removeprefix("unix://")
    namespace = os.environ.get("CONTAINERD_NAMESPACE") or _NAMESPACE
    if not os.access(address, os.R_OK | os.W_OK):
        raise AbsentError(
            f"no containerd for this user at {address}", "start it, be root, or set CONTAINERD_ADDRESS to its socket"
        )
    try:
        path = spool(printed(_export(address, namespace, question)), SCHEME, None, question)
    except ProgramError as error:
        raise AbsentError(
            f"containerd says {error}", f"look at ctr -n {namespace} images ls, and set CONTAINERD_NAMESPACE"
        ) from None
    return oci_layout.find(open_archive(path, question), "", question)


def _export(address: str, namespace: str, question: Question) -> tuple[str, ...]:
    """Return the command that writes an archive to standard output."""
    platform = ("--platform", str(question.platform)) if question.platform else ()
    if find_program("ctr") is None:
        if find_program("nerdctl") is None:
            raise ProgramError("nothing here: neither ctr nor nerdctl is installed")
        return ("nerdctl", "--address", address, "--namespace", namespace, "save", *platform, "--", question.rest)
    ctr = ("ctr", "--address", address, "--namespace", namespace)
    held = ask((*ctr, "images", "ls", "-q")).decode(errors="replace").split()
    for name in (question.rest, full_name(question.rest)):
        if name in held:
            return (*ctr, "images", "export", *platform, "-", name)
    raise AbsentError(
        f"no such image in containerd's namespace {namespace}",
        f"ctr -n {namespace} images pull {full_name(question.rest)} first, or set CONTAINERD_NAMESPACE",
    )


def full_name(name: str) -> str:
    """Write a name as containerd keeps it: with a host, and with a tag or a digest."""
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"
