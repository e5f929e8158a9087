from dataclasses import replace

from mlbloat.report import FORMATS, dot
from tests.support.reports import report


def test_the_graph_has_a_box_for_each_package_and_an_arrow_for_each_requirement() -> None:
    made = report()
    first = made.packages[0]
    second = replace(first, name='we"ird\n', requires=("apt:libx@/",), recommends=("apt:y@/",), required=False,
                     direct=False, bloat_ratio=None)  # fmt: skip
    text = dot.render(replace(made, packages=(first, second)))
    assert text.startswith("digraph packages {")
    assert text.endswith("}\n")
    assert '"apt:libx@/" [label="libx 1.0\\n' in text
    assert '  "apt:we\\"ird\\\\n@/" -> "apt:libx@/";\n' in text
    assert '-> "apt:y@/" [style=dotted, label="recommends"];' in text
    assert text.count("dashed") == 1
    assert FORMATS["dot"].render is dot.render


def test_the_more_of_a_package_is_bloat_the_darker_its_box() -> None:
    made = report()
    shades = []
    for ratio in (None, 0.1, 0.6, 0.95, 1.0):
        line = dot.render(replace(made, packages=(replace(made.packages[0], bloat_ratio=ratio),))).split("\n")[4]
        shades.append(line.split('fillcolor="')[1][:7])
    assert len(set(shades)) == 5
