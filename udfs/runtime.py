"""What runs networks: uint8 pixels in, float32 vectors out. Runs on executors.

`Runtime` is the seam between the pass and whatever computes: numpy arrays on both sides, no tensor of any framework.
OpenVINO runs networks on a CPU, torch on a GPU; who calls can't see which.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from udfs.compiled_cache import CompiledCache

if TYPE_CHECKING:
    import openvino
    import torch

logger = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Colour = tuple[float, float, float]
Precision = Literal["fp32", "bf16", "fp16"]

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")

# Raised whenever a compiled network may come out differently for the same weights.
_VERSION = 1


class DeviceError(Exception):
    """The device, or a precision on it, that was asked for is not there. One sentence: what, where, what to do."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network before it is compiled.

    fingerprint: tells its weights and its definition from all others. build: the torch module with its weights, in
    evaluation mode, float32, on the CPU; called only where it was never compiled before. size: (height, width) of its
    pixels, None for any. dtype: of its pixels. mean, std: taken off the pixels and divided by, inside the compiled
    network, in units of 0-255. batch: pixels come in batches of just so many; None: of any number.
    """

    name: str
    fingerprint: str
    build: Callable[[], torch.nn.Module]
    mean: Colour
    std: Colour
    size: tuple[int, int] | None = None
    dtype: Literal["uint8", "float32"] = "uint8"
    batch: int | None = None


class Compiled(Protocol):
    """A network that is ready to run."""

    def __call__(self, pixels: Pixels) -> list[Vectors]:
        """(n, height, width, 3) of the network's dtype, 0-255, n >= 1 -> its outputs, float32, the caller's own."""
        ...


class Runtime(Protocol):
    """Compiles networks for one device at one precision."""

    def compile(self, network: Network) -> Compiled:
        """A network that is ready to run; its weights are in memory once it returns."""
        ...


def runtime(
    where: str, precision: Precision, threads: int, cache: Path | None, *, torch_compile: bool = False
) -> Runtime:
    """The runtime of a device.

    Args:
        where: `cpu` or `cuda:<index>`.
        threads: that networks on a CPU use in this process.
        cache: folder for compiled networks; None keeps none.
        torch_compile: on a GPU, whether torch compiles the network instead of running it as it is.

    Raises:
        DeviceError: the device does not compute in this precision.
    """
    if where == "cpu":
        return OpenVinoRuntime(precision, threads, None if cache is None else CompiledCache(cache))
    return TorchRuntime(where, precision, compiled=torch_compile)


# --- OpenVINO ---------------------------------------------------------------------------------------------------------


class OpenVinoRuntime:
    """Networks on a CPU. One stream of `threads` threads, pinned nowhere: Spark's workers share the cores.

    Raises:
        DeviceError: bf16 on a processor without its instructions, or fp16.
    """

    def __init__(self, precision: Precision, threads: int, cache: CompiledCache | None) -> None:
        if precision == "fp16":
            raise DeviceError("images.precision asks for fp16, which only a GPU computes in: set images.precision=auto")
        if precision == "bf16" and not has_bf16():
            raise DeviceError(
                f"images.precision asks for bf16, which the processor of this machine ({_processor()}) does not "
                "compute in: set images.precision=fp32"
            )
        self._precision = precision
        self._threads = threads
        self._cache = cache

    def compile(self, network: Network) -> Compiled:
        """See `Runtime`."""
        compiled = self._make(network) if self._cache is None else self._from_cache(self._cache, network)
        return _OpenVinoNetwork(compiled, network)

    def _from_cache(self, cache: CompiledCache, network: Network) -> openvino.CompiledModel:
        import openvino

        parts = {
            "version": _VERSION,
            "openvino": openvino.get_version(),
            "processor": _processor(),
            "network": [network.name, network.fingerprint, network.size, network.dtype, network.batch],
            "pixels": [network.mean, network.std],
            "settings": self._settings(),
        }

        def read(content: bytes) -> openvino.CompiledModel:
            return _core().import_model(content, "CPU", self._settings())

        def make() -> tuple[openvino.CompiledModel, bytes]:
            compiled = self._make(network)
            exported = compiled.export_model()
            return compiled, exported if isinstance(exported, bytes) else exported.getvalue()

        return cache.get(json.dumps(parts, sort_keys=True), read, make)

    def _make(self, network: Network) -> openvino.CompiledModel:
        return _core().compile_model(_converted(network), "CPU", self._settings())

    def _settings(self) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": "f32" if self._precision == "fp32" else "bf16",
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }


class _OpenVinoNetwork:
    def __init__(self, compiled: openvino.CompiledModel, network: Network) -> None:
        self._request = compiled.create_infer_request()
        self._outputs = len(compiled.outputs)
        self._network = network

    def __call__(self, pixels: Pixels) -> list[Vectors]:
        _check(pixels, self._network)
        self._request.infer([pixels], share_inputs=True)
        # Copied: the request writes its next results to the same place.
        return [np.array(self._request.get_output_tensor(at).data, np.float32) for at in range(self._outputs)]


def _converted(network: Network) -> openvino.Model:
    import openvino
    import torch
    from openvino.preprocess import PrePostProcessor

    height, width = network.size or (-1, -1)
    shape = [network.batch or -1, 3, height, width]
    example = torch.zeros([48 if side == -1 else side for side in [network.batch or 2, *shape[1:]]])
    with torch.inference_mode():
        model = openvino.convert_model(network.build(), example_input=example, input=[shape])
    prepared = PrePostProcessor(model)
    given = prepared.input()
    given.tensor().set_element_type(openvino.Type(np.dtype(network.dtype))).set_layout(openvino.Layout("NHWC"))
    steps = given.preprocess()
    if network.dtype != "float32":
        steps = steps.convert_element_type(openvino.Type.f32)
    steps.mean(list(network.mean)).scale(list(network.std))
    given.model().set_layout(openvino.Layout("NCHW"))
    for at in range(len(model.outputs)):
        prepared.output(at).tensor().set_element_type(openvino.Type.f32)
    return prepared.build()


@functools.cache
def _core() -> openvino.Core:
    import openvino

    return openvino.Core()


@functools.cache
def _processor() -> str:
    return str(_core().get_property("CPU", "FULL_DEVICE_NAME"))


@functools.cache
def has_bf16() -> bool:
    """Whether the processor of this machine has instructions for bf16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


