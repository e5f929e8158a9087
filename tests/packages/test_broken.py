"""Broken databases, from the image to the report: the file is named, and everything else is still reported."""

import json
from pathlib import Path

import pytest

from mlbloat import pipeline
from mlbloat.pipeline import Request
from mlbloat.report import json as report_json
from mlbloat.report import table
from tests.packages import test_rpm
from tests.support.images import WHITEOUT, Value, oci_archive
from tests.support.runnable import assert_sums
from tests.support.trees import Link

SITE = "/usr/local/lib/python3.11/site-packages"
STATUS = "/var/lib/dpkg/status"
INFO = "/var/lib/dpkg/info"
CONDA = "/opt/conda/conda-meta"
APK = "/lib/apk/db/installed"
RPM = "/usr/lib/sysimage/rpm/rpmdb.sqlite"
NPM = "/usr/local/lib/node_modules/tool/package.json"


def stanza(name: str) -> str:
    return f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nDepends: first\n\n"


def metadata(name: str) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n"


def record(name: str) -> str:
    return json.dumps({"name": name, "version": "1", "files": [f"lib/{name}.so"]})


def apk_stanza(name: str) -> str:
    return f"P:{name}\nV:1-r0\nF:usr/lib/{name}\nR:{name}.so\n\n"


INTACT: dict[str, Value] = {
    STATUS: stanza("first") + stanza("second"),
    f"{INFO}/first.list": "/usr/bin/first\n",
    f"{INFO}/second.list": "/usr/bin/second\n",
    "/var/lib/apt/extended_states": "Package: second\nArchitecture: amd64\nAuto-Installed: 1\n\n",
    "/var/lib/dpkg/diversions": "/usr/bin/none\n/usr/bin/none.real\nfirst\n",
    "/usr/bin/first": "#!/bin/sh\n",
    "/usr/bin/second": "#!/bin/sh\n",
    f"{SITE}/alpha-1.0.dist-info/METADATA": metadata("alpha"),
    f"{SITE}/alpha-1.0.dist-info/RECORD": "alpha/__init__.py,,6\nalpha-1.0.dist-info/METADATA,,\n",
    f"{SITE}/alpha/__init__.py": "x = 1\n",
    f"{SITE}/beta-1.0.dist-info/METADATA": metadata("beta"),
    f"{SITE}/beta-1.0.dist-info/RECORD": "beta/__init__.py,,6\nbeta-1.0.dist-info/METADATA,,\n",
    f"{SITE}/beta/__init__.py": "y = 1\n",
    "/opt/conda/lib/one.so": "one",
    "/opt/conda/lib/two.so": "two",
    f"{CONDA}/one-1-0.json": record("one"),
    f"{CONDA}/two-1-0.json": record("two"),
    APK: apk_stanza("musl") + apk_stanza("zlib"),
    "/usr/lib/musl/musl.so": "musl",
    "/usr/lib/zlib/zlib.so": "zlib",
    "/usr/lib/rpm-bash": "bash",
    NPM: json.dumps({"name": "tool", "version": "1.0.0"}),
}
ALL = {"first", "second", "alpha", "beta", "one", "two", "musl", "zlib", "bash", "glibc", "tool"}


@pytest.fixture
def rpm_database(tmp_path: Path) -> bytes:
    return test_rpm.database(
        tmp_path, test_rpm.package("bash", "/usr/lib/rpm-bash"), test_rpm.package("glibc", "/usr/lib/none")
    )


def test_the_intact_image_has_no_problem(tmp_path: Path, rpm_database: bytes) -> None:
    archive = oci_archive(tmp_path / "image.tar", [{**INTACT, RPM: rpm_database}])
    report = pipeline.scan(Request(reference=f"oci-archive:{archive}"))
    assert {package.name for package in report.packages} == ALL
    assert report.problems == ()


