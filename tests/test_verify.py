"""Every difference between two images or two runs is a sentence."""

import io
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, BinaryIO

import pytest
from msgspec import structs

from mlbloat import textdiff
from mlbloat.errors import BadImageError, RunError
from mlbloat.model.container import Outcome
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.label import KEEP, RESTORED
from mlbloat.model.step import Step
from mlbloat.model.use import RunRecord
from mlbloat.model.workload import Exec, Expect, Request, Run, Service, Workload
from mlbloat.runtime import workers
from mlbloat.verify import (
    MAX_DIFFERENCES,
    Missed,
    check_run,
    compare,
    expectation_failures,
    fidelity,
    is_held_out,
    missing_files,
    require_expectations,
    verify,
)
from tests.support.trees import Hard, Link, MemoryContents, tree_of

CONFIG: dict[str, Any] = {
    "config": {"User": "worker", "Labels": {"a": "1"}},
    "rootfs": {"type": "layers", "diff_ids": ["x", "y"]},
    "history": [{"created_by": "one"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": "two"}],
}
FILES: dict[str, bytes | str | None] = {
    "/bin/tool": b"\x7fELF",
    "/etc": None,
    "/gone": "unused",
    "/a": "linked",
    "/b": Hard("/a"),
    "/link": Link("bin/tool"),
}


def differences(slim: FileTree, *removed: str) -> tuple[str, ...]:
    config = json.dumps(CONFIG).encode()
    return compare(tree_of(FILES), slim, config, config, removed)


def without(*paths: str) -> dict[str, bytes | str | None]:
    return {path: value for path, value in FILES.items() if path not in paths}


def test_a_tree_equals_itself_but_for_planned_deletions() -> None:
    assert differences(tree_of(FILES)) == ()
    assert differences(tree_of(without("/gone")), "/gone") == ()
    assert differences(tree_of(without("/b")), "/b") == ()


def test_what_is_missing_added_or_still_there_is_said() -> None:
    assert differences(tree_of(without("/link", "/gone"))) == ("/gone (file) is missing", "/link (symlink) is missing")
    assert differences(tree_of({**FILES, "/new": "n"})) == ("/new is not in the original",)
    assert differences(tree_of(FILES), "/gone") == ("/gone was to be removed and is still there",)


@pytest.mark.parametrize(
    ("path", "change", "sentence"),
    [
        ("/bin/tool", {"mode": 0o777}, "/bin/tool: mode is 0777, was 0755"),
        ("/etc", {"mode": 0o1777}, "/etc: mode is 1777, was 0755"),
        ("/bin/tool", {"uid": 5}, "/bin/tool: owner is 5:0, was 0:0"),
        ("/bin/tool", {"mtime": 1.5}, "/bin/tool: modification time is 1.5, was 0.0"),
        ("/bin/tool", {"size_bytes": 3}, "/bin/tool: size in bytes is 3, was 4"),
        ("/link", {"target": "\x1b[2J"}, "/link: link target is \\x1b[2J, was bin/tool"),
        ("/bin/tool", {"xattrs": (("user.a", b"1"),)}, "/bin/tool: extended attributes is (('user.a', b'1'),), was ()"),
        ("/etc", {"kind": Kind.CHARACTER}, "/etc: is a character device, was a directory"),
        ("/link", {"device": (1, 3)}, "/link: device number is (1, 3), was (0, 0)"),
    ],
)
def test_every_property_of_an_entry_is_compared(path: str, change: Mapping[str, Any], sentence: str) -> None:
    tree = tree_of(FILES)
    changed = FileTree({**tree.entries, path: structs.replace(tree[path], **change)}, tree.contents)
    assert differences(changed) == (sentence,)


def test_content_is_compared_byte_for_byte() -> None:
    assert differences(tree_of({**FILES, "/gone": "unuseD"})) == ("/gone: content differs",)


@pytest.fixture(params=[True, False], ids=["in copies", "alone"])
def in_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare contents some bytes at a time, on several cores or on one."""
    monkeypatch.setattr(workers, "_LEAST_TO_START", 1)
    monkeypatch.setattr(workers, "_can_fork", lambda: bool(request.param))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(fidelity, "_PART_BYTES", 10)
    monkeypatch.setattr(fidelity, "_CHUNK_BYTES", 4)


MANY: dict[str, bytes | str | None] = {f"/{number:03}": "x" * number for number in range(30)}


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("place", [0, 3, 4, 5, 7])
def test_no_byte_of_any_part_is_passed_over(place: int) -> None:
    original, config = tree_of(MANY), json.dumps(CONFIG).encode()
    changed = {path: f"{'x' * place}y{'x' * 30}"[: len(str(MANY[path]))] for path in MANY}
    assert compare(original, tree_of(MANY), config, config, ()) == ()
    found = compare(original, tree_of({**MANY, **changed}), config, config, ())
    assert found == tuple(f"{path}: content differs" for path in MANY if len(str(MANY[path])) > place)


@pytest.mark.usefixtures("in_parts")
def test_a_content_that_cannot_be_read_is_an_error_whoever_reads_it() -> None:
    class Broken(MemoryContents):
        def open(self, entry: Entry) -> BinaryIO:
            if entry.path == "/017":
                raise BadImageError("cannot read /017: it is gone")
            return io.BytesIO(b"x" * entry.size_bytes)

    slim = FileTree(tree_of(MANY).entries, Broken({}))
    with pytest.raises(BadImageError, match="cannot read /017"):
        compare(tree_of(MANY), slim, b"{}", b"{}", ())
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("in_parts")
def test_an_interrupt_while_contents_are_compared_leaves_no_process() -> None:
    class Interrupted(MemoryContents):
        def open(self, entry: Entry) -> BinaryIO:
            if os.getpid() == here:
                raise KeyboardInterrupt
            os.kill(here, signal.SIGINT)
            signal.pause()
            raise AssertionError(entry)

    here = os.getpid()
    with pytest.raises(KeyboardInterrupt):
        compare(tree_of(MANY), FileTree(tree_of(MANY).entries, Interrupted({})), b"{}", b"{}", ())
    assert not multiprocessing.active_children()


def test_hard_links_that_became_copies_are_said() -> None:
    assert differences(tree_of({**FILES, "/b": "linked"})) == (
        "/a: names of this file are /a; were /a, /b",
        "/b: names of this file are /b; were /a, /b",
    )


def test_copies_that_became_hard_links_are_said() -> None:
    original, slim = tree_of({"/a": "x", "/b": "x"}), tree_of({"/a": "x", "/b": Hard("/a")})
    assert compare(original, slim, b"{}", b"{}", ()) == ("/a: names of this file are /a, /b; were /a",)


def test_a_long_list_of_differences_is_cut() -> None:
    files = {f"/{number:03}": "x" for number in range(MAX_DIFFERENCES + 7)}
    found = compare(tree_of(files), tree_of({}), b"{}", b"{}", ())
    assert len(found) == MAX_DIFFERENCES + 1
    assert found[-1] == "and 7 more"


def config_differences(change: Callable[[dict[str, Any]], object]) -> tuple[str, ...]:
    changed = json.loads(json.dumps(CONFIG))
    change(changed)
    return compare(tree_of({}), tree_of({}), json.dumps(CONFIG).encode(), json.dumps(changed).encode(), ())


def test_a_dropped_layer_and_its_emptied_history_line_are_no_difference() -> None:
    def drop(config: dict[str, Any]) -> None:
        config["rootfs"]["diff_ids"] = ["z"]
        config["history"][0]["empty_layer"] = True

    assert config_differences(drop) == ()


def bring_back(config: dict[str, Any]) -> None:
    config["rootfs"]["diff_ids"].append("z")
    config["history"].append({"created_by": RESTORED})


def test_the_layer_that_brings_everything_back_is_no_difference_and_any_other_is() -> None:
    def dropped_and_back(config: dict[str, Any]) -> None:
        config["rootfs"]["diff_ids"].pop()
        config["history"][0]["empty_layer"] = True
        bring_back(config)

    assert config_differences(bring_back) == ()
    assert config_differences(dropped_and_back) == ()
    without_layer = config_differences(lambda c: c["history"].append({"created_by": RESTORED}))
    assert without_layer == ("history has 0 layers less, the image 1",)

    def something_else(config: dict[str, Any]) -> None:
        bring_back(config)
        config["history"][-1].update(created_by="me")

    assert config_differences(something_else)[0] == "configuration field history[3] is {'created_by': 'me'}, was {}"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c["config"].pop("User"), "configuration field config.User is missing"),
        (lambda c: c["config"].update(User="root"), "configuration field config.User is 'root', was 'worker'"),
        (lambda c: c["config"]["Labels"].update(b="2"), "configuration field config.Labels.b is not in the original"),
        (lambda c: c["rootfs"].update(type="x"), "configuration field rootfs.type is 'x', was 'layers'"),
        (lambda c: c["rootfs"].update(diff_ids=["z"]), "history has 0 layers less, the image 1"),
        (
            lambda c: c["history"][2].update(created_by="me"),
            "configuration field history[2] is {'created_by': 'me'}, was {'created_by': 'two'}",
        ),
    ],
)
def test_every_other_change_of_the_configuration_is_said(
    change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    assert config_differences(change) == (sentence,)


def outcome(exit: int = 0, stdout: str = "", stderr: str = "", *, timed_out: bool = False) -> Outcome:  # noqa: A002
    return Outcome(exit=exit, stdout=stdout.encode(), stderr=stderr.encode(), seconds=2.0, timed_out=timed_out)


@pytest.mark.parametrize(
    ("expect", "ran", "failures"),
    [
        (Expect(), outcome(), ()),
        (Expect(exit=3), outcome(3), ()),
        (Expect(exit=None), outcome(9), ()),
        (Expect(), outcome(1), ("exit status is 1, expected 0",)),
        (
            Expect(),
            outcome(1, stderr="first\n\nTraceback\n  File\nBad\x1bError\n"),
            ("exit status is 1, expected 0 (Traceback | File | Bad\\x1bError)",),
        ),
        (Expect(stdout="acc 0\\.9"), outcome(stdout="epoch\nacc 0.93\n"), ()),
        (Expect(stdout="acc 0\\.9"), outcome(stdout="acc 0593"), ("nothing in stdout matches 'acc 0\\\\.9'",)),
        (Expect(stderr="warn"), outcome(stdout="warn"), ("nothing in stderr matches 'warn'",)),
        (Expect(exit=None), outcome(137, timed_out=True), ("it did not end within 2 seconds",)),
    ],
)
def test_expectations_hold_or_are_named(expect: Expect, ran: Outcome, failures: tuple[str, ...]) -> None:
    assert expectation_failures(expect, ran) == failures


def test_a_profile_run_that_fails_is_refused_with_its_last_words() -> None:
    run = Run(name="train", run=("train",))
    require_expectations(run, outcome())
    with pytest.raises(RunError) as raised:
        require_expectations(run, outcome(1, stderr="No module\nnamed x\n"))
    assert str(raised.value) == (
        "cannot use run 'train': exit status is 1, expected 0 (No module | named x); "
        "make it work on the original image, or correct its `expect`"
    )


DIFFERS = "stdout differs from the original's"


@pytest.mark.parametrize(
    ("was", "now", "found"),
    [
        ("a\nb\n", "a\nb\n", ()),
        ("a\nb\n", "a\nc\n", (DIFFERS, "--- original", "+++ slim", "@@ -1,2 +1,2 @@", " a", "-b", "+c")),
        ("a\nb\n", "a\n", (DIFFERS, "--- original", "+++ slim", "@@ -1,2 +1,1 @@", " a", "-b")),
        ("a\n", "a", (DIFFERS, "only line ends, or bytes that are not text, differ")),
    ],
)
def test_a_stream_that_must_be_the_same_is_compared_byte_for_byte(was: str, now: str, found: tuple[str, ...]) -> None:
    assert check_run(Expect(same=("stdout",)), outcome(stdout=was), outcome(stdout=now)) == found
    assert check_run(Expect(), outcome(stdout=was), outcome(stdout=now)) == ()


_ASKED = Service(
    requests=(Request(url="http://a/x", same_body=True), Request(url="http://a/y", status=404, pattern="none")),
    exec=(Exec(run=("check",), expect=Expect(same=("stdout",))),),
)
_READY = Step(kind="ready", what="ready tcp a:80")


def served(x: bytes = b"x", y: int = 404, check: bytes = b"c", *, failure: str = "") -> Outcome:
    steps = (
        _READY,
        Step(kind="request", what="GET http://a/x", status=200, body=x),
        Step(kind="request", what="GET http://a/y", status=y, body=b"none such"),
        Step(kind="exec", what="exec check", status=0, body=check, failure=failure),
    )
    return replace(outcome(stdout="log\n"), steps=steps)


@pytest.mark.parametrize(
    ("ran", "failures"),
    [
        (served(), ()),
        (served(y=200), ("GET http://a/y: status is 200, expected 404 (none such)",)),
        (served(failure="it hangs"), ("exec check: it hangs (log)",)),
        (
            replace(outcome(stderr="no port\n"), steps=(replace(_READY, failure="not ready within 1 seconds"),)),
            ("ready tcp a:80: not ready within 1 seconds (no port)",),
        ),
        (outcome(stdout="bye\n"), ("it ended before anything could be asked of it (bye)",)),
    ],
)
def test_answers_of_a_service_are_held_against_expectations(ran: Outcome, failures: tuple[str, ...]) -> None:
    assert expectation_failures(Expect(), ran, _ASKED) == failures


def test_without_an_expectation_an_answer_must_be_below_400() -> None:
    request = Service(requests=(Request(url="http://a/y"),))
    ran = replace(outcome(), steps=(Step(kind="request", what="GET http://a/y", status=500, body=b"oh"),))
    assert expectation_failures(Expect(), ran, request) == ("GET http://a/y: status is 500, expected below 400 (oh)",)


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (served(), ()),
        (
            served(x=b"z"),
            ("GET http://a/x: body differs from the original's", *textdiff.unified(b"x", b"z")),
        ),
        (
            served(check=b"d"),
            ("exec check: stdout differs from the original's", *textdiff.unified(b"c", b"d")),
        ),
        (replace(served(), exit=1), ("exit status is 1, the original's 0",)),
    ],
)
def test_answers_that_must_be_the_same_are_compared(now: Outcome, found: tuple[str, ...]) -> None:
    assert check_run(Expect(exit=None, same=("exit",)), served(), now, _ASKED) == found


def test_another_request_to_the_same_service_is_held_out() -> None:
    other = replace(_ASKED, requests=())
    runs = (Run(name="a", service=_ASKED), Run(name="b", service=other))
    assert is_held_out(Workload(profile=runs[:1], verify=runs[1:]))
    assert not is_held_out(Workload(profile=runs[:1], verify=(replace(runs[0], name="c"),)))


def runner(results: Mapping[str, Outcome | RunError], called: list[str]) -> Callable[[Run], Outcome]:
    def execute(run: Run) -> Outcome:
        called.append(run.name)
        result = results.get(run.name, outcome())
        if isinstance(result, RunError):
            raise result
        return result

    return execute


def record(name: str, stdout: str = "") -> RunRecord:
    return RunRecord(name=name, engine="runc", tracer="x", seconds=1.0, exit=0, stdout=stdout.encode(), stderr=b"")


PROFILE, HELD_OUT = Run(name="train", run=("train",)), Run(name="predict", run=("predict",))


def test_every_run_is_held_against_both_sides_and_recorded_ones_are_not_run_again() -> None:
    left: list[str] = []
    right: list[str] = []
    verdict = verify(
        Workload(profile=(PROFILE,), verify=(HELD_OUT,)),
        original=runner({}, left),
        slim=runner({}, right),
        recorded=(record("train"),),
    )
    assert verdict.passed
    assert verdict.held_out
    assert [(run.name, run.kind, run.passed) for run in verdict.runs] == [
        ("train", "profile", True),
        ("predict", "verify", True),
    ]
    assert verdict.runs[0].original.seconds == 1.0
    assert (left, right) == (["predict"], ["train", "predict"])


def test_a_recorded_run_whose_output_was_not_saved_is_run_again_when_it_is_needed() -> None:
    called: list[str] = []
    run = replace(PROFILE, expect=Expect(same=("stdout",)))
    results = {"train": outcome(stdout="out")}
    workload = Workload(profile=(run,))
    verdict = verify(workload, original=runner(results, called), slim=runner(results, []), recorded=(record("train"),))
    assert verdict.passed
    assert called == ["train"]


LACKS = "exit status is 1, expected 0"
ASKED = 'it looked for /lib/needed.so, which was removed; keep: ["/lib/needed.so"]'


@pytest.mark.parametrize(
    ("missed", "sentences"),
    [
        (Missed(asked=("/lib/needed.so",), used=("/lib/needed.so",)), (LACKS, ASKED)),
        (
            Missed(asked=("/lib/needed.so",), used=("/a", "/lib/needed.so")),
            (LACKS, ASKED, "on the original it uses 1 file that was removed: /a"),
        ),
        (
            Missed(used=("/a", "/b", "/c\n", "/d", "/e")),
            (LACKS, "on the original it uses 5 files that were removed: /a, /b, /c\\n and 2 more"),
        ),
        (
            Missed(listed=("/a", "/b")),
            (LACKS, "on the original it lists the directories of 2 files that were removed: /a, /b"),
        ),
        (Missed(), (LACKS,)),
    ],
)
def test_a_difference_of_a_run_fails_and_names_what_it_lacks(missed: Missed, sentences: tuple[str, ...]) -> None:
    verdict = verify(
        Workload(verify=(HELD_OUT,)),
        original=runner({}, []),
        slim=runner({"predict": outcome(1)}, []),
        missed=lambda run: missed,
    )
    assert not verdict.passed
    assert verdict.runs[0].slim.exit == 1
    assert verdict.runs[0].differences == sentences
    assert verdict.runs[0].missing == missed.paths


def test_a_run_that_fails_on_the_original_does_not_pass_and_is_said_to() -> None:
    results = {"predict": outcome(2)}
    verdict = verify(Workload(verify=(HELD_OUT,)), original=runner(results, []), slim=runner(results, []))
    assert not verdict.passed
    assert verdict.runs[0].differences == ("fails on the original too: exit status is 2, expected 0",)


def test_a_command_that_cannot_be_started_on_the_slim_image_is_a_difference() -> None:
    error = RunError("cannot run 'predict': no such program")
    verdict = verify(Workload(verify=(HELD_OUT,)), original=runner({}, []), slim=runner({"predict": error}, []))
    assert verdict.runs[0].differences == ("exit status is 127, expected 0 (cannot run 'predict': no such program)",)


def test_a_difference_of_the_images_fails_although_every_run_passes() -> None:
    verdict = verify(Workload(), original=runner({}, []), slim=runner({}, []), differences=("/a: content differs",))
    assert not verdict.passed
    assert verdict.differences == ("/a: content differs",)


@pytest.mark.parametrize(
    ("workload", "held_out"),
    [
        (Workload(profile=(PROFILE,)), False),
        (Workload(profile=(PROFILE,), verify=(replace(PROFILE, name="again"),)), False),
        (Workload(profile=(PROFILE,), verify=(replace(PROFILE, environment=(("A", "1"),)),)), True),
        (Workload(profile=(PROFILE,), verify=(HELD_OUT,)), True),
    ],
)
def test_only_a_run_that_was_not_profiled_is_held_out(workload: Workload, held_out: bool) -> None:
    assert is_held_out(workload) is held_out


def test_files_that_a_slim_run_named_and_did_not_find_are_listed_in_order() -> None:
    named = ("relative", "/link", "/etc", "/nowhere", "/gone", "/bin/../gone", "/a")
    slim = tree_of(without("/gone", "/bin/tool"))
    assert missing_files(named, tree_of(FILES), slim) == ("/bin/tool", "/gone")


def test_a_database_that_was_cut_must_hold_exactly_what_was_planned() -> None:
    new = {"/gone": b"used"}
    assert compare(tree_of(FILES), tree_of({**FILES, "/gone": "used"}), b"{}", b"{}", (), rewritten=new) == ()
    wrong = compare(tree_of(FILES), tree_of({**FILES, "/gone": "uSed"}), b"{}", b"{}", (), rewritten=new)
    assert wrong == ("/gone: content is not what was planned",)
    longer = compare(tree_of(FILES), tree_of({**FILES, "/gone": "used up"}), b"{}", b"{}", (), rewritten=new)
    assert longer == ("/gone: size in bytes is 7, was 4",)
    mode = structs.replace(tree_of({**FILES, "/gone": "used"})["/gone"], mode=0o600)
    tree = tree_of({**FILES, "/gone": "used"})
    changed = FileTree({**tree.entries, "/gone": mode}, tree.contents)
    assert compare(tree_of(FILES), changed, b"{}", b"{}", (), rewritten=new) == ("/gone: mode is 0600, was 0644",)


def label_differences(slim: dict[str, str], planned: dict[str, str] | None) -> tuple[str, ...]:
    document = {**CONFIG, "config": {**CONFIG["config"], "Labels": {"a": "1", **slim}}}
    original, changed = json.dumps(CONFIG).encode(), json.dumps(document).encode()
    return compare(tree_of({}), tree_of({}), original, changed, (), labels=planned)


def test_only_the_planned_labels_may_be_added_and_only_with_these_values() -> None:
    assert label_differences({KEEP: "safe"}, {KEEP: "safe"}) == ()
    assert label_differences({KEEP: "traced"}, {KEEP: "safe"}) == (
        "label mlbloat.keep is 'traced', planned was 'safe'",
    )
    assert label_differences({}, {KEEP: "safe"}) == ("label mlbloat.keep is None, planned was 'safe'",)
    assert label_differences({KEEP: "any"}, None) == ()
    assert label_differences({"mlbloat.other": "x"}, None) == (
        "configuration field config.Labels.mlbloat.other is not in the original",
    )


def test_labels_may_be_the_first_that_an_image_has() -> None:
    labelled = json.dumps({"config": {"Labels": {KEEP: "safe"}}}).encode()
    for document in (b"{}", b'{"config": {"Labels": null}}', b'{"config": {}}'):
        assert compare(tree_of({}), tree_of({}), document, labelled, (), labels={KEEP: "safe"}) == ()