# --- torch ------------------------------------------------------------------------------------------------------------


class TorchRuntime:
    """Networks in torch, channels last: on a GPU, or wherever torch runs. bf16 and fp16 are torch's autocast.

    compiled: whether torch compiles them (`torch.compile`): the first batch takes a minute, the others less time.
    """

    def __init__(self, device: str, precision: Precision, *, compiled: bool = False) -> None:
        self._device = device
        self._precision = precision
        self._compiled = compiled

    def compile(self, network: Network) -> Compiled:
        """See `Runtime`."""
        import torch

        module = network.build().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        run = torch.compile(module, dynamic=True) if self._compiled else module
        return _TorchNetwork(run, network, self._device, self._precision)


class _TorchNetwork:
    def __init__(self, module: Callable[..., Any], network: Network, device: str, precision: Precision) -> None:
        import torch

        self._module = module
        self._network = network
        self._device = torch.device(device)
        self._reduced = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self._mean = torch.tensor(network.mean, device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(network.std, device=self._device).view(1, 3, 1, 1)

    def __call__(self, pixels: Pixels) -> list[Vectors]:
        import torch

        _check(pixels, self._network)
        given = torch.from_numpy(np.ascontiguousarray(pixels))
        if self._device.type == "cuda":
            given = given.pin_memory()
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, dtype=self._reduced, enabled=self._reduced is not None),
        ):
            # Channels last is how pixels lie already: the permuted view is not copied again.
            batch = given.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
            made = self._module(batch.float().sub(self._mean).div_(self._std))
            outputs = made if isinstance(made, tuple) else (made,)
            return [output.float().cpu().numpy() for output in outputs]


def _check(pixels: Pixels, network: Network) -> None:
    height, width = network.size or pixels.shape[1:3]
    n = network.batch or len(pixels)
    if pixels.dtype != network.dtype or pixels.shape != (n, height, width, 3) or not n:
        asked = ", ".join("n" if side is None else str(side) for side in (network.batch, *(network.size or "hw"), 3))
        raise ValueError(f"{network.name} takes ({asked}) {network.dtype}, not {pixels.shape} {pixels.dtype}")


# --- which ------------------------------------------------------------------------------------------------------------


def threads(setting: int) -> int:
    """Threads of this worker's networks: the setting, or with 0 as many as cores are the task's (`spark.task.cpus`), so
    that the workers of a machine share its cores and never compete. Runs on executors; without a task 0 is one."""
    if setting:
        return setting
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.cpus() if context is not None else 1


def device(setting: str) -> str:
    """The device of this task: `cpu` or `cuda:<index>`. Runs on executors, and anywhere else without a task.

    `auto` takes the GPU that Spark gave the task, else the CPU. `cuda` takes the GPU that Spark gave, else the first
    that torch sees.

    Raises:
        DeviceError: Spark gave a GPU that torch cannot use, or `cuda` was asked for and there is none.
        ValueError: another setting.
    """
    if setting not in DEVICES:
        raise ValueError(f"images.device must be one of {', '.join(DEVICES)}, not {setting!r}")
    if setting == "cpu":
        return "cpu"
    given = given_gpu()
    if given is None and setting == "auto":
        return "cpu"
    import torch

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if given is None:
        if not seen:
            raise DeviceError(
                "images.device is cuda, but Spark gave this task no GPU (spark.task.resource.gpu.amount) and torch "
                f"{torch.__version__} sees none on this machine: give executors GPUs, or set images.device=cpu"
            )
        return "cuda:0"
    if given >= seen:
        raise DeviceError(
            f"Spark gave this task GPU {given}, but torch {torch.__version__} sees {seen} on this machine: install a "
            "torch that fits its CUDA driver, or set images.device=cpu"
        )
    return f"cuda:{given}"


# The GPU of the task whose process started this one, if that had one.
_inherited: int | None = None


def inherit_gpu(given: int | None) -> None:
    """Tell this process, which has no task of its own, the GPU that Spark gave its parent's."""
    global _inherited
    _inherited = given


def given_gpu() -> int | None:
    """The number of the GPU that Spark gave this task; None where it gave none, and without a task."""
    from pyspark import TaskContext

    context: Any = TaskContext.get()
    resources = context.resources() if context is not None else {}
    if "gpu" not in resources or not resources["gpu"].addresses:
        return _inherited
    return int(resources["gpu"].addresses[0])
