"""One exit code per cause, and one line on stderr that says what to do (docs/exit-codes.md)."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlbloat import errors, pipeline
from mlbloat.pipeline import Request
from mlbloat.report import json
from tests.cli.conftest import Asked, Ended, Mlbloat
from tests.support import reports


def one_line(ended: Ended) -> str:
    """Return the only thing that was said."""
    assert ended.stdout == ""
    assert ended.stderr.startswith("mlbloat: ") and ended.stderr.endswith("\n")
    (line,) = ended.stderr.splitlines()
    return line.removeprefix("mlbloat: ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["scan"], "Missing argument 'IMAGE'"),
        (["scan", "x", "--wrong"], "No such option: --wrong"),
        (["sacn", "x"], "No such command 'sacn'"),
        (["scan", "x", "--timeout", "0"], "--timeout"),
        (["slim", "x"], "Missing option '-t'"),
        (["trace", "x"], "Missing option '-t'"),
        (["convert"], "Missing argument 'REPORT'"),
    ],
)
def test_a_wrong_command_line_is_2_and_names_the_help(mlbloat: Mlbloat, words: list[str], says: str) -> None:
    ended = mlbloat(*words)
    assert ended.exit == 2
    line = one_line(ended)
    assert line.startswith("cannot read the command line: ")
    assert says in line
    assert line.endswith(f"; see mlbloat {words[0]} --help" if words[0] != "sacn" else "; see mlbloat --help")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "pdf"], "cannot print a report as 'pdf'; formats are table, html, "),
        (["-o", "table", "-o", "json"], "cannot print two reports on standard output"),
        (["-o", "json", "-o", "json=-"], "cannot print two reports on standard output"),
        (["-o", "json=/no/such/place/r.json"], "the directory /no/such/place does not exist; make it first"),
        (["-o", "json=/"], "cannot write /: it is a directory"),
        (["--keep", "everything"], "cannot keep 'everything': levels are traced, linked, safe, package"),
        (["--engine", "crun"], "cannot run with 'crun': engines are auto, runc, embedded, docker, podman"),
        (["--limit", "size=3"], "cannot set the limit 'size=3': limits are entries, metadata_bytes, "),
        (["--limit", "entries"], "cannot set the limit 'entries': it is a whole number"),
        (["--limit", "entries=0"], "cannot set the limit 'entries=0': it must be at least 1"),
        (["--limit", "image_bytes=big"], "cannot use 'big' as a size"),
        (["-w", "/no/such.yaml"], "cannot read workload file /no/such.yaml: No such file or directory"),
        (["-w", "/no/such.yaml", "--", "true"], "cannot use both -w and a command"),
    ],
)
@pytest.mark.parametrize("command", ["scan", "slim"])
def test_what_is_wrong_is_known_before_work_starts(
    mlbloat: Mlbloat, asked: Asked, command: str, words: list[str], says: str
) -> None:
    to = ["-t", "docker:app:slim"] if command == "slim" else []
    ended = mlbloat(command, "docker:app:1", *to, *words)
    assert ended.exit == 2
    assert says in one_line(ended)
    assert asked.calls == []


def test_a_command_never_writes_over_what_it_reads(mlbloat: Mlbloat, asked: Asked, image: Path, tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text("profile: [{run: [tool]}]\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    to = ["-t", f"oci-archive:{tmp_path}/slim.tar"]
    for words in (
        ["scan", image, "-w", file, "-o", f"json={file}"],
        ["scan", f"oci-archive:{image}", "-o", f"json={image}"],
        ["slim", image, *to, "-w", file, "--dockerfile", file],
        ["slim", image, *to, "--profile", file, "-o", f"table={file}"],
        ["trace", image, "-w", file, "-t", file],
    ):
        ended = mlbloat(*words)
        assert ended.exit == 2
        assert one_line(ended).endswith(": this command reads that file too; give another name")
    twice = mlbloat("scan", image, "-o", f"json={tmp_path}/r", "-o", f"table={tmp_path}/r")
    assert one_line(twice).endswith(": this command writes that file too; give another name")
    assert asked.calls == []
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_dockerfile_or_profile_that_cannot_be_written_is_known_before_work_starts(
    mlbloat: Mlbloat, asked: Asked
) -> None:
    slim = mlbloat("slim", "docker:a", "-t", "docker:b", "--dockerfile", "/no/such/place/Dockerfile")
    trace = mlbloat("trace", "docker:a", "-t", "/no/such/place/usage.json", "--", "true")
    assert (slim.exit, trace.exit) == (2, 2)
    assert "cannot write /no/such/place/Dockerfile" in one_line(slim)
    assert "cannot write /no/such/place/usage.json" in one_line(trace)
    assert asked.calls == []


@pytest.mark.parametrize(
    ("to", "exit_code", "says"),
    [
        ("oci-archive:/no/such/place/slim.tar", 1, "there is no directory /no/such/place; make it"),
        ("oci-archive:/", 1, "it is a directory; name a file in it"),
        ("./slim.tar", 2, "the format is missing; write oci-archive:./slim.tar"),
        ("registry:127.0.0.1:1/app", 1, "127.0.0.1:1 does not answer"),
        ("dir:/tmp/x", 2, "is not possible yet"),
        ("docker:UPPER", 2, "is not an image name"),
    ],
)
def test_a_destination_that_cannot_be_is_known_before_the_image_is_read(
    mlbloat: Mlbloat, monkeypatch: pytest.MonkeyPatch, to: str, exit_code: int, says: str
) -> None:
    read: list[str] = []
    monkeypatch.setattr(pipeline, "find", lambda reference, *_, **__: read.append(reference))
    ended = mlbloat("slim", "oci-archive:/no/such/app.tar", "-t", to)
    assert ended.exit == exit_code
    assert says in one_line(ended)
    assert read == []


def test_a_directory_without_permission_is_known_before_work_starts(
    mlbloat: Mlbloat, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    ended = mlbloat("scan", "docker:a", "-o", f"json={tmp_path}/r.json")
    assert (ended.exit, asked.calls) == (2, [])
    assert f"the directory {tmp_path} is not writable; choose another" in one_line(ended)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("profile:\n  - runn: [true]\n", "profile[0]: object contains unknown field `runn`; known keys: name, run, "),
        ("profil: []\n", "the top level: object contains unknown field `profil`; known keys: image, profile, "),
        (
            "profile:\n  - ready: {tcp: http}\n",
            "profile[0].ready has `tcp: http`; it takes a port, or HOST:PORT",
        ),
        ("profile: [\n", "not YAML"),
    ],
)
def test_a_wrong_workload_file_is_2_and_says_where(
    mlbloat: Mlbloat, asked: Asked, tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(text)
    ended = mlbloat("scan", "docker:a", "-w", file)
    assert (ended.exit, asked.calls) == (2, [])
    assert says in one_line(ended)
    assert str(file) in ended.stderr


def test_a_file_that_does_not_exist_is_4(mlbloat: Mlbloat) -> None:
    for reference in ("/no/such/app.tar", "oci-archive:/no/such/app.tar", "docker-archive:/no/such", "dir:/no/such"):
        ended = mlbloat("scan", reference)
        assert ended.exit == 4, reference
        assert one_line(ended).startswith(f"cannot read {reference}: ")


def _scan_without_docker(reference: str) -> str:
    """The error of a program of its own: docker's library leaves a socket open."""
    environment = {**os.environ, "DOCKER_HOST": "unix:///no/such/docker.sock"}
    ended = subprocess.run(
        [sys.executable, "-m", "mlbloat", "scan", reference], capture_output=True, text=True, env=environment
    )
    assert ended.returncode == 4
    return one_line(Ended(4, ended.stdout, ended.stderr))


