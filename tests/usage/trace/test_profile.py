import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from mlbloat.errors import UsageError
from mlbloat.model.use import Access, Action, Origin, Phase, RunRecord
from mlbloat.usage.trace import load_profile, profile_file, profile_text
from mlbloat.usage.trace.profile import SCHEMA_FILE

_RECORD = RunRecord(
    name="train",
    engine="embedded",
    tracer="seccomp",
    seconds=1.5,
    exit=0,
    stdout=b"secret",
    stderr=b"",
    accesses=(Access("/b", Action.OPENED), Access("/a\udcff", Action.EXECUTED), Access("/ü", Action.LISTED)),
    phases=((Phase.START, 0), (Phase.STOP, 2)),
    flags=("something",),
    gpus=("all",),
    origin=Origin(id="sha256:1", diff_ids=("sha256:2", "sha256:3")),
)


def test_a_profile_holds_everything_but_the_output(tmp_path: Path) -> None:
    text = profile_text((_RECORD,))
    (tmp_path / "usage.json").write_text(text)
    (loaded,) = load_profile(tmp_path / "usage.json")
    assert (loaded.accesses, loaded.phases) == (_RECORD.accesses, _RECORD.phases)
    assert (loaded.name, loaded.engine, loaded.tracer, loaded.seconds, loaded.exit, loaded.flags) == (
        "train",
        "embedded",
        "seccomp",
        1.5,
        0,
        ("something",),
    )
    assert (loaded.stdout, "secret" in text) == (b"", False)
    assert (loaded.gpus, loaded.origin) == (_RECORD.gpus, _RECORD.origin)


def test_a_profile_of_format_1_is_read(tmp_path: Path) -> None:
    document = json.loads(profile_text((_RECORD,))) | {"format": 1}
    del document["runs"][0]["phases"]
    (tmp_path / "usage.json").write_text(json.dumps(document))
    assert load_profile(tmp_path / "usage.json") == (replace(_RECORD, stdout=b"", phases=()),)


def test_a_profile_meets_the_schema_that_ships() -> None:
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(profile_text((_RECORD,))), schema)
    with pytest.raises(jsonschema.ValidationError, match="'runs' is a required property"):
        jsonschema.validate({"kind": "mlbloat.profile", "format": 1}, schema)


def test_a_large_profile_is_compressed_the_same_way_each_time_and_read_again(tmp_path: Path) -> None:
    accesses = tuple(Access(f"/a/rather/long/name/of/a/file/{number}", Action.OPENED) for number in range(20_000))
    content = profile_file((replace(_RECORD, accesses=accesses),))
    assert content.startswith(b"\x1f\x8b")
    assert content == profile_file((replace(_RECORD, accesses=accesses),))
    (tmp_path / "usage.json").write_bytes(content)
    assert load_profile(tmp_path / "usage.json")[0].accesses == accesses
    (tmp_path / "usage.json").write_bytes(content[:-100])
    with pytest.raises(UsageError, match="as a profile: "):
        load_profile(tmp_path / "usage.json")


def test_the_same_records_give_the_same_text() -> None:
    assert profile_text((_RECORD, _RECORD)) == profile_text((_RECORD, _RECORD))
    assert profile_text((_RECORD,)).startswith('{\n "kind": "mlbloat.profile",\n "format": 2,\n')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "as a profile: "),
        ("[]", "as a profile: "),
        ('{"x": ' + "[" * 100_000, "as a profile: "),
        ('{"kind": "mlbloat.report", "format": 1}', "it is none; record one with mlbloat trace"),
        ('{"kind": "mlbloat.profile", "format": 3}', "its format is 3, this mlbloat reads 1 and 2; record it again"),
        ('{"kind": "mlbloat.profile", "format": 1}', "missing required field `runs`"),
        (profile_text((_RECORD,)).replace('"opened"', '"eaten"'), "as a profile: Invalid enum value 'eaten'"),
        (profile_text((_RECORD,)).replace('"exit"', '"exits"'), "unknown field `exits`"),
        (profile_text((_RECORD,)).replace("L2H/", "!!!!"), "as a profile: "),
    ],
)
def test_what_is_no_profile_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "usage.json"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_profile(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_profile_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read profile .*none.json: No such file or directory"):
        load_profile(tmp_path / "none.json")
