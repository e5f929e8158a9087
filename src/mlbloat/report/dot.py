"""The dependency graph of the packages as Graphviz draws it: `dot -Tsvg packages.dot`.

https://graphviz.org/doc/info/lang.html
"""

from mlbloat.model.plain import plain
from mlbloat.model.report import PackageReport, Report
from mlbloat.report.units import percent, size

_HEAD = """digraph packages {
  rankdir=LR;
  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];
  edge [color="#888888"];
"""
_SHADES = (("#fddbc7", 0.5), ("#f4a582", 0.9), ("#d6604d", 1.0))
_LITTLE = "#f7f7f7"
_NO_RATIO = "#ffffff"


def render(report: Report) -> str:
    """One box for each package, darker the more of it is bloat; what nothing that runs requires has a dashed border."""
    lines = [_node(package) for package in report.packages]
    for package in report.packages:
        lines += [f"  {_quoted(_key(package))} -> {_quoted(key)};\n" for key in package.requires]
        lines += [
            f'  {_quoted(_key(package))} -> {_quoted(key)} [style=dotted, label="recommends"];\n'
            for key in package.recommends
        ]
    return _HEAD + "".join(lines) + "}\n"


def _node(package: PackageReport) -> str:
    bloat = "" if package.bloat_ratio is None else f", bloat {percent(package.bloat_ratio)}"
    label = _quoted(f"{package.name} {package.version}")[:-1] + f'\\n{size(package.size_bytes)}{bloat}"'
    border = "" if package.required else ', style="rounded,filled,dashed"'
    width = ", penwidth=2" if package.direct else ""
    return f'  {_quoted(_key(package))} [label={label}, fillcolor="{_shade(package)}"{border}{width}];\n'


def _shade(package: PackageReport) -> str:
    if package.bloat_ratio is None:
        return _NO_RATIO
    return next((shade for shade, limit in reversed(_SHADES) if package.bloat_ratio >= limit), _LITTLE)


def _key(package: PackageReport) -> str:
    return f"{package.manager}:{package.name}@{package.location}"


def _quoted(text: str) -> str:
    escaped = plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