def test_a_docker_engine_that_does_not_answer_is_4() -> None:
    line = _scan_without_docker("docker:app:1")
    assert line.startswith("cannot find docker:app:1: the docker engine does not answer (")
    assert line.endswith("start it, set DOCKER_HOST, or give the path of a saved archive")


def test_a_name_that_is_nowhere_is_4_and_says_where_it_was_looked_for() -> None:
    line = _scan_without_docker("127.0.0.1:1/app:1")
    assert line.startswith("cannot find 127.0.0.1:1/app:1: the docker engine does not answer (")
    assert "registry: 127.0.0.1:1 does not answer (Connection refused)" in line


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_archive_is_1_and_says_to_save_it_again(mlbloat: Mlbloat, image: Path, share: float) -> None:
    content = image.read_bytes().rstrip(b"\0")
    image.write_bytes(content[: int(len(content) * share)])
    ended = mlbloat("scan", f"oci-archive:{image}")
    assert ended.exit == 1
    assert one_line(ended).startswith(f"cannot read oci-archive:{image}: ")
    assert one_line(ended).endswith("; pull or save the image again")


def test_a_file_that_is_no_image_is_1(mlbloat: Mlbloat, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image, and not as short as a header either\n" * 40)
    ended = mlbloat("scan", tmp_path / "notes.txt")
    assert ended.exit == 1
    assert one_line(ended).startswith(f"cannot read {tmp_path}/notes.txt: ")


def test_an_exceeded_limit_is_3_and_each_limit_has_a_line(mlbloat: Mlbloat, report_file: Path) -> None:
    ended = mlbloat("check", report_file, "--max-bloat", "30%", "--max-size", "1kB")
    assert ended.exit == 3
    assert ended.stdout.splitlines() == [
        "FAIL  max-bloat: 40.0 %, limit 30.0 % (evidence: traced)",
        "PASS  max-size: 100 B, limit 1.00 kB (evidence: traced)",
    ]
    assert ended.stderr == "mlbloat: cannot pass docker:app:1: max-bloat exceeded; `mlbloat scan` shows where\n"


def test_kept_limits_are_0(mlbloat: Mlbloat, report_file: Path) -> None:
    ended = mlbloat("check", report_file, "--max-bloat", "0.4")
    assert (ended.exit, ended.stderr) == (0, "")


def test_an_image_is_checked_like_a_report(mlbloat: Mlbloat, image: Path) -> None:
    ended = mlbloat("check", f"oci-archive:{image}", "--max-size", "10B")
    assert ended.exit == 3
    assert "(evidence: static)" in ended.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "cannot check without a limit; give --max-bloat, --max-size or another"),
        (["--max-growth", "5%"], "cannot compare: --baseline REPORT and --max-growth belong together"),
        (["--max-growth", "much", "--baseline", "x"], "cannot use 'much' as growth; give a ratio or a size"),
        (["--max-growth", "5%", "--baseline", "/nowhere"], "cannot read report /nowhere: No such file"),
        (["--max-bloat", "130%"], "cannot use '130%' as a ratio"),
        (["--max-size", "much"], "cannot use 'much' as a size"),
    ],
)
def test_a_wrong_limit_is_2(mlbloat: Mlbloat, report_file: Path, words: list[str], says: str) -> None:
    ended = mlbloat("check", report_file, *words)
    assert ended.exit == 2
    assert says in one_line(ended)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "it is not an mlbloat report"),
        ("{", "not JSON"),
        ('{"kind": "mlbloat.report", "format": 99}', "format 99"),
    ],
)
def test_a_wrong_report_is_2(mlbloat: Mlbloat, tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "r.json"
    file.write_text(text)
    for words in (["convert", file], ["check", file, "--max-bloat", "1"]):
        ended = mlbloat(*words)
        assert ended.exit == 2
        assert says in one_line(ended)


def test_a_failed_verification_is_5_after_the_report(mlbloat: Mlbloat, asked: Asked, tmp_path: Path) -> None:
    asked.report, asked.failure = reports.slimmed(passed=False), "cannot publish docker:b: verification failed"
    words = ["-o", f"json={tmp_path}/r.json", "-o", "table", "--dockerfile", tmp_path / "Dockerfile"]
    ended = mlbloat("slim", "docker:a", "-t", "docker:b", *words)
    assert ended.exit == 5
    assert "Verification failed" in ended.stdout
    assert ended.stderr == "mlbloat: cannot publish docker:b: verification failed\n"
    assert json.load(tmp_path / "r.json") == asked.report
    assert not (tmp_path / "Dockerfile").exists()


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.RunError, 1),
        (errors.EngineError, 1),
        (errors.BadImageError, 1),
        (errors.PublishError, 1),
        (errors.UsageError, 2),
        (errors.GateError, 3),
        (errors.ImageNotFoundError, 4),
        (errors.VerificationError, 5),
    ],
)
def test_every_error_is_one_line_with_its_code(
    mlbloat: Mlbloat, asked: Asked, error: type[errors.MlbloatError], exit_code: int
) -> None:
    asked.error = error("cannot do this:\n  because; do that")
    ended = mlbloat("scan", "docker:a")
    assert ended.exit == exit_code
    assert one_line(ended) == "cannot do this: because; do that"


