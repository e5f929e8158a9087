"""The advice names whole packages that nothing needs, and apt-get and pip do exactly that and no more."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mlbloat.model.filetree import FileTree
from mlbloat.model.report import Finding
from mlbloat.packages import take_inventory
from mlbloat.slim import lean_dockerfile
from tests.slim.stacks import image_of, merged
from tests.support import hadolint
from tests.support.images import Member, Members

SITE = "/opt/venv/lib/python3.11/site-packages"
PACKAGES = {
    # name: (depends, more fields)
    "tool": ("lib, shared", ""),
    "lib": ("base", ""),
    "shared": ("", ""),
    "other": ("shared", ""),
    "used": ("needed", ""),
    "needed": ("", ""),
    "base": ("", ""),
    "core": ("", "Essential: yes\n"),
    "guarded": ("", "Important: yes\n"),
    "manager": ("base", ""),
}
"""`used` is what runs; of `manager` the program that removes is."""


def stanza(name: str) -> str:
    depends, more = PACKAGES[name]
    return (
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nMaintainer: n <n@example.org>\n"
        "Version: 1\n" + (f"Depends: {depends}\n" if depends else "") + f"{more}Description: d\n\n"
    )


def wheel(name: str, *requires: str) -> Members:
    info = f"{SITE}/{name}-1.0.dist-info"
    metadata = "".join(f"Requires-Dist: {each}\n" for each in requires)
    record = (
        f"{name}/__init__.py,,\n{name}/__main__.py,,\n{name}-1.0.dist-info/METADATA,,\n{name}-1.0.dist-info/RECORD,,\n"
    )
    return {
        f"{SITE}/{name}/__init__.py": "#" * 100,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}\n",
        f"{info}/RECORD": record,
        f"{info}/INSTALLER": "pip\n",
    }


PROGRAM = Member(value="#!/bin/sh\n", mode=0o755)
DEBIAN: Members = {
    "/var/lib/dpkg/status": "".join(map(stanza, PACKAGES)),
    **{f"/var/lib/dpkg/info/{name}.list": f"/.\n/usr/bin/{name}\n" for name in PACKAGES if name != "manager"},
    "/var/lib/dpkg/info/manager.list": "/.\n/usr/bin/apt-get\n",
    **{f"/usr/bin/{name}": "x" * size for size, name in enumerate(PACKAGES, start=1000)},
    "/usr/bin/apt-get": PROGRAM,
    "/var/lib/apt/lists/index": "i" * 5000,
}
PYTHON: Members = {
    "/opt/venv/bin/python3.11": PROGRAM,
    **dict(wheel("app", "kept")),
    **dict(wheel("kept")),
    **dict(wheel("extra", "below", "kept")),
    **dict(wheel("below")),
    **dict(wheel("pip")),
    f"{SITE}/pip/__main__.py": "",
}
FINDINGS = (
    Finding(rule="apt-lists", severity="warning", title="", bytes=5000, paths=("/var/lib/apt/lists",), advice="RUN A"),
    Finding(rule="pip-cache", severity="warning", title="", bytes=9, paths=("/root/.cache/pip",), advice="ENV P=1"),
    Finding(rule="unused-packages", severity="note", title="", bytes=9, paths=(), advice="RUN B"),
)


def advised(
    directory: Path, files: Members, *kept: str, config: dict[str, object] | None = None
) -> tuple[str, FileTree]:
    image = image_of(directory / "image", [files], config=config)
    tree = merged(image)
    kept_paths = frozenset(kept) | {path for path in tree if "/info/" in path or "dist-info" in path}
    inventory = take_inventory(tree)
    return lean_dockerfile(image, tree, inventory, kept_paths, FINDINGS, used=frozenset(kept), base="app:1"), tree


def steps(text: str) -> list[str]:
    """RUN instructions, as a builder reads them."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    runs = [line.removeprefix("RUN ") for line in code.replace("\\\n", "").splitlines() if line.startswith("RUN ")]
    return [" ".join(run.split()) for run in runs]


def test_what_nothing_needs_goes_before_what_only_that_required_and_each_line_has_its_bytes(tmp_path: Path) -> None:
    text, _ = advised(tmp_path, DEBIAN, "/usr/bin/used", config={"User": "7", "Cmd": ["/usr/bin/used"]})
    body = text.partition("FROM app:1 AS full\n")[2]
    assert body == (
        "USER 0:0\n"
        "# apt, 3 packages: 3,055 bytes\n"
        "RUN apt-get purge --yes \\\n"
        "  # 2,034 bytes\n"
        "  tool lib \\\n"
        "  # 1,021 bytes\n"
        "  other\n"
        "# apt, 1 package: 1,021 bytes\n"
        "RUN apt-get purge --yes \\\n"
        "  # 1,021 bytes\n"
        "  shared\n"
        "# Caches\n"
        "RUN rm -rf \\\n"
        "  # 5,000 bytes\n"
        "  /var/lib/apt/lists/* \\\n"
        "  # 9 bytes\n"
        "  /root/.cache/pip/*\n"
        "\n"
        "FROM scratch\n"
        "COPY --from=full / /\n"
        "USER 7\n"
        'CMD ["/usr/bin/used"]\n'
        "\n"
        "# In the Dockerfile of the original (words in capitals are yours); what these save overlaps:\n"
        "#   5,000 bytes, apt-lists: RUN A\n"
        "#   9 bytes, pip-cache: ENV P=1\n"
    )


