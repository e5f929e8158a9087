"""Certificates are found where docker and podman have them."""

from pathlib import Path

from mlbloat.registry.certificates import Certificates, find_certificates


def put(directory: Path, *names: str) -> Path:
    directory.mkdir(parents=True)
    for name in names:
        (directory / name).write_bytes(b"")
    return directory


def find(tmp_path: Path, authority: str = "host.example:5000") -> Certificates:
    return find_certificates(authority, {"HOME": f"{tmp_path}/home"}, (tmp_path / "etc",))


def test_without_any_the_system_s_hold(tmp_path: Path) -> None:
    assert find(tmp_path) == Certificates()


def test_the_system_has_some_for_a_registry(tmp_path: Path) -> None:
    place = put(tmp_path / "etc/host.example:5000", "ca.crt", "client.cert", "client.key")
    client = (f"{place}/client.cert", f"{place}/client.key")
    assert find(tmp_path) == Certificates(authority=f"{place}/ca.crt", client=client)
    assert find(tmp_path, "host.example") == Certificates()


def test_the_user_s_own_come_first(tmp_path: Path) -> None:
    put(tmp_path / "etc/host.example:5000", "ca.crt")
    place = put(tmp_path / "home/.config/docker/certs.d/host.example:5000", "own.crt")
    assert find(tmp_path) == Certificates(authority=f"{place}/own.crt")
    put(tmp_path / "home/.config/containers/certs.d/host.example:5000")
    assert find(tmp_path).authority == f"{place}/own.crt"  # an empty directory has none


def test_a_certificate_without_its_key_is_none(tmp_path: Path) -> None:
    put(tmp_path / "etc/host.example:5000", "client.cert")
    assert find(tmp_path) == Certificates()