def test_an_error_cannot_write_to_the_terminal(mlbloat: Mlbloat, asked: Asked) -> None:
    asked.error = errors.BadImageError("cannot read \x1b[2J\x07: evil")
    assert mlbloat("scan", "docker:a").stderr == "mlbloat: cannot read \\x1b[2J\\x07: evil\n"


def test_a_bug_is_1_and_says_that_it_is_one(mlbloat: Mlbloat, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.error = ZeroDivisionError("division\nby zero")
    ended = mlbloat("scan", "docker:a")
    assert ended.exit == 1
    assert one_line(ended).startswith("internal error: ZeroDivisionError: division by zero; this is a bug: please")
    monkeypatch.setenv("MLBLOAT_TRACEBACK", "1")
    assert mlbloat("scan", "docker:a").stderr.startswith("Traceback (most recent call last):")


def test_an_interrupt_is_130_and_leaves_no_output(mlbloat: Mlbloat, asked: Asked, tmp_path: Path) -> None:
    asked.error = KeyboardInterrupt()
    ended = mlbloat("scan", "docker:a", "-o", f"json={tmp_path}/r.json")
    assert ended.exit == 130
    assert one_line(ended) == "interrupted; its containers, mounts and temporary files are gone"
    assert list(tmp_path.iterdir()) == []


_INTERRUPTED_TWICE = """
import os, signal, sys
from mlbloat import cli, pipeline
def scan(request, talk):
    try:
        os.kill(os.getpid(), signal.{0})
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        print("cleaned up", file=sys.stderr)
pipeline.scan = scan
sys.argv = ["mlbloat", "scan", "docker:a"]
cli.main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_unwinds_once_and_a_second_one_does_not_cut_it_short(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_TWICE.format(name)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in (signal.SIGINT, signal.SIGHUP)],
    )
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr.splitlines() == [
        "cleaned up",
        "mlbloat: interrupted; its containers, mounts and temporary files are gone",
    ]


_ENDED = """
import atexit, os, sys
from mlbloat import cli, pipeline
from mlbloat.errors import MlbloatError
class Noisy:
    def __del__(self):
        os.write(2, b"given back\\n")
def scan(request, talk):
    sys.modules["__main__"].kept = Noisy()
    print("said", end="")
    raise MlbloatError("cannot; do")
atexit.register(lambda: os.write(2, b"at exit\\n"))
pipeline.scan = scan
sys.argv = ["mlbloat", "scan", "docker:a"]
cli.main()
"""


def test_the_end_says_all_and_gives_nothing_back() -> None:
    ended = subprocess.run([sys.executable, "-c", _ENDED], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "said")
    assert ended.stderr.splitlines() == ["mlbloat: cannot; do", "at exit"]


_INTERRUPTED_EARLY = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from mlbloat.__main__ import main
sys.argv = ["mlbloat", "scan", "docker:a"]
main()
"""
_INTERRUPTED_IN_EXEC = """
import sys
from mlbloat import cli, pipeline
pipeline.scan = lambda request, talk: exec("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
sys.argv = ["mlbloat", "scan", "docker:a"]
cli.main()
"""


@pytest.mark.parametrize(("program", "lines"), [(_INTERRUPTED_EARLY, 0), (_INTERRUPTED_IN_EXEC, 1)])
def test_an_interrupt_is_130_while_imports_run_and_inside_exec(program: str, lines: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (130, "", lines)


def test_an_ignored_hangup_stays_ignored() -> None:
    """`nohup mlbloat …` goes on when its terminal closes."""
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, signal, sys\nfrom mlbloat import cli, pipeline\n"
            "pipeline.trace = lambda request, talk: os.kill(os.getpid(), signal.SIGHUP) or 'went on'\n"
            "sys.argv = ['mlbloat', 'trace', 'docker:a', '-t', '/dev/stdout', '--', 'true']\ncli.main()",
        ],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "went on", "")


