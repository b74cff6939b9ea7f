"""Runtimes against plain torch, kept compiled networks, and which device and how many threads a task has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pyspark import TaskContext
from torch import nn

from udfs import runtime as runtimes
from udfs.compiled_cache import CompiledCache, default_folder
from udfs.malloc import keep_freed_memory
from udfs.runtime import (
    DeviceError,
    Network,
    OpenVinoRuntime,
    Precision,
    Runtime,
    TorchRuntime,
    device,
    runtime,
    threads,
)

MEAN, STD = (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)


class Two(nn.Module):
    """A convolution and its mean: two outputs, of which one keeps the picture's shape."""

    def __init__(self) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        made = torch.relu(self.convolve(pixels))
        return made, made.mean(dim=(2, 3))


torch.manual_seed(0)
WEIGHTS = Two().state_dict()
built: list[str] = []


def build() -> Two:
    built.append("two")
    module = Two()
    module.load_state_dict(WEIGHTS)
    return module.eval()


def network(**changes: object) -> Network:
    return Network(**{"name": "two", "fingerprint": "f", "build": build, "mean": MEAN, "std": STD, **changes})  # type: ignore[arg-type]


def plain(pixels: np.ndarray) -> list[np.ndarray]:
    with torch.no_grad():
        given = (pixels.astype(np.float32) - np.float32(MEAN)) / np.float32(STD)
        return [made.numpy() for made in build()(torch.from_numpy(given).permute(0, 3, 1, 2))]


RUNTIMES: dict[str, Callable[[], Runtime]] = {
    "openvino": lambda: OpenVinoRuntime("fp32", 1, None),
    "torch": lambda: TorchRuntime("cpu", "fp32"),
}


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(
    ("size", "dtype", "n", "batch"),
    [((20, 30), "uint8", 1, None), ((20, 30), "uint8", 5, None), (None, "float32", 2, None), ((9, 9), "uint8", 4, 4)],
)
def test_numbers_are_those_of_plain_torch(
    name: str, size: tuple[int, int] | None, dtype: str, n: int, batch: int | None
) -> None:
    compiled = RUNTIMES[name]().compile(network(size=size, dtype=dtype, batch=batch))
    for height, width in [size] if size else [(17, 23), (40, 11), (17, 23)]:
        rng = np.random.default_rng(height)
        pixels = rng.integers(0, 256, (n, height, width, 3)).astype(dtype)
        first = compiled(pixels)
        kept = [part.copy() for part in first]
        compiled(pixels[::-1].copy())
        for found, same, expected in zip(first, kept, plain(pixels), strict=True):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, atol=1e-5)
            np.testing.assert_array_equal(found, same)  # the next call leaves them alone


@pytest.mark.parametrize("name", RUNTIMES)
def test_wrong_pixels_are_refused(name: str) -> None:
    compiled = RUNTIMES[name]().compile(network(size=(20, 30)))
    good = np.zeros((1, 20, 30, 3), np.uint8)
    for bad in (good[:, :10], good.astype(np.float32), good[0], good[:0]):
        with pytest.raises(ValueError, match=r"two takes \(n, 20, 30, 3\) uint8"):
            compiled(bad)
    with pytest.raises(ValueError, match=r"two takes \(4, h, w, 3\) uint8"):
        RUNTIMES[name]().compile(network(batch=4))(good)


@pytest.mark.skipif(not runtimes.has_bf16(), reason="this processor has no bf16: nothing of it can be tested here")
@pytest.mark.parametrize("make", [lambda: OpenVinoRuntime("bf16", 1, None), lambda: TorchRuntime("cpu", "bf16")])
def test_bf16_is_near(make: Callable[[], Runtime]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 30, 30, 3), dtype=np.uint8)
    found, expected = make().compile(network())(pixels)[1], plain(pixels)[1]
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=0.03, atol=0.01)


def test_a_processor_without_bf16_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "has_bf16", lambda: False)
    with pytest.raises(DeviceError, match=r"images\.precision asks for bf16.*set images\.precision=fp32"):
        runtime("cpu", "bf16", 1, None)
    assert isinstance(runtime("cpu", "fp32", 1, None), OpenVinoRuntime)


def test_a_gpu_is_torchs(tmp_path: Path) -> None:
    assert isinstance(runtime("cuda:1", "bf16", 1, tmp_path), TorchRuntime)


def test_fp16_on_a_processor_is_said() -> None:
    with pytest.raises(DeviceError, match=r"only a GPU computes in: set images\.precision=auto"):
        runtime("cpu", "fp16", 1, None)


def test_fp16_is_near() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 30, 30, 3), dtype=np.uint8)
    found, expected = TorchRuntime("cpu", "fp16").compile(network())(pixels)[1], plain(pixels)[1]
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.003)


def test_torch_compiles_where_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def compiling(module: nn.Module, *, dynamic: bool) -> nn.Module:
        asked.append(dynamic)
        return real(module, dynamic=dynamic, backend="aot_eager")  # without a C++ compiler, which not all machines have

    real = torch.compile
    monkeypatch.setattr(torch, "compile", compiling)
    for n in (4, 1, 3):
        pixels = np.random.default_rng(n).integers(0, 256, (n, 30, 30, 3), dtype=np.uint8)
        compiled = TorchRuntime("cpu", "fp32", compiled=True).compile(network())
        np.testing.assert_allclose(compiled(pixels)[1], plain(pixels)[1], atol=1e-5)
    assert asked == [True] * 3
    TorchRuntime("cpu", "fp32").compile(network())
    assert len(asked) == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here: torch on CUDA is not tested")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 0.05), ("fp16", 0.02)])
