"""Installed engines for tests marked `engine`. In CI a missing one is a failure, elsewhere the reason to skip."""

import os
import shutil
from typing import NoReturn

import docker
import pytest


def program(name: str) -> str:
    return shutil.which(name) or missing(f"{name} is not installed")


def docker_client() -> docker.DockerClient:
    try:
        return docker.from_env(timeout=600)
    except docker.errors.DockerException as error:
        missing(f"the docker engine does not answer: {error}")


def containerd_address() -> str:
    """The socket of containerd; the docker engine starts one of its own where none runs."""
    paths = ("/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock")
    found = next((path for path in paths if os.access(path, os.R_OK | os.W_OK)), None)
    return found or missing("containerd does not answer")


def missing(problem: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)