DAMAGES: tuple[tuple[str, str, Value, set[str], str], ...] = (
    ("status cut in a stanza", STATUS, stanza("first") + "Package: second\nStatus: inst", {"second"}, "it is cut off"),
    ("status of zeros", STATUS, b"\0" * 4096, {"first", "second"}, "a stanza names no package"),
    ("status is a directory", STATUS, None, {"first", "second"}, "it is a directory"),
    ("status is a link to itself", STATUS, Link("status"), {"first", "second"}, "a link that leads nowhere"),
    ("a stanza without a version", STATUS, stanza("first") + stanza("second").replace("Version: 1\n", ""), {"second"},
     "the stanza of second has no version"),
    ("a stanza twice", STATUS, stanza("first") + stanza("second") * 2, set(), "it describes second a second time"),
    ("no list of files", f"{INFO}/second.list", WHITEOUT, set(), "it is missing"),
    ("diversions cut", "/var/lib/dpkg/diversions", "/usr/bin/a\n/usr/bin/b\n", set(), "do not come in threes"),
    ("RECORD with other sizes", f"{SITE}/alpha-1.0.dist-info/RECORD", "alpha/__init__.py,,999\n", set(),
     "have another size than it says"),
    ("RECORD that is no table", f"{SITE}/alpha-1.0.dist-info/RECORD", '"' + "x" * 200_000, set(), "field larger than"),
    ("no METADATA", f"{SITE}/alpha-1.0.dist-info/METADATA", WHITEOUT, set(), "it is missing"),
    ("METADATA of noise", f"{SITE}/alpha-1.0.dist-info/METADATA", b"\xff\xfe\0\1" * 50, set(), "it names no package"),
    ("two versions", f"{SITE}/alpha-0.9.dist-info/METADATA", metadata("alpha").replace("1.0", "0.9"), set(),
     "version 1.0 is recorded beside it"),
    ("a requirement that is none", f"{SITE}/alpha-1.0.dist-info/METADATA",
     metadata("alpha").strip() + "\nRequires-Dist: ???\n\n", set(), "'???' is not valid"),
    ("an egg-link to nowhere", f"{SITE}/gone.egg-link", "/srv/gone\n.\n", set(), "describes gone"),
    ("conda record cut", f"{CONDA}/two-1-0.json", record("two")[:20], {"two"}, "truncated"),
    ("conda record of another shape", f"{CONDA}/two-1-0.json", '{"name": ["two"]}', {"two"}, "Expected `str`"),
    ("conda record without a version", f"{CONDA}/two-1-0.json", '{"name": "two", "version": ""}', {"two"},
     "no valid name and version"),
    ("conda record is a link to nothing", f"{CONDA}/two-1-0.json", Link("gone"), {"two"}, "a link that leads nowhere"),
    ("conda record twice", f"{CONDA}/two-2-0.json", record("two"), set(), "another record has that name"),
    ("conda package that is none", "/opt/conda/pkgs/three-1-0.conda", "not a zip", set(), "it is no package of conda"),
    ("apk database cut", APK, apk_stanza("musl") + "P:zlib\nV:1", set(), "it is cut off"),
    ("apk database is a link to itself", APK, Link("installed"), {"musl", "zlib"}, "a link that leads nowhere"),
    ("apk stanza without a version", APK, apk_stanza("musl") + "P:zlib\n\n", {"zlib"}, "zlib has no version"),
    ("rpm database of noise", RPM, b"SQLite format 3\0" + b"\x5a" * 5000, {"bash", "glibc"}, "no database of rpm"),
    ("rpm database is a link to itself", RPM, Link("rpmdb.sqlite"), {"bash", "glibc"}, "a link that leads nowhere"),
    ("rpm database of zeros", RPM, b"\0" * 8192, {"bash", "glibc"}, "it is no database of rpm"),
    ("npm manifest cut", NPM, '{"name": "to', {"tool"}, "truncated"),
)  # fmt: skip


@pytest.mark.parametrize(("path", "value", "lost", "why"), [each[1:] for each in DAMAGES], ids=[d[0] for d in DAMAGES])
def test_a_broken_database_is_named_and_everything_else_is_reported(
    path: str, value: Value, lost: set[str], why: str, tmp_path: Path, rpm_database: bytes
) -> None:
    damage: list[tuple[str, Value]] = [(path, WHITEOUT), (path, None)] if value is None else [(path, value)]
    layers = [list({**INTACT, RPM: rpm_database}.items()), *([each] for each in damage)]
    report = pipeline.scan(Request(reference=f"oci-archive:{oci_archive(tmp_path / 'image.tar', layers)}"))
    found = [finding for finding in report.findings if finding.rule == "broken-database"]
    assert path in {named for finding in found for named in finding.paths}
    finding = next(finding for finding in found if path in finding.paths)
    assert finding.severity == "error"
    assert f"cannot read {path}: " in finding.title
    assert any(why in each.title for each in found if path in each.paths), [each.title for each in found]
    assert {each.title for each in found} == set(report.problems)
    assert {package.name for package in report.packages} == ALL - lost
    assert_sums(report)
    assert path in table.render(report)
    assert path in report_json.render(report)


def test_all_of_them_at_once_leave_the_rest(tmp_path: Path, rpm_database: bytes) -> None:
    broken: dict[str, Value] = {
        STATUS: "Package: fi", f"{SITE}/alpha-1.0.dist-info/METADATA": WHITEOUT, f"{CONDA}/one-1-0.json": "[",
        APK: "P:musl", RPM: b"", NPM: "{",
    }  # fmt: skip
    archive = oci_archive(tmp_path / "image.tar", [{**INTACT, RPM: rpm_database}, broken])
    report = pipeline.scan(Request(reference=f"oci-archive:{archive}"))
    named = {path for finding in report.findings if finding.rule == "broken-database" for path in finding.paths}
    assert named == set(broken)
    assert {package.name for package in report.packages} == {"alpha", "beta", "two"}
    assert_sums(report)
