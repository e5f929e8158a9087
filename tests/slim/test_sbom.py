"""The bill of materials: what scanners find in the slim image, valid by its schema, the same every time."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from mlbloat.image import squash
from mlbloat.packages import take_inventory
from mlbloat.slim import cyclonedx
from tests.slim.installed import CONDA, SITE
from tests.slim.test_databases import cut, opened, slimmed


def made(directory: Path) -> str:
    directory.mkdir()
    image = opened(directory)
    tree = squash(image)
    plan = cut(image)
    written, left = slimmed(image, plan, directory)
    return cyclonedx(image, tree, written, take_inventory(tree), take_inventory(left), plan.kept, "app:slim")


def components(document: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {
        component["bom-ref"]: {each["name"]: each["value"] for each in component.get("properties", ())}
        for component in document["components"]
    }


def test_the_bill_meets_the_schema_of_cyclonedx(tmp_path: Path) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made(tmp_path / "a")) is None


def test_the_subject_is_a_container(tmp_path: Path) -> None:
    document = json.loads(made(tmp_path / "a"))
    subject = document["metadata"]["component"]
    assert (document["specVersion"], subject["type"], subject["name"]) == ("1.6", "container", "app:slim")
    assert subject["version"].startswith("sha256:")
    assert document["metadata"]["properties"][0]["name"] == "mlbloat:original"
    assert "timestamp" not in document["metadata"]


def test_every_package_says_what_was_kept_of_it(tmp_path: Path) -> None:
    found = components(json.loads(made(tmp_path / "a")))
    assert set(found) == {
        "apk:lib-apk@/",
        "apt:lib@/",
        "apt:base@/",
        f"pip:pylib@{SITE}",
        f"conda:clib@{CONDA}",
        "operating-system",
    }
    assert found[f"conda:clib@{CONDA}"] == {
        "mlbloat:location": CONDA,
        "mlbloat:files:kept": "2",
        "mlbloat:files:removed": "1",
        "mlbloat:bytes:kept": found[f"conda:clib@{CONDA}"]["mlbloat:bytes:kept"],
        "mlbloat:bytes:removed": "1",
    }


def test_package_urls_are_those_that_scanners_match_by(tmp_path: Path) -> None:
    document = json.loads(made(tmp_path / "a"))
    assert {component.get("purl") for component in document["components"]} == {
        "pkg:deb/debian/lib@1.0-1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/base@1.0-1?arch=amd64&distro=debian-12",
        "pkg:pypi/pylib@1.0",
        "pkg:conda/clib@1.0",
        "pkg:apk/lib-apk@1.0-r0",
        None,
    }
    needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert needs["apt:lib@/"] == ["apt:base@/"]


def test_the_same_image_gives_the_same_bill_and_source_date_epoch_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made(tmp_path / "a") == made(tmp_path / "b")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert json.loads(made(tmp_path / "c"))["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
