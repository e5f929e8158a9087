"""Workload files: what is read, and how wrong ones are refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.errors import UsageError
from mlbloat.model.workload import Expect, Run, Workload
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
        drop=("/usr/share/doc/**",),
    )


def test_a_command_is_a_workload_with_one_run() -> None:
    assert command(("nginx", "-t")).profile == (Run(name="nginx -t", run=("nginx", "-t")),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("profil: []", "the top level: object contains unknown field `profil`; known keys: image, profile, verify"),
        ("profile: [{runn: [a]}]", "profile[0]: object contains unknown field `runn`; known keys: name, run"),
        ("profile: [{expect: {exitt: 1}}]", "profile[0].expect: object contains unknown field `exitt`"),
        ("profile: [{run: ls -l}]", "profile[0].run: expected `array | null`, got `str`"),
        ("profile: [{run: []}]", "profile[0] has an empty `run`"),
        ("profile: [{run: [a], args: [b]}]", "has both `run` and `args`"),
        ("profile: [{timeout_seconds: 0}]", "give a number above 0"),
        ("profile: [{expect: {stdout: '('}}]", "expects stdout by a wrong regular expression"),
        ("profile: [{expect: {same: output}}]", "it takes stdout, stderr"),
        ("verify: [{ready: {tcp: 80}}]", "verify[0] has `ready`, and services do not work yet"),
        ("verify: [{requests: []}]", "services do not work yet"),
        ("verify: [{exec: []}]", "services do not work yet"),
        ("verify: [{stop: {}}]", "services do not work yet"),
        ("profile: [{network: host}]", "only `none` works yet"),
        ("profile: [{gpus: all}]", "only `none` works yet"),
        ("profile: [{mounts: ['./a:/a']}]", "which do not work yet"),
        ("profile: [{name: a}]\nverify: [{name: a}]", "two runs are named 'a'"),
        ("keep: [app/**]", "must start with /"),
        ("a: [", "not YAML"),
        ("", "it is empty"),
        ("[]", "the top level: expected `object`, got `array`"),
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
