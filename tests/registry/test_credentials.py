"""Credentials are found where docker and podman keep them, and go to nobody else."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from mlbloat.errors import UsageError
from mlbloat.registry import parse_reference
from mlbloat.registry.credentials import Found, find_credential

ENV = {
    "MLBLOAT_REGISTRY_AUTH_AUTHORITY": "host.example:5000",
    "MLBLOAT_REGISTRY_AUTH_USERNAME": "env",
    "MLBLOAT_REGISTRY_AUTH_PASSWORD": "secret",
}


def find(tmp_path: Path, name: str = "host.example:5000/team/app", **environment: str) -> Found:
    return find_credential(parse_reference(name), {"HOME": str(tmp_path), **environment})


def write(path: Path, document: Mapping[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def entry(username: str, password: str = "pw") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def user_of(found: Found) -> str | None:
    return found.credential.username if found.credential else None


def test_without_any_place_there_is_none(tmp_path: Path) -> None:
    assert find(tmp_path) == Found(credential=None)


def test_places_are_asked_in_order(tmp_path: Path) -> None:
    places = {
        "home": tmp_path / ".config/containers/auth.json",
        "run": tmp_path / "run/containers/auth.json",
        "docker": tmp_path / ".docker/config.json",
        "given": tmp_path / "given.json",
    }
    environment = {"XDG_RUNTIME_DIR": f"{tmp_path}/run", "REGISTRY_AUTH_FILE": f"{tmp_path}/given.json"}
    for user, path in places.items():
        write(path, {"auths": {"host.example:5000": entry(user)}})
        found = find(tmp_path, **environment)
        assert user_of(found) == user
        assert found.credential is not None and found.credential.origin == str(path)
    assert user_of(find(tmp_path, **environment, **ENV)) == "env"


def test_docker_config_moves_docker_s_file(tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {"host.example:5000": entry("old")}})
    write(tmp_path / "else/config.json", {"auths": {"host.example:5000": entry("new")}})
    assert user_of(find(tmp_path, DOCKER_CONFIG=f"{tmp_path}/else")) == "new"


@pytest.mark.parametrize("name", ["app", "other.example/team/app", "host.example/team/app", "host.example:5001/app"])
def test_variables_are_for_the_registry_they_name_only(tmp_path: Path, name: str) -> None:
    assert find(tmp_path, name, **ENV).credential is None


@pytest.mark.parametrize("authority", ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO"])
def test_variables_may_name_docker_hub_in_any_way(tmp_path: Path, authority: str) -> None:
    assert user_of(find(tmp_path, "me/app", **ENV | {"MLBLOAT_REGISTRY_AUTH_AUTHORITY": authority})) == "env"


@pytest.mark.parametrize("missing", ["AUTHORITY", "USERNAME", "PASSWORD"])
def test_variables_that_are_incomplete_are_a_usage_error(tmp_path: Path, missing: str) -> None:
    environment = {name: value for name, value in ENV.items() if not name.endswith(missing)}
    with pytest.raises(UsageError, match=r"cannot use MLBLOAT_REGISTRY_AUTH_…: .*set ") as error:
        find(tmp_path, **environment)
    assert "secret" not in str(error.value)


def test_a_token_may_be_given(tmp_path: Path) -> None:
    environment = {"MLBLOAT_REGISTRY_AUTH_AUTHORITY": "host.example:5000", "MLBLOAT_REGISTRY_AUTH_TOKEN": "t"}
    found = find(tmp_path, **environment).credential
    assert found is not None and found.registry_token == "t"


@pytest.mark.parametrize(
    "key",
    [
        "host.example:5000",
        "https://host.example:5000",
        "https://host.example:5000/v1/",
        "http://host.example:5000/v2/",
        "host.example:5000/team",
        "host.example:5000/team/app",
        "HOST.example:5000",
    ],
)
def test_keys_are_read_as_docker_and_podman_write_them(tmp_path: Path, key: str) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {key: entry("user", "p:w")}})
    found = find(tmp_path).credential
    assert found is not None and (found.username, found.password) == ("user", "p:w")


@pytest.mark.parametrize(
    "key", ["host.example", "host.example:5000/tea", "host.example:5000/team/app/x", "example:5000"]
)
def test_keys_of_others_are_not_ours(tmp_path: Path, key: str) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {key: entry("user")}})
    assert find(tmp_path).credential is None


def test_the_closest_key_wins(tmp_path: Path) -> None:
    keys = ("host.example:5000", "host.example:5000/team/app", "host.example:5000/team")
    write(tmp_path / ".docker/config.json", {"auths": {key: entry(key.rpartition("/")[2]) for key in keys}})
    assert user_of(find(tmp_path)) == "app"
    assert user_of(find(tmp_path, "host.example:5000/team/b")) == "team"
    assert user_of(find(tmp_path, "host.example:5000/b")) == "host.example"


def test_docker_hub_is_known_by_its_old_address(tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {"https://index.docker.io/v1/": entry("hub")}})
    assert user_of(find(tmp_path, "app")) == "hub"


def test_identity_and_registry_tokens_are_read(tmp_path: Path) -> None:
    document = {"auths": {"host.example:5000": {**entry("u", ""), "identitytoken": "i", "registrytoken": "r"}}}
    write(tmp_path / ".docker/config.json", document)
    found = find(tmp_path).credential
    assert found is not None and (found.identity_token, found.registry_token) == ("i", "r")


def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Install docker-credential-test, which writes down what it was asked."""
    program = tmp_path / "bin/docker-credential-test"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat >{tmp_path}/asked\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path / "asked"