def test_both_images_of_verify_are_named_when_they_differ(mlbloat: Mlbloat, monkeypatch: pytest.MonkeyPatch) -> None:
    def verify(request: Request, slim: str, talk: pipeline.Talk) -> object:
        return reports.slimmed(passed=False).verdict

    monkeypatch.setattr(pipeline, "verify", verify)
    ended = mlbloat("verify", "docker:a", "docker:b", "--", "true")
    assert ended.exit == 5
    assert ended.stdout.startswith("Verification failed\n")
    assert ended.stderr == ("mlbloat: cannot verify docker:b: it is not docker:a's equal; the lines above say where\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["explain", "x", "app"], "cannot explain 'app': a path in the image begins with /; give it before --"),
        (["explain", "x", "--", "python3", "-V"], "give it before --"),
        (["explain", "x", ""], "give one PATH"),
        (["scan", "x", "-o", "json="], "no file is named"),
        (["scan", "x", "--limit", "image_bytes"], "cannot set the limit 'image_bytes'"),
        (["scan", "x", "--gpu-arch", "sm_90,hopper"], "cannot tell which GPU 'hopper' is: write --gpu-arch sm_90, or"),
    ],
)
def test_a_word_that_is_missing_is_2_before_work_starts(
    mlbloat: Mlbloat, asked: Asked, words: list[str], says: str
) -> None:
    ended = mlbloat(*words)
    assert ended.exit == 2
    assert says in one_line(ended)
    assert not asked.calls


