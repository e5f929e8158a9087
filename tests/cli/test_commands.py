"""What each command asks of the pipeline, and what its help says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mlbloat as package
from mlbloat import pipeline
from mlbloat.cache import default_directory
from mlbloat.cli import app
from mlbloat.image import Limits
from mlbloat.model.use import Level
from mlbloat.model.workload import Expect, Run, Workload
from mlbloat.slim import SlimOptions
from mlbloat.slim.compress import Method
from tests.cli.conftest import Asked, Mlbloat
from tests.support import images
from tests.support.devicecode import entry, fatbin, library

COMMANDS = sorted(str(command.callback.__name__) for command in app.registered_commands if command.callback)


def test_the_commands_are_these() -> None:
    assert COMMANDS == ["check", "convert", "demo", "diff", "doctor", "explain", "scan", "slim", "trace", "verify"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_of_that_command(mlbloat: Mlbloat, command: str) -> None:
    ended = mlbloat(command, "--help")
    assert (ended.exit, ended.stderr) == (0, "")
    assert f"Example:\n    mlbloat {command}" in ended.stdout
    assert mlbloat(command, "-h").stdout == ended.stdout


def test_the_first_help_names_every_command_in_whole_sentences(mlbloat: Mlbloat) -> None:
    ended = mlbloat("--help")
    lines = ended.stdout.splitlines()
    for command in COMMANDS:
        (line,) = [line for line in lines if line.startswith(f"  {command} ")]
        assert line.endswith(".") and not line.endswith("...")
    assert "mlbloat demo" in lines[-1]


def test_without_a_word_the_help_is_shown(mlbloat: Mlbloat) -> None:
    ended = mlbloat()
    assert (ended.exit, ended.stderr) == (2, "")
    assert ended.stdout == mlbloat("--help").stdout


def test_the_version_is_the_packages(mlbloat: Mlbloat) -> None:
    assert mlbloat("--version").stdout == f"mlbloat {package.__version__}\n"


_HELP = """
import sys
from mlbloat import cli
sys.argv = ["mlbloat", "--help"]
status = cli._run()
heavy = {"rich", "docker", "requests", "elftools", "debian", "msgspec", "yaml", "isal", "packaging"}
print(status, sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def test_help_loads_nothing_heavy() -> None:
    ended = subprocess.run([sys.executable, "-c", _HELP], capture_output=True, text=True)
    assert ended.stderr == "0 []\n"
    assert "Commands:" in ended.stdout


def test_the_package_is_the_command() -> None:
    ended = subprocess.run([sys.executable, "-m", "mlbloat", "--version"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, f"mlbloat {package.__version__}\n")


def test_nothing_asked_for_is_a_static_scan_at_safe(mlbloat: Mlbloat, asked: Asked) -> None:
    assert mlbloat("scan", "docker:a").exit == 0
    assert asked.calls == [pipeline.Request(reference="docker:a", cache=default_directory())]
    assert asked.calls[0].keep is Level.SAFE


def test_a_command_after_the_dashes_is_the_profile_with_its_own_options(mlbloat: Mlbloat, asked: Asked) -> None:
    mlbloat("scan", "docker:a", "--timeout", "5", "--", "tool", "-o", "json", "--help")
    (call,) = asked.calls
    run = ("tool", "-o", "json", "--help")
    assert call.workload == Workload(profile=(Run(name="tool -o json --help", run=run, timeout_seconds=5),))


def test_options_reach_the_pipeline(mlbloat: Mlbloat, asked: Asked, tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text("profile: [{name: go, run: [tool], expect: {stdout: ok}}]\ndrop: [/usr/share/**]\n")
    options = ["--keep", "linked", "--engine", "embedded", "--platform", "linux/arm64"]
    profiles = ["--profile", "a.json", "--profile", "b.json"]
    limits = ["--limit", "image_bytes=200GB", "--limit", "entries=5000000"]
    mlbloat("slim", "docker:a", "-t", "docker:b", "-w", file, *options, *profiles, *limits)
    assert asked.calls == [
        pipeline.Request(
            reference="docker:a",
            workload=Workload(
                profile=(Run(name="go", run=("tool",), expect=Expect(stdout="ok")),), drop=("/usr/share/**",)
            ),
            profiles=(Path("a.json"), Path("b.json")),
            keep=Level.LINKED,
            engine="embedded",
            platform="linux/arm64",
            cache=default_directory(),
            limits=Limits(image_bytes=200_000_000_000, entries=5_000_000),
        )
    ]


@pytest.mark.parametrize("command", ["scan", "slim", "check", "trace", "verify", "explain"])
def test_every_command_that_reads_an_image_takes_limits_and_its_error_says_which(
    mlbloat: Mlbloat, image: Path, tmp_path: Path, command: str
) -> None:
    more: dict[str, list[object]] = {
        "slim": ["-t", "oci-dir:" + str(tmp_path / "o")],
        "check": ["--max-size", "1GB"],
        "verify": [image],
    }
    more |= {"trace": ["-t", tmp_path / "p"], "explain": ["/usr/bin/tool"]}
    ended = mlbloat(command, image, *more.get(command, []), "--limit", "image_bytes=1kB", "--", "/usr/bin/tool")
    assert ended.exit == 1
    assert "more than 1000 bytes uncompressed; if you trust this image, raise the limit with --limit" in ended.stderr
    assert ended.stderr.endswith(" --limit image_bytes=2000\n")


def test_gpus_are_named_once_in_one_way(mlbloat: Mlbloat, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    mlbloat("scan", "docker:a", "--gpu-arch", "sm_90,8.0, 90a gfx942")
    monkeypatch.setenv("MLBLOAT_GPU_ARCH", "sm_120")
    mlbloat("scan", "docker:a")
    assert [call.gpus for call in asked.calls] == [("sm_90", "sm_80", "gfx942"), ("sm_120",)]


def test_code_for_gpus_is_in_the_report_the_table_and_the_explanation(mlbloat: Mlbloat, tmp_path: Path) -> None:
    section = fatbin(entry("sm_80", 2000), entry("sm_90", 1000), entry("ptx_90", 500))
    made = images.oci_archive(tmp_path / "i.tar", [{"/lib/libkernels.so": library({".nv_fatbin": section})}])
    saved = tmp_path / "r.json"
    ended = mlbloat("scan", made, "--gpu-arch", "9.0", "-o", "table", "-o", f"json={saved}")
    assert ended.exit == 0
    assert "sm_90 loads 1.06 kB of it, 2.63 kB is for others" in ended.stdout
    assert "RUN TORCH_CUDA_ARCH_LIST='9.0' CUDAARCHS='90-real' BUILD" in ended.stdout
    report = json.loads(saved.read_bytes())
    assert report["gpu"]["by_arch"]["sm_80"] == {"bytes": 2064, "entries": 1}
    assert report["kinds"]["device code"]["size_bytes"] == report["gpu"]["device_bytes"] == 3692
    assert mlbloat("convert", saved, "-o", "table").stdout == ended.stdout
    told = mlbloat("explain", made, "/lib/libkernels.so").stdout
    assert told.endswith(" bytes are code for GPUs: sm_80 2064, sm_90 1064, ptx_90 564\n")
    mlbloat("scan", made, "-o", f"json-files={saved}")
    assert mlbloat("explain", saved, "/lib/libkernels.so").stdout == told


def test_a_variable_stands_in_for_a_flag_and_the_flag_wins(
    mlbloat: Mlbloat, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLBLOAT_KEEP", "traced")
    mlbloat("scan", "docker:a")
    mlbloat("scan", "docker:a", "--keep", "package")
    assert [call.keep for call in asked.calls] == [Level.TRACED, Level.PACKAGE]


def test_a_profile_is_written_where_it_was_asked_for(mlbloat: Mlbloat, asked: Asked, tmp_path: Path) -> None:
    ended = mlbloat("trace", "docker:a", "-t", tmp_path / "usage.json", "--", "tool")
    assert (ended.exit, ended.stdout) == (0, "")
    assert (tmp_path / "usage.json").read_text() == "a profile\n"


def test_explain_prints_the_chain_from_the_file_to_its_root(mlbloat: Mlbloat, image: Path) -> None:
    ended = mlbloat("explain", image, "/usr/lib/libneeded.so")
    assert ended.exit == 0
    first, *_, last = ended.stdout.splitlines()
    assert first.startswith("/usr/lib/libneeded.so (linked): needed by /usr/bin/tool")
    assert last.startswith("/usr/bin/tool (")
    ended = mlbloat("explain", image, "/no/such/file")
    assert (ended.exit, ended.stdout) == (2, "")
    assert "the image has no such path" in ended.stderr


def test_doctor_says_what_works_and_how_to_get_the_rest(mlbloat: Mlbloat) -> None:
    ended = mlbloat("doctor")
    assert (ended.exit, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert {line[:4] for line in lines} <= {"ok  ", "no  ", "    "}
    assert any("embedded sandbox" in line for line in lines)


def test_the_demo_does_not_name_a_file_that_is_gone(mlbloat: Mlbloat, asked: Asked) -> None:
    gone = mlbloat("demo", "-o", "json").stdout
    kept = mlbloat("demo", "-o", "json", "-t", "docker:kept").stdout
    assert '"reference": "not kept; -t DEST keeps it"' in gone
    assert '"reference": "docker:app:slim"' in kept
    assert [call.engine for call in asked.calls] == ["embedded", "embedded"]
    assert all(call.workload.profile and call.workload.verify for call in asked.calls)


def test_a_report_in_hand_is_never_made_again(mlbloat: Mlbloat, asked: Asked, report_file: Path) -> None:
    assert mlbloat("check", report_file, "--max-size", "1GB").exit == 0
    assert mlbloat("convert", report_file).exit == 0
    assert asked.calls == []


def test_explain_takes_a_package_and_a_command_beside_it(mlbloat: Mlbloat, image: Path) -> None:
    ended = mlbloat("explain", image, "--package", "nowhere")
    assert (ended.exit, "has no such package" in ended.stderr) == (2, True)
    ended = mlbloat("explain", image)
    assert (ended.exit, "give one PATH in the image, or --package NAME" in ended.stderr) == (2, True)


def test_diff_prints_and_saves_in_one_go(mlbloat: Mlbloat, tmp_path: Path) -> None:
    first = images.oci_archive(tmp_path / "a.tar", [{"/a": "a"}])
    second = images.oci_archive(tmp_path / "b.tar", [{"/a": "a", "/b": "bb"}])
    ended = mlbloat("diff", first, second, "-o", "table", "-o", f"json={tmp_path}/d.json", "--no-cache")
    assert ended.exit == 0
    assert "+2 B" in ended.stdout
    assert json.loads((tmp_path / "d.json").read_text())["files"][0]["path"] == "/b"


def test_what_is_asked_for_beside_a_slim_image_reaches_the_pipeline(
    mlbloat: Mlbloat, asked: Asked, tmp_path: Path
) -> None:
    words = "--layers squash --compression zstd:9 --metadata keep --no-labels --repair 3 --restore docker:whole".split()
    beside = ("--sbom", f"{tmp_path}/s.json", "--prefetch", f"{tmp_path}/p.txt")
    assert mlbloat("slim", "docker:a", "-t", "docker:b", *words, *beside).exit == 0
    assert asked.wanted == [
        SlimOptions(
            squash=True,
            method=Method("zstd", 9),
            cut_metadata=False,
            labels=False,
            repair_rounds=3,
            sbom=True,
            restore="docker:whole",
        )
    ]
    assert (tmp_path / "s.json").read_text() == "{}\n"
    assert (tmp_path / "p.txt").read_text() == "/app/main\n/lib/libc.so.6\n"


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--layers=one", "cannot use --layers 'one': write keep or squash"),
        ("--metadata=drop", "cannot use --metadata 'drop': write cut or keep"),
        ("--compression=xz", "cannot compress with 'xz'"),
    ],
)
def test_a_word_that_an_option_does_not_know_is_a_usage_error(
    mlbloat: Mlbloat, asked: Asked, option: str, why: str
) -> None:
    ended = mlbloat("slim", "docker:a", "-t", "docker:b", option)
    assert ended.exit == 2
    assert why in ended.stderr
    assert asked.calls == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name an IMAGE, or a running container with --attach"),
        (["x", "--for", "5m"], "name an IMAGE, or a running container with --attach"),
        (["x", "--attach", "y"], "--attach takes neither an IMAGE, nor -w, nor a command"),
        (["--attach", "y", "--for", "0"], "cannot record for '0': it is a time such as 90s, 5m or 2h"),
        (["--attach", "y", "--for", "a day"], "cannot record for 'a day'"),
        (["--attach", "what:y"], "cannot attach to 'what:y': name a container as docker:NAME, podman:NAME or NAME"),
    ],
)
def test_what_does_not_go_with_attaching_is_said(mlbloat: Mlbloat, tmp_path: Path, words: list[str], says: str) -> None:
    ended = mlbloat("trace", *words, "-t", str(tmp_path / "usage.json"))
    assert ended.exit in (2, 4)
    assert says in ended.stderr
    assert not (tmp_path / "usage.json").exists()
