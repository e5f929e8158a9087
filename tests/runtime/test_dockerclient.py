"""Which docker engine: DOCKER_HOST, then the context, as docker's own client has it."""

import hashlib
import json
from pathlib import Path

import pytest

from mlbloat.runtime.dockerclient import DEFAULT_HOST, ContextError, environment, trouble


def add_context(config: Path, name: str, endpoint: object) -> Path:
    """Write a context as `docker context create` does; return where its certificates would be."""
    number = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts/meta" / number
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    return config / "contexts/tls" / number / "docker"


def test_docker_host_comes_first(tmp_path: Path) -> None:
    add_context(tmp_path, "far", {"Host": "tcp://far:2376"})
    variables = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far", "DOCKER_HOST": "tcp://near:1"}
    assert environment({**variables, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}) == {
        "DOCKER_HOST": "tcp://near:1",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/c",
    }


def test_the_context_of_the_environment_comes_before_the_current_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "near"}')
    add_context(tmp_path, "near", {"Host": "unix:///near.sock"})
    add_context(tmp_path, "far", {"Host": "ssh://me@far"})
    assert environment({"DOCKER_CONFIG": str(tmp_path)}) == {"DOCKER_HOST": "unix:///near.sock"}
    assert environment({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"}) == {"DOCKER_HOST": "ssh://me@far"}
    assert environment({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "default"}) == {"DOCKER_HOST": DEFAULT_HOST}


def test_the_configuration_is_below_home(tmp_path: Path) -> None:
    add_context(tmp_path / ".docker", "far", {"Host": "tcp://far:2375"})
    assert environment({"HOME": str(tmp_path), "DOCKER_CONTEXT": "far"}) == {"DOCKER_HOST": "tcp://far:2375"}
    assert environment({"HOME": str(tmp_path)}) == {"DOCKER_HOST": DEFAULT_HOST}
    assert environment({}) == {"DOCKER_HOST": DEFAULT_HOST}


@pytest.mark.parametrize(("skip", "verify"), [(False, "1"), (True, "")])
def test_a_context_brings_its_certificates(tmp_path: Path, skip: bool, verify: str) -> None:
    certificates = add_context(tmp_path, "far", {"Host": "tcp://far:2376", "SkipTLSVerify": skip})
    certificates.mkdir(parents=True)
    assert environment({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"}) == {
        "DOCKER_HOST": "tcp://far:2376",
        "DOCKER_CERT_PATH": str(certificates),
        "DOCKER_TLS_VERIFY": verify,
    }


def test_a_context_that_does_not_exist_is_an_error_and_not_the_default(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="there is no docker context 'far'"):
        environment({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"})


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_broken_configuration_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ContextError, match=r"config\.json"):
        environment({"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("endpoint", [None, "x", []])
def test_a_context_without_an_engine_is_an_error(tmp_path: Path, endpoint: object) -> None:
    add_context(tmp_path, "odd", endpoint)
    with pytest.raises(ContextError, match="names no docker engine"):
        environment({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "odd"})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            "Max retries exceeded with url: /version (Caused by NewConnectionError('<HTTPConnection>: Failed to "
            "establish a new connection: [Errno 111] Connection refused'))",
            "tcp://127.0.0.1:9: Connection refused",
        ),
        (
            "('Connection aborted.', FileNotFoundError(2, 'No such file or directory'))",
            "tcp://127.0.0.1:9: No such file or directory",
        ),
        ("('Connection aborted.', PermissionError(13, 'Permission denied'))", "tcp://127.0.0.1:9: Permission denied"),
        ("500 Server Error:\n  no space left", "500 Server Error: no space left"),
        (ContextError("/c.json cannot be read ([Errno 13] no)"), "/c.json cannot be read ([Errno 13] no)"),
    ],
)
def test_trouble_is_the_address_and_what_the_system_says(
    monkeypatch: pytest.MonkeyPatch, error: object, told: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    assert trouble(error) == told
