"""The text of a slimmed Dockerfile; tests/slim/test_docker.py builds it."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from mlbloat.image import load, squash
from mlbloat.model.use import Level
from mlbloat.slim import DockerfileResult, make_plan, slimmed_dockerfile
from mlbloat.slim.dockerfile import removed_list
from tests.slim.installed import LAYER
from tests.slim.stacks import image_of, marks_keeping, merged
from tests.slim.test_databases import cut
from tests.support import hadolint, images
from tests.support.elf import elf_file
from tests.support.images import Member, Members
from tests.support.trees import Link

PROGRAM = Member(value=elf_file(interpreter="/lib/ld.so", needed=("libc.so",)), mode=0o755)
TOOLS: Members = {
    "/usr/bin/dash": PROGRAM,
    "/usr/bin/sh": Link("dash"),
    "/usr/bin/rm": PROGRAM,
    "/usr/bin/xargs": PROGRAM,
    "/bin": Link("usr/bin"),
    "/lib/ld.so": elf_file(),
    "/lib/libc.so": Link("libc-2.so"),
    "/lib/libc-2.so": elf_file(needed=("libdeep.so",)),
    "/opt/libdeep.so": elf_file(needed=("missing.so",)),
    "/opt/libother.so": elf_file(),
    "/app": "used",
    "/unused": "x",
}


def result(
    directory: Path, files: Members, *kept: str, config: dict[str, object] | None = None, base: str = "app:1"
) -> DockerfileResult:
    image = image_of(directory, [files], config=config)
    tree = merged(image)
    plan = make_plan(image, tree, marks_keeping(tree, *kept), Level.SAFE)
    return slimmed_dockerfile(image, tree, plan, base=base)


def test_the_original_removes_by_itself_and_what_that_needs_goes_last(tmp_path: Path) -> None:
    made = result(tmp_path, TOOLS, "/app", config={"User": "1000", "Cmd": ["/app"]})
    assert made.text == (
        "# The slim image of app:1: the original without 8 of its files, which nothing reaches.\n"
        "# removed.txt names them and has to be in the build context. Written by mlbloat, --keep safe.\n"
        "# hadolint global ignore=DL3002,DL3025,DL3048,DL3059,DL3066,DL3067\n"
        "FROM app:1 AS full\n"
        "USER 0:0\n"
        'COPY ["removed.txt", "/mlbloat-removed.txt"]\n'
        'RUN ["/bin/sh", "-c", "/bin/xargs /bin/rm -f -- < /mlbloat-removed.txt && /bin/rm -f -- /mlbloat-removed.txt'
        ' /lib/ld.so /lib/libc-2.so /opt/libdeep.so /usr/bin/dash /usr/bin/rm /usr/bin/xargs"]\n'
        "\n"
        "FROM scratch\n"
        "COPY --from=full / /\n"
        "USER 1000\n"
        'CMD ["/app"]\n'
    )
    assert dict(made.files) == {"removed.txt": "/opt/libother.so\n/unused\n"}
    assert made.flags == ()


def test_an_image_without_programs_is_cut_by_a_tool_image(tmp_path: Path) -> None:
    made = result(tmp_path, {"/app": "used", "/unused": "x"}, "/app")
    assert made.text.partition("DL3067\n")[2] == (
        "FROM busybox:1.37.0-musl AS full\n"
        "COPY --from=app:1 / /image/\n"
        'COPY ["removed.txt", "/mlbloat-removed.txt"]\n'
        "WORKDIR /image\n"
        "RUN xargs rm -f -- < /mlbloat-removed.txt\n"
        "\n"
        "FROM scratch\n"
        "COPY --from=full /image/ /\n"
    )
    assert dict(made.files) == {"removed.txt": "./unused\n"}


@pytest.mark.parametrize(
    ("config", "more"),
    [
        ({"OnBuild": ["RUN true"]}, {}),
        ({"Volumes": {"/data": {}}}, {"/data/unused": "x"}),
        ({"Volumes": {"/not/there": {}}}, {}),
        ({}, {"/etc/hosts": "x"}),
    ],
)
def test_a_tool_image_is_used_where_a_run_in_the_original_would_do_too_little_or_too_much(
    tmp_path: Path, config: dict[str, object], more: Members
) -> None:
    files: Members = {**dict(TOOLS), **dict(more)}
    assert "FROM busybox" not in result(tmp_path, TOOLS, "/app", config={}).text
    assert "FROM busybox" in result(tmp_path, files, "/app", config=config).text


def test_the_configuration_is_carried_as_instructions(tmp_path: Path) -> None:
    config: dict[str, object] = {
        "Env": ["PATH=/bin", 'QUOTED=a "b" $HOME \\ c', "EMPTY=", "EQUALS=a=b"],
        "Labels": {"org.example.note": "kept $x", "odd key": "v"},
        "Shell": ["/bin/bash", "-c"],
        "WorkingDir": "/my app",
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Volumes": {"/v/ä": {}},
        "Healthcheck": {
            "Test": ["CMD-SHELL", "curl -f http://localhost || exit 1"],
            "Interval": 30_000_000_000,
            "Timeout": 1_500_000_000,
            "StartPeriod": 5,
            "Retries": 3,
        },
        "StopSignal": "SIGINT",
        "OnBuild": ["COPY . /src", "RUN make"],
        "User": "worker:staff",
        "Entrypoint": ["/usr/bin/env", 'a "b"', "line\nbreak"],
        "Cmd": ["/app/main.py"],
    }
    made = result(tmp_path, {"/my app": None, "/v/ä": None}, config=config)
    assert made.text.partition("COPY --from=full /image/ /\n")[2] == (
        'ENV PATH="/bin"\n'
        'ENV QUOTED="a \\"b\\" \\$HOME \\\\ c"\n'
        'ENV EMPTY=""\n'
        'ENV EQUALS="a=b"\n'
        'LABEL "org.example.note"="kept \\$x"\n'
        'LABEL "odd key"="v"\n'
        'SHELL ["/bin/bash", "-c"]\n'
        'WORKDIR "/my app"\n'
        "EXPOSE 53/udp\n"
        "EXPOSE 8080/tcp\n"
        'VOLUME ["/v/ä"]\n'
        "HEALTHCHECK --interval=30s --timeout=1500ms --start-period=5ns --retries=3"
        " CMD curl -f http://localhost || exit 1\n"
        "STOPSIGNAL SIGINT\n"
        "ONBUILD COPY . /src\n"
        "ONBUILD RUN make\n"
        "USER worker:staff\n"
        'ENTRYPOINT ["/usr/bin/env", "a \\"b\\"", "line\\nbreak"]\n'
        'CMD ["/app/main.py"]\n'
    )
    assert made.flags == ()


@pytest.mark.parametrize(
    ("check", "line"),
    [
        ({"Test": ["NONE"]}, "HEALTHCHECK NONE\n"),
        ({"Test": ["CMD", "/check", "a b"]}, 'HEALTHCHECK CMD ["/check", "a b"]\n'),
        ({"Test": []}, ""),
    ],
)
def test_health_checks_of_every_form(tmp_path: Path, check: dict[str, object], line: str) -> None:
    made = result(tmp_path, {"/a": "a"}, "/a", config={"Healthcheck": check})
    assert made.text.partition("COPY --from=full /image/ /\n")[2] == line


@pytest.mark.parametrize(
    "config",
    [
        {"Env": ["A=1\nRUN evil"]},
        {"Env": ['A B"=1']},
        {"Labels": {"a": "x\r\nRUN evil"}},
        {"StopSignal": "SIGINT\\"},
        {"OnBuild": ["RUN a\nRUN b"]},
        {"Healthcheck": {"Test": ["CMD-SHELL", "a\nb"]}},
    ],
)
def test_what_no_instruction_can_say_is_left_out_and_flagged(tmp_path: Path, config: dict[str, object]) -> None:
    made = result(tmp_path, {"/a": "a"}, "/a", config=config)
    assert made.text.endswith("COPY --from=full /image/ /\n")
    assert len(made.flags) == 1
    assert made.flags[0].startswith("the Dockerfile cannot say ")


def test_a_working_directory_that_the_build_would_make_is_flagged(tmp_path: Path) -> None:
    made = result(tmp_path, {"/a": "a"}, "/a", config={"WorkingDir": "/not/there"})
    assert made.flags == ("the Dockerfile makes /not/there, which the original leaves to the engine to make",)


@pytest.mark.parametrize("base", ["/tmp/image.tar", "", "a\nRUN evil"])
def test_an_original_without_a_name_gets_one_to_be_tagged_with(tmp_path: Path, base: str) -> None:
    made = result(tmp_path, {"/a": "a"}, "/a", base=base)
    assert "COPY --from=original:image / /image/" in made.text
    assert made.flags == ("the original has no name to build from: load it, and tag it original:image",)
    assert "evil" not in made.text


def test_names_in_the_list_are_escaped_as_xargs_reads_them() -> None:
    paths = ("/plain-1.0_x+y.txt", "/two words", '/it\'s "odd" \\n', "/line\nbreak", "/ümlaut", "/\udcff", "/tab\t")
    assert removed_list(paths) == (
        '/plain-1.0_x+y.txt\n/two\\ words\n/it\\\'s\\ \\"odd\\"\\ \\\\n\n/line\\\nbreak\n/ümlaut\n/\\\udcff\n/tab\\\t\n'
    )


def test_late_removals_with_odd_names_are_quoted_for_the_shell(tmp_path: Path) -> None:
    odd = "/opt/it's odd"
    files: Members = {
        **dict(TOOLS),
        "/usr/bin/rm": Member(value=elf_file(interpreter=odd), mode=0o755),
        odd: elf_file(),
    }
    run = next(line for line in result(tmp_path, files, "/app").text.splitlines() if line.startswith("RUN "))
    assert " '/opt/it'\\''s odd' " in json.loads(run.removeprefix("RUN "))[2]


@pytest.mark.engine
@pytest.mark.parametrize("own_tools", [True, False])
def test_hadolint_has_nothing_to_say(tmp_path: Path, own_tools: bool) -> None:
    config: Mapping[str, object] = {
        "Env": ["PATH=/bin", "WORDS=a b"],
        "User": "7",
        "Labels": {"note": "a b"},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/app": {}},
        "WorkingDir": "/app",
        "Healthcheck": {"Test": ["CMD-SHELL", "test -f /x"], "Interval": 30000000000},
        "StopSignal": "SIGINT",
        "Cmd": ["/app"],
    } | ({} if own_tools else {"OnBuild": ["RUN true"]})
    (tmp_path / "image").mkdir()
    path = images.oci_archive(tmp_path / "a.tar", [dict(LAYER) | dict(TOOLS)], config=config)
    image = load(str(path), tmp_path / "image")
    plan = cut(image)
    made = slimmed_dockerfile(image, squash(image), plan, base="app:1", list_name="Dockerfile.removed")
    assert 'ADD ["Dockerfile.databases.tar"' in made.text
    assert hadolint.said(made.text) == (0, "")
