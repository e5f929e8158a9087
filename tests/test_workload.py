"""Workload files: what is read, and how wrong ones are refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.errors import UsageError
from mlbloat.model.conditions import Conditions, Limit, Mount, Tmpfs
from mlbloat.model.workload import Exec, Expect, Ready, Request, Run, Service, Stop, Workload
from mlbloat.workload import command, load, parse


def test_a_full_file_becomes_a_workload(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        """
        image: app:1
        profile:
          - name: train
            run: [python3, /app/train.py]
            env: {OMP_NUM_THREADS: 1, DEBUG: true, NAME: "x"}
            timeout_seconds: 5
            expect: {exit: 3, stdout: "acc 0\\\\.9", same: stderr}
        verify:
          - args: [--check]
        keep: ["/app/**"]
        keep_packages: [pip:numpy]
        drop: ["/usr/share/doc/**"]
        """
    )
    assert load(path) == Workload(
        image="app:1",
        profile=(
            Run(
                name="train",
                run=("python3", "/app/train.py"),
                environment=(("OMP_NUM_THREADS", "1"), ("DEBUG", "true"), ("NAME", "x")),
                timeout_seconds=5,
                expect=Expect(exit=3, stdout="acc 0\\.9", same=("stderr",)),
            ),
        ),
        verify=(Run(name="verify 1", args=("--check",)),),
        keep=("/app/**",),
        keep_packages=("pip:numpy",),
        drop=("/usr/share/doc/**",),
    )


def test_a_service_is_read_with_all_that_is_asked_of_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "w.yaml"
    path.write_text(
        """
        profile:
          - name: serve
            network: host
            mounts: ["./data:/data:ro"]
            ready: {tcp: 8080, timeout_seconds: 5}
            requests:
              - http: "http://[::1]:8080/p?q"
                method: post
                body: "x"
                headers: {A: 1}
                expect: {status: 201, same: body}
            exec: [{run: [app, check], expect: {exit: 1}}]
            stop: {signal: sigquit, timeout_seconds: 2}
          - name: log
            ready: {log: up}
          - name: elsewhere
            ready: {tcp: "127.0.0.2:1"}
        """
    )
    first, second, third = load(path).profile
    assert first == Run(
        name="serve",
        conditions=Conditions(
            network="host", mounts=(Mount(source=str(tmp_path / "data"), target="/data", read_only=True),)
        ),
        expect=Expect(exit=None, same=("exit",)),
        service=Service(
            ready=Ready(tcp=("127.0.0.1", 8080), timeout_seconds=5),
            requests=(
                Request(
                    url="http://[::1]:8080/p?q",
                    method="POST",
                    body=b"x",
                    headers=(("A", "1"),),
                    status=201,
                    same_body=True,
                ),
            ),
            exec=(Exec(run=("app", "check"), expect=Expect(exit=1)),),
            stop=Stop(signal="QUIT", timeout_seconds=2),
        ),
    )
    assert second.service == Service(ready=Ready(log="up"))
    assert third.service == Service(ready=Ready(tcp=("127.0.0.2", 1)))


def test_conditions_are_read_in_the_units_of_docker() -> None:
    text = """
        profile:
          - memory: 2g
            gpus: 2
            processes: 100
            shm_size: 64MiB
            tmpfs: [/tmp, "/run:size=1048576"]
            ulimits: {nofile: "64:128", core: 0, memlock: unlimited}
            hosts: {db: 10.0.0.1, db6: "::1"}
        """
    assert parse(text.encode(), "w.yaml").profile[0].conditions == Conditions(
        gpus=("0", "1"),
        memory_bytes=2 << 30,
        processes=100,
        shared_memory_bytes=64 << 20,
        tmpfs=(Tmpfs(target="/tmp"), Tmpfs(target="/run", size_bytes=1 << 20)),
        limits=(
            Limit(name="nofile", soft=64, hard=128),
            Limit(name="core", soft=0, hard=0),
            Limit(name="memlock", soft=-1, hard=-1),
        ),
        hosts=(("db", "10.0.0.1"), ("db6", "::1")),
    )


def test_a_command_is_a_workload_with_one_run() -> None:
    assert command(("nginx", "-t")).profile == (Run(name="nginx -t", run=("nginx", "-t")),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("profil: []", "the top level: object contains unknown field `profil`; known keys: image, profile, verify"),
        ("profile: [{runn: [a]}]", "profile[0]: object contains unknown field `runn`; known keys: name, run"),
        ("profile: [{expect: {exitt: 1}}]", "profile[0].expect: object contains unknown field `exitt`"),
        ("profile: [{run: ls -l}]", "profile[0].run: expected a list or nothing, got text"),
        ("profile: [{run: []}]", "profile[0] has an empty `run`"),
        ("profile: [{run: [a], args: [b]}]", "has both `run` and `args`"),
        ("profile: [{timeout_seconds: 0}]", "give a number above 0"),
        ("profile: [{expect: {stdout: '('}}]", "expects stdout by a wrong regular expression"),
        ("profile: [{expect: {same: output}}]", "it takes stdout or stderr or exit"),
        ("verify: [{ready: {}}]", "verify[0].ready needs one of `http: URL`, `tcp: PORT` and `log: REGEX`"),
        ("verify: [{ready: {tcp: 80, log: up}}]", "give exactly one"),
        ("verify: [{ready: {tcp: 65536}}]", "it takes a port, or HOST:PORT"),
        ("verify: [{ready: {tcp: web}}]", "it takes a port, or HOST:PORT"),
        ("verify: [{ready: {log: '('}}]", "expects log by a wrong regular expression"),
        ("verify: [{ready: {http: 'https://a/'}}]", "it takes a URL such as http://127.0.0.1:8080/health"),
        ("verify: [{ready: {tcp: 80, timeout_seconds: 0}}]", "give a number above 0"),
        ("verify: [{requests: [{url: x}]}]", "known keys: http, method, headers, body, expect, timeout_seconds"),
        ("verify: [{requests: [{http: 'http://a/ b'}]}]", "requests[0] has `http: http://a/ b`"),
        ("verify: [{requests: [{http: 'http://a', method: 'GET /x'}]}]", "it takes a word such as GET"),
        ("verify: [{requests: [{http: 'http://a', headers: {'A b': c}}]}]", "names and values are plain ASCII text"),
        ('verify: [{requests: [{http: "http://a", headers: {A: "b\\r\\nC: d"}}]}]', "are plain ASCII text"),
        ("verify: [{requests: [{http: 'http://a', expect: {exit: 0}}]}]", "known keys: status, body, same"),
        ("verify: [{exec: [{run: []}]}]", "verify[0].exec[0] has an empty `run`"),
        ("verify: [{stop: {signal: HALT}}]", "it takes a name such as TERM or QUIT"),
        ("profile: [{network: weave}]", "`network: weave`; it takes none, host or bridge"),
        ("profile: [{network: outside}]", "it takes none, host or bridge"),
        ("profile: [{tmpfs: [tmp]}]", "'tmp' is not absolute"),
        ("profile: [{tmpfs: ['/t:mode=1']}]", "it takes /PATH or /PATH:size=64MiB"),
        ("profile: [{memory: lots}]", "it takes bytes, or a size such as 512MiB or 2g"),
        ("profile: [{memory: 1m}]", "no container starts with less than 16 MiB"),
        ("profile: [{processes: 1}]", "give at least 8"),
        ("profile: [{shm_size: 0}]", "has `shm_size: 0`"),
        ("profile: [{ulimits: {files: 1}}]", "no known limit 'files' in `ulimits`; known: as, core, cpu"),
        ("profile: [{ulimits: {nofile: '2:1'}}]", "it takes a number, SOFT:HARD or unlimited"),
        ("profile: [{hosts: {db: here}}]", "it takes a name and its IP address"),
        ("profile: [{gpus: '-'}]", "it takes none, all, a number or a list of names"),
        ("profile: [{mounts: ['./a:a']}]", "'a' is not absolute"),
        ("profile: [{mounts: ['/:/proc/x']}]", "the container's own /proc/x stays"),
        ("profile: [{mounts: ['./no-such:/a']}]", "there is no /no-such; paths are relative to the workload file"),
        ("profile: [{name: a}]\nverify: [{name: a}]", "two runs are named 'a'"),
        ("keep: [app/**]", "must start with /"),
        ("a: [", "not YAML"),
        ("", "it is empty"),
        ("[]", "the top level: expected a mapping, got a list"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_the_place(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text.encode(), "w.yaml")
    assert says in str(caught.value)
    assert "w.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read workload file .*none\.yaml: No such file"):
        load(tmp_path / "none.yaml")


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=80), st.text("profile: [{}]run\n -&*!|>'\"", max_size=60).map(str.encode)))
def test_any_text_gives_a_workload_or_a_usage_error(text: bytes) -> None:
    try:
        parse(text, "w.yaml")
    except UsageError as error:
        assert str(error).startswith("cannot")


def test_ignored_findings_have_a_rule_a_reason_and_perhaps_a_last_day() -> None:
    workload = parse(
        b"ignore:\n- {rule: apt-lists, reason: ' apt runs at start ', until: 2027-01-31}\n"
        b"- {rule: pip-cache, path: /root/**, reason: why}\n",
        "w.yaml",
    )
    first, second = workload.ignore
    assert (first.rule, first.reason, str(first.until), first.path) == (
        "apt-lists", "apt runs at start", "2027-01-31", "",
    )  # fmt: skip
    assert (second.until, second.path) == (None, "/root/**")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{rule: a, reason: ' '}", "ignoring a has no reason"),
        ("{rule: a}", "missing required field `reason`"),
        ("{rule: a, reason: b, until: soon}", "ignore"),
        ("{rule: a, reason: b, why: c}", "known keys: rule, reason, path, until"),
    ],
)
def test_an_ignored_finding_without_a_reason_or_with_a_wrong_day_is_an_error(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse(f"ignore: [{text}]".encode(), "w.yaml")