ANSWER = """echo '{"ServerURL": "x", "Username": "helped", "Secret": "s"}'"""


@pytest.mark.parametrize(
    "document",
    [
        {"credsStore": "test"},
        {"credHelpers": {"host.example:5000": "test"}, "credsStore": "missing"},
        {"credsStore": "test", "auths": {"host.example:5000": {}}},
    ],
)
def test_a_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: dict[str, object]) -> None:
    asked = helper(tmp_path, monkeypatch, ANSWER)
    write(tmp_path / ".docker/config.json", document)
    found = find(tmp_path).credential
    assert found is not None and (found.username, found.password) == ("helped", "s")
    assert found.origin == "docker-credential-test"
    assert asked.read_text() == "host.example:5000"


def test_a_helper_knows_docker_hub_by_its_old_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = helper(tmp_path, monkeypatch, ANSWER.replace("helped", "<token>"))
    write(tmp_path / ".docker/config.json", {"credsStore": "test"})
    found = find(tmp_path, "app").credential
    assert found is not None and (found.username, found.identity_token) == ("", "s")
    assert asked.read_text() == "https://index.docker.io/v1/"


def test_a_helper_for_another_registry_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = helper(tmp_path, monkeypatch, ANSWER)
    write(tmp_path / ".docker/config.json", {"credHelpers": {"other.example": "test"}})
    assert find(tmp_path) == Found(credential=None)
    assert not asked.exists()


@pytest.mark.parametrize(
    ("script", "remark"),
    [
        ("echo 'credentials not found in native keychain'; exit 1", None),
        ("echo broken; exit 1", "docker-credential-test failed: "),
        ("echo nonsense", "docker-credential-test failed: "),
        ("echo '[]'", "docker-credential-test failed: "),
    ],
)
def test_a_helper_that_does_not_help_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, remark: str | None
) -> None:
    helper(tmp_path, monkeypatch, script)
    write(tmp_path / ".docker/config.json", {"credsStore": "test", "auths": {"host.example:5000": entry("file")}})
    found = find(tmp_path)
    assert user_of(found) == "file"
    assert [text[: len(remark or "")] for text in found.remarks] == ([remark] if remark else [])


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        ("{", "is not usable: "),
        ('{"auths": []}', "is not usable: "),
        ('{"auths": {"host.example:5000": {"auth": "***"}}}', "has an entry that is no base64"),
        ('{"credsStore": "surely-missing"}', "docker-credential-surely-missing is not installed"),
        ("", None),
    ],
)
def test_a_file_that_is_not_usable_is_passed_over_and_remembered(
    tmp_path: Path, content: str, remark: str | None
) -> None:
    write(tmp_path / ".docker/config.json", {}).write_text(content)
    write(tmp_path / ".config/containers/auth.json", {"auths": {"host.example:5000": entry("next")}})
    found = find(tmp_path)
    assert user_of(found) == "next"
    assert len(found.remarks) == (remark is not None)
    assert remark is None or remark in found.remarks[0]


def test_a_secret_is_never_printed(tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {"host.example:5000": entry("user", "hunter2")}})
    assert "hunter2" not in repr(find(tmp_path))
