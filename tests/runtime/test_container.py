from typing import Any

import pytest
from msgspec import structs

from mlbloat.errors import RunError
from mlbloat.model.container import Container
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.model.workload import Run, Service, Stop
from mlbloat.runtime import container_of, embedded
from tests.support.trees import Link, tree_of

_PASSWD = "root:x:0:0:root:/root:/bin/sh\n# comment\napp:x:1000:1001:App:/srv/app:/bin/sh\nbroken line\n7:x:9:9::/:\n"
_GROUP = "root:x:0:\napp:x:1001:\nvideo:x:44:other,app\naudio:x:29:app\n"


def _tree() -> FileTree:
    return tree_of(
        {
            "/etc/passwd": _PASSWD,
            "/etc/group": _GROUP,
            "/usr/bin/tool": "#!/bin/sh\n",
            "/bin": Link("usr/bin"),
            "/srv/app/start": "#!/bin/sh\n",
            "/usr/bin/notes": "not a program",
            "/usr/bin/directory": None,
        }
    )


def _container(run: Run | None = None, **config: object) -> Container:
    settings: dict[str, object] = {"document": b"{}", "command": ("tool",)} | config
    return container_of(ImageConfig(**settings), run or Run(name="r"), _tree(), embedded)  # type: ignore[arg-type]  # test data


@pytest.mark.parametrize(
    ("entrypoint", "command", "run", "expected"),
    [
        (("tool",), ("a",), Run(name="r"), ("tool", "a")),
        ((), ("tool", "a"), Run(name="r"), ("tool", "a")),
        (("tool", "x"), ("a",), Run(name="r", args=("b", "c")), ("tool", "x", "b", "c")),
        (("tool", "x"), ("a",), Run(name="r", args=()), ("tool", "x")),
        (("tool", "x"), ("a",), Run(name="r", run=("/bin/tool", "z")), ("/bin/tool", "z")),
    ],
)
def test_the_command_line_follows_the_rules_of_docker(
    entrypoint: tuple[str, ...], command: tuple[str, ...], run: Run, expected: tuple[str, ...]
) -> None:
    assert _container(run, entrypoint=entrypoint, command=command).argv == expected


def test_the_environment_is_the_images_with_the_runs_over_it() -> None:
    run = Run(name="r", environment=(("B", "run"), ("C", "run")))
    container = _container(run, environment=(("A", "image"), ("B", "image")), user="app")
    environment = dict(container.environment)
    assert environment["PATH"].endswith("/sbin:/bin")
    assert {name: environment[name] for name in ("A", "B", "C", "HOME", "HOSTNAME")} == {
        "A": "image",
        "B": "run",
        "C": "run",
        "HOME": "/srv/app",
        "HOSTNAME": container.hostname,
    }


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", (0, 0, ())),
        ("app", (1000, 1001, (29, 44))),
        ("1000", (1000, 1001, (29, 44))),
        ("app:video", (1000, 44, ())),
        ("app:5", (1000, 5, ())),
        ("4242", (4242, 0, ())),
        ("4242:4343", (4242, 4343, ())),
        ("7", (7, 0, ())),
    ],
)
def test_users_and_groups_are_the_images_own(user: str, expected: tuple[int, int, tuple[int, ...]]) -> None:
    container = _container(user=user)
    assert (container.uid, container.gid, container.groups) == expected


def test_a_relative_command_is_looked_up_in_the_working_directory() -> None:
    container = _container(Run(name="r", run=("./start",)), working_directory="/srv/app")
    assert (container.argv, container.working_directory) == (("./start",), "/srv/app")


@pytest.mark.parametrize(
    ("run", "config", "text"),
    [
        (Run(name="r"), {"command": ()}, "cannot run 'r': the image has no command; give one after --"),
        (Run(name="r", run=("nope",)), {}, "cannot run 'nope': there is no such command in the image (PATH /usr"),
        (Run(name="r", run=("/nope",)), {}, "cannot run '/nope': there is no such command in the image"),
        (Run(name="r", run=("notes",)), {}, "notes is not executable for uid 0 (mode 0644)"),
        (Run(name="r", run=("directory",)), {}, "directory is a directory, not a program"),
        (Run(name="r"), {"user": "nobody"}, "cannot run as 'nobody': the image's /etc/passwd has no user 'nobody'"),
        (Run(name="r"), {"user": "app:none"}, "/etc/group has no group 'none'"),
        (Run(name="r", run=("tool", "a\0b")), {}, "holds a NUL character"),
    ],
)
def test_what_cannot_run_is_said_before_anything_starts(run: Run, config: dict[str, object], text: str) -> None:
    with pytest.raises(RunError) as caught:
        _container(run, **config)
    assert text in str(caught.value)


def test_an_image_without_passwd_runs_as_root_at_slash() -> None:
    tree = tree_of({"/tool": "#!/x\n"})
    container = container_of(ImageConfig(document=b"{}", command=("/tool",)), Run(name="r"), tree, embedded)
    assert (container.uid, dict(container.environment)["HOME"]) == (0, "/")


@pytest.mark.parametrize(
    ("user", "change", "allowed"),
    [
        ("app", {}, False),
        ("app", {"mode": 0o4755}, True),
        ("app", {"mode": 0o2755}, True),
        ("app", {"mode": 0o4644}, False),
        ("app", {"xattrs": (("security.capability", b"x"),)}, True),
        ("", {"mode": 0o4755}, False),
    ],
)
def test_new_privileges_are_for_images_that_have_a_use_for_them(
    user: str, change: dict[str, Any], allowed: bool
) -> None:
    tree = _tree()
    entries = {entry.path: entry for entry in tree.values()}
    entries["/usr/bin/tool"] = structs.replace(entries["/usr/bin/tool"], **change)
    config = ImageConfig(document=b"{}", command=("/srv/app/start",), user=user)
    container = container_of(config, Run(name="r"), FileTree(entries, tree.contents), embedded)
    assert container.new_privileges is allowed


@pytest.mark.parametrize(
    ("asked", "image", "expected"),
    [
        ("", "", "TERM"),
        ("", "SIGQUIT", "QUIT"),
        ("", "3", "QUIT"),
        ("", "no signal", "TERM"),
        ("INT", "SIGQUIT", "INT"),
    ],
)
def test_a_service_is_stopped_by_the_signal_of_the_image_unless_its_run_names_one(
    asked: str, image: str, expected: str
) -> None:
    service = _container(Run(name="r", service=Service(stop=Stop(signal=asked))), stop_signal=image).service
    assert service is not None
    assert service.stop.signal == expected
