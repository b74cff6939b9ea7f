"""Daft over the same Parquet files and networks. One query a process, beside the checkout's environment."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import daft
from daft import DataType

from benchmarks.pictures.networks import our_network, torch_transform
from benchmarks.pictures.subjects import from_json
from udfs import weights
from udfs.networks import BACKBONES
from udfs.picture_pass import PassSpec


class TorchEmbedder:
    """A network as Daft's guides write it: decoded pictures in, torch as it comes (float32, eager)."""

    def __init__(self, name: str, path: str | None) -> None:
        self._network = weights.load(name, weights.find(name, path)).trunk
        self._transform = torch_transform(name)

    def embed(self, images: daft.Series) -> Any:
        import torch
        from PIL import Image

        pixels = torch.stack([self._transform(Image.fromarray(image)) for image in images.to_pylist()])
        with torch.inference_mode():
            return self._network(pixels).numpy()


class OurEmbedder:
    """Our decode and runtime inside a Daft class: encoded pictures in."""

    def __init__(self, spec: PassSpec) -> None:
        self._embed = our_network(spec)

    def embed(self, contents: daft.Series) -> Any:
        return self._embed(contents.to_pylist())


def _query(given: Mapping[str, Any]) -> daft.DataFrame:
    name = given["network"]
    kind = DataType.fixed_size_list(DataType.float32(), BACKBONES[name].width)
    batched = daft.method.batch(return_dtype=kind, batch_size=16)
    pictures = daft.read_parquet(given["parquet"]).select("image_id", "content")
    if given["ours"]:
        # A process a core with one thread each, as our workers are.
        held = daft.cls(_with(OurEmbedder, batched), max_concurrency=given["processes"], use_process=True)
        embed, column = held(from_json(given["spec"])).embed, pictures["content"]
    else:
        # One network, which torch runs on all cores.
        held = daft.cls(_with(TorchEmbedder, batched), max_concurrency=1, use_process=False)
        embed, column = held(name, given["weights"]).embed, pictures["content"].decode_image(mode="RGB")
    return pictures.select("image_id", embed(column).alias("embedding"))


def _with(embedder: Any, batched: Callable[[Any], Any]) -> type:
    """The class with a batch method as Daft decorates it."""
    return type(embedder.__name__, (embedder,), {"embed": batched(embedder.embed)})


def run(given: Mapping[str, Any]) -> dict[str, float]:
    """One query from Parquet files to vectors in memory. given: ours, network, weights, spec, parquet, processes."""
    # Imported here and not by one of Daft's threads, where torch crashes at times.
    import torchvision  # noqa: F401

    began = time.perf_counter()
    rows = _query(given).collect().count_rows()
    return {"seconds": time.perf_counter() - began, "rows": rows}


if __name__ == "__main__":
    request, answer = sys.argv[1:]
    Path(answer).write_text(json.dumps(run(json.loads(request))), encoding="utf-8")
    # Daft's threads crash an interpreter that shuts down while they live.
    os._exit(0)
