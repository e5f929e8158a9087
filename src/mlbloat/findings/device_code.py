"""Code for GPUs that the image does not run on."""

from collections.abc import Iterator, Mapping

from mlbloat.findings.scene import MAX_PATHS, Rule, Scene
from mlbloat.model.devicecode import DeviceCode, gpus_of, loaded_bytes
from mlbloat.model.filetree import Entry
from mlbloat.model.gpuarch import parse
from mlbloat.model.report import Finding


def _other_gpus(rule: Rule, scene: Scene) -> Iterator[Finding]:
    """Without a word about the GPU, what the GPU that loads most does not load: no other one leaves less."""
    codes = {entry: scene.device.files[entry.inode] for entry in _first_names(scene)}
    gpus = scene.device.gpus or _greediest(codes)
    if not gpus:
        return
    others = {entry.path: code.size_bytes - loaded_bytes([code], gpus) for entry, code in codes.items()}
    if scene.device.gpus:
        title = f"Code for other GPUs than {' and '.join(scene.device.gpus)}"
    else:
        title = (
            f"Code for {len(gpus_of(codes.values()))} kinds of GPUs: whichever you have, at least this much is for "
            "others; --gpu-arch says how much"
        )
    ranked = sorted((path for path, left in others.items() if left), key=lambda path: (-others[path], path))
    yield Finding(
        rule=rule.name,
        severity=rule.severity,
        title=title,
        bytes=sum(others.values()),
        paths=tuple(ranked[:MAX_PATHS]),
        advice=_advice(scene.device.gpus) or rule.remedy,
    )


def _first_names(scene: Scene) -> list[Entry]:
    first: dict[tuple[int, int], Entry] = {}
    for entry in scene.files:
        if entry.inode in scene.device.files:
            first.setdefault(entry.inode, entry)
    return list(first.values())


def _greediest(codes: Mapping[Entry, DeviceCode]) -> tuple[str, ...]:
    gpus = gpus_of(codes.values())
    return (max(gpus, key=lambda gpu: loaded_bytes(codes.values(), [gpu])),) if gpus else ()


def _advice(gpus: tuple[str, ...]) -> str:
    """Name the GPUs as PyTorch's and CMake's builds take them, or as HIP's do."""
    numbers = sorted({code.number for gpu in gpus if (code := parse(gpu)).form == "sm"})
    processors = [gpu for gpu in gpus if parse(gpu).form == "gfx"]
    variables = []
    if numbers:
        capabilities = ";".join(f"{number // 10}.{number % 10}" for number in numbers)
        variables += [f"TORCH_CUDA_ARCH_LIST='{capabilities}'"]
        variables += [f"CUDAARCHS='{';'.join(f'{number}-real' for number in numbers)}'"]
    if processors:
        variables += [f"PYTORCH_ROCM_ARCH='{';'.join(processors)}'"]
    return f"RUN {' '.join(variables)} BUILD" if variables else ""


RULES = (
    Rule(
        name="other-gpus",
        severity="note",
        finds="code in libraries that no GPU of `--gpu-arch` loads; without the option, what is left by the GPU that"
        " loads most. `BUILD` is what compiles the library: of libraries that come compiled, NVIDIA's own among them,"
        " only another release has less",
        example="RUN pip install a package that is compiled for every GPU",
        remedy="RUN TORCH_CUDA_ARCH_LIST=CAPABILITIES CUDAARCHS=ARCHITECTURES BUILD",
        find=_other_gpus,
    ),
)
