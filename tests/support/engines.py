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
        return docker.from_env()
    except docker.errors.DockerException as error:
        missing(f"the docker engine does not answer: {error}")


def missing(problem: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)
