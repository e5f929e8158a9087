import json

import pytest

from mlbloat.packages import npm, take_inventory
from tests.support.trees import tree_of

GLOBAL = "/usr/local/lib/node_modules"


def manifest(name: str) -> str:
    return json.dumps({"name": name, "version": "1.0.0", "dependencies": {"x": "*"}})


def test_global_modules_own_all_that_lies_below_them() -> None:
    found = {
        package.name: package
        for package in npm.find(
            tree_of(
                {
                    f"{GLOBAL}/tool/package.json": manifest("tool"),
                    f"{GLOBAL}/tool/node_modules/x/package.json": manifest("x"),
                    f"{GLOBAL}/@scope/other/package.json": manifest("@scope/other"),
                    "/app/node_modules/mine/package.json": manifest("mine"),
                }
            )
        ).packages
    }
    assert set(found) == {"tool", "@scope/other"}
    assert found["tool"].location == GLOBAL
    assert found["tool"].files == (f"{GLOBAL}/tool/node_modules/x/package.json", f"{GLOBAL}/tool/package.json")


def test_a_second_module_of_a_name_is_a_problem() -> None:
    files = {f"{GLOBAL}/bar/package.json": manifest("bar"), f"{GLOBAL}/foo/package.json": manifest("bar")}
    found = npm.find(tree_of({**files, "/opt/lib/node_modules/bar/package.json": manifest("bar")}))
    assert [package.key for package in found.packages] == ["npm:bar@/opt/lib/node_modules", f"npm:bar@{GLOBAL}"]
    assert found.packages[1].files == (f"{GLOBAL}/bar/package.json",)
    assert [problem.path for problem in found.problems] == [f"{GLOBAL}/foo/package.json"]


def test_a_broken_manifest_is_named_and_the_others_remain() -> None:
    found = take_inventory(tree_of({f"{GLOBAL}/a/package.json": "{", f"{GLOBAL}/b/package.json": manifest("b")}))
    assert [package.name for package in found.packages] == ["b"]
    assert [problem.path for problem in found.problems] == [f"{GLOBAL}/a/package.json"]


@pytest.mark.parametrize("name", ["-g", "a;b", "a b", "\u0430", "@-/a b"])
def test_a_module_whose_name_is_none_is_a_problem(name: str) -> None:
    found = take_inventory(tree_of({f"{GLOBAL}/a/package.json": manifest(name)}))
    assert found.packages == ()
    assert [problem.path for problem in found.problems] == [f"{GLOBAL}/a/package.json"]