def test_a_gpu_gives_the_same_numbers(precision: Precision, tolerance: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 40, 30, 3), dtype=np.uint8)
    found = TorchRuntime("cuda:0", precision).compile(network())(pixels)
    for part, expected in zip(found, plain(pixels), strict=True):
        np.testing.assert_allclose(part, expected, rtol=tolerance, atol=tolerance)


# --- compiled networks on disk ----------------------------------------------------------------------------------------

PIXELS = np.random.default_rng(1).integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)


def through(folder: Path, **changes: object) -> tuple[bool, np.ndarray]:
    """Whether the network had to be built, and what it gives."""
    built.clear()
    made = OpenVinoRuntime("fp32", 1, CompiledCache(folder)).compile(network(**changes))(PIXELS)[1]
    return bool(built), made


def test_a_network_is_compiled_once(tmp_path: Path) -> None:
    first, other = through(tmp_path / "c"), through(tmp_path / "c")
    assert (first[0], other[0]) == (True, False)
    np.testing.assert_array_equal(first[1], other[1])
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o700
    for change in ({"fingerprint": "g"}, {"size": (12, 12)}, {"mean": (0.0, 0.0, 0.0)}, {"batch": 2}):
        assert through(tmp_path / "c", **change)[0]


@pytest.mark.parametrize("damage", [lambda c: c[:-9], lambda c: c[:40] + b"x" + c[41:], lambda c: b"", lambda c: c[:7]])
def test_a_damaged_file_is_made_again(
    tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    _, expected = through(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    again, found = through(tmp_path)
    assert again
    np.testing.assert_array_equal(found, expected)
    assert "its file is damaged" in caplog.text
    assert not through(tmp_path)[0]


def test_bytes_that_the_runtime_does_not_take_are_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = CompiledCache(tmp_path)

    def refuse(content: bytes) -> bytes:
        raise RuntimeError("another version's")

    assert cache.get("key", bytes, lambda: (b"first", b"kept")) == b"first"
    assert cache.get("key", bytes, lambda: (b"", b"")) == b"kept"
    assert cache.get("key", refuse, lambda: (b"second", b"new")) == b"second"
    assert cache.get("key", bytes, lambda: (b"", b"")) == b"new"
    assert "another version's" in caplog.text


def test_a_folder_that_others_may_write_to_is_not_trusted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    through(tmp_path / "c")
    (tmp_path / "c").chmod(0o777)
    assert through(tmp_path / "c")[0]
    assert "another user's, or open to others" in caplog.text


def test_without_a_place_nothing_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    assert through(tmp_path / "file" / "c")[0]
    assert "compiled networks are not kept" in caplog.text


def test_the_users_own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "profilelake" / "compiled"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == tmp_path / "home" / ".cache" / "profilelake" / "compiled"


# --- devices and threads ----------------------------------------------------------------------------------------------


def give(monkeypatch: pytest.MonkeyPatch, addresses: list[str] | None, seen: int) -> None:
    """What Spark gives the task, and how many GPUs torch sees."""
    resources = {} if addresses is None else {"gpu": SimpleNamespace(addresses=addresses)}
    monkeypatch.setattr(TaskContext, "get", partial(lambda made: made, SimpleNamespace(resources=lambda: resources)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)


@pytest.mark.parametrize(
    ("setting", "addresses", "seen", "expected"),
    [
        ("cpu", ["0"], 1, "cpu"),
        ("auto", None, 0, "cpu"),
        ("auto", None, 1, "cpu"),
        ("auto", ["1"], 2, "cuda:1"),
        ("cuda", ["1"], 2, "cuda:1"),
        ("cuda", None, 2, "cuda:0"),
    ],
)
def test_the_device_is_the_one_that_spark_gave(
    monkeypatch: pytest.MonkeyPatch, setting: str, addresses: list[str] | None, seen: int, expected: str
) -> None:
    give(monkeypatch, addresses, seen)
    assert device(setting) == expected


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, None, 0)
    with pytest.raises(DeviceError, match=r"spark\.task\.resource\.gpu\.amount.*images\.device=cpu"):
        device("cuda")
    give(monkeypatch, ["3"], 1)
    with pytest.raises(DeviceError, match=r"gave this task GPU 3, but torch .* sees 1"):
        device("auto")
    with pytest.raises(ValueError, match="auto, cpu, cuda, not 'tpu'"):
        device("tpu")


def test_without_a_task_auto_is_the_cpu() -> None:
    assert runtimes.device("auto") == "cpu"


def test_threads_are_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (threads(0), threads(3)) == (1, 3)
    monkeypatch.setattr(TaskContext, "get", lambda: SimpleNamespace(cpus=lambda: 4))
    assert (threads(0), threads(3)) == (4, 3)


def test_freed_memory_can_be_kept_here() -> None:
    assert keep_freed_memory() == (Path("/lib64").exists() or Path("/lib").exists())