def test_a_report_is_never_given_a_workload_in_silence(mlbloat: Mlbloat, report_file: Path) -> None:
    ended = mlbloat("check", str(report_file), "--max-bloat", "1", "--", "true")
    assert ended.exit == 2
    assert "it is a report; give the image" in one_line(ended)


def test_a_full_disk_anywhere_is_no_bug_and_names_the_way_out(
    mlbloat: Mlbloat, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pipeline, "scan", full)
    ended = mlbloat("scan", "x")
    assert ended.exit == 1
    line = one_line(ended)
    assert line.startswith("cannot write to ") and "set TMPDIR to a larger file system" in line


def test_a_standard_output_that_is_closed_is_one_line(report_file: Path) -> None:
    command = f'exec "{sys.executable}" -m mlbloat convert "{report_file}" >&-'
    ended = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("mlbloat: cannot write to standard output: it is closed")


def test_a_scratch_directory_that_is_not_there_is_said(
    mlbloat: Mlbloat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", f"{tmp_path}/none")
    ended = mlbloat("scan", f"dir:{tmp_path}")
    assert (ended.exit, "there is no such directory; make it" in one_line(ended)) == (2, True)


def test_a_report_that_is_not_there_is_not_looked_for_in_engines(mlbloat: Mlbloat) -> None:
    ended = mlbloat("check", "no-such-report.json", "--max-size", "1GB")
    assert one_line(ended) == "cannot read no-such-report.json: no such file or directory; check the path"


@pytest.mark.parametrize("lines", [0, 1, 100])
@pytest.mark.parametrize("scheme", ["", "docker-archive:", "oci-archive:"])
def test_a_file_that_is_no_archive_is_called_so(mlbloat: Mlbloat, tmp_path: Path, scheme: str, lines: int) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a tar\n" * lines)
    ended = mlbloat("scan", f"{scheme}{path}")
    assert (ended.exit, "it is no image archive" in one_line(ended)) == (1, True)