def test_a_cache_of_which_something_stays_is_left_alone(tmp_path: Path) -> None:
    text, _ = advised(tmp_path, DEBIAN, "/usr/bin/used", "/var/lib/apt/lists/index")
    assert steps(text)[-1] == "rm -rf /root/.cache/pip/*"


def test_distributions_go_by_the_pip_of_their_own_environment(tmp_path: Path) -> None:
    text, _ = advised(tmp_path, PYTHON, f"{SITE}/app/__init__.py")
    assert steps(text)[0] == "/opt/venv/bin/python3.11 -m pip uninstall --yes extra below"
    assert re.search(rf"# pip in {SITE}, 2 packages: [1-9][0-9]{{2}} bytes\n", text)


def test_what_nothing_in_the_image_can_remove_is_named_in_a_comment(tmp_path: Path) -> None:
    files = {path: value for path, value in dict(PYTHON).items() if "/pip" not in path}
    text, _ = advised(tmp_path, files, f"{SITE}/app/__init__.py")
    assert steps(text) == ["rm -rf /var/lib/apt/lists/* /root/.cache/pip/*"]
    assert re.search(rf"# [1-9][0-9]{{2}} bytes: do not install by pip in {SITE}: extra, below\n", text)


@pytest.mark.engine
def test_apt_removes_exactly_what_is_named(tmp_path: Path) -> None:
    text, tree = advised(tmp_path, DEBIAN, "/usr/bin/used")
    status = tmp_path / "status"
    status.write_bytes(tree.read(tree["/var/lib/dpkg/status"]))
    named = [step.split()[3:] for step in steps(text) if step.startswith("apt-get purge")]
    apt = shutil.which("apt-get")
    assert apt is not None
    options = ("-o", f"Dir::State::Status={status}", "-o", f"Dir::State={tmp_path}", "-o", "APT::Architecture=amd64")
    for names in (named[0], named[0] + named[1]):
        run = subprocess.run([apt, "--simulate", *options, "purge", "--yes", *names], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert sorted(re.findall(r"^Purg (\S+)", run.stdout, re.MULTILINE)) == sorted(names)


@pytest.mark.engine
def test_hadolint_has_nothing_to_say_of_the_advice(tmp_path: Path) -> None:
    text, _ = advised(
        tmp_path, {**dict(DEBIAN), **dict(PYTHON)}, "/usr/bin/used", config={"User": "7", "Env": ["A=b c"]}
    )
    assert hadolint.said(text) == (0, "")


def test_a_package_goes_with_configuration_that_is_kept_and_stays_with_one_that_is_used(tmp_path: Path) -> None:
    files: Members = {
        **dict(DEBIAN),
        "/etc/other": "o",
        "/var/lib/dpkg/info/other.list": "/.\n/usr/bin/other\n/etc/other\n",
    }
    image = image_of(tmp_path / "image", [files])
    tree = merged(image)
    kept = frozenset({"/usr/bin/used", "/etc/other"})

    def purged(*used: str) -> bool:
        inventory = take_inventory(tree)
        text = lean_dockerfile(image, tree, inventory, kept, (), used=frozenset(used), base="app:1")
        return any("other" in step.split() for step in steps(text))

    assert purged("/usr/bin/used")
    assert not purged("/usr/bin/used", "/etc/other")


def test_a_package_whose_record_code_asks_for_stays(tmp_path: Path) -> None:
    """As `importlib.metadata.version("extra")` does: the slim image keeps the record, and nothing else of it."""
    image = image_of(tmp_path / "image", [PYTHON])
    tree = merged(image)
    record = f"{SITE}/extra-1.0.dist-info/METADATA"
    kept = frozenset({f"{SITE}/app/__init__.py", record})

    def removed(*asked: str) -> str:
        return lean_dockerfile(
            image,
            tree,
            take_inventory(tree),
            kept,
            (),
            used=frozenset({f"{SITE}/app/__init__.py"}),
            asked=frozenset(asked),
            base="app:1",
        )

    assert steps(removed())[0].endswith("pip uninstall --yes extra below")
    assert steps(removed(record)) == []
