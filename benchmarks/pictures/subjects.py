"""What is measured: networks with and without faces, how many pictures each case sees, and the passes' settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from udfs.picture_pass import FaceSettings, PassSpec


@dataclass(frozen=True, slots=True)
class Subject:
    """A pass: its network, whether it looks for faces, and in which precision the network computes."""

    name: str
    network: str
    faces: bool = False
    precision: str = "auto"


RESNET = Subject("resnet50", "resnet50")
RESNET_FP32 = Subject("resnet50 fp32", "resnet50", precision="fp32")
LITE = Subject("lite0", "efficientnet_lite0")
LITE_FACES = Subject("lite0 + faces", "efficientnet_lite0", faces=True)
RESNET_FACES = Subject("resnet50 + faces", "resnet50", faces=True)
SUBJECTS = (RESNET, RESNET_FP32, LITE, LITE_FACES, RESNET_FACES)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many pictures. all: photographs that are made, and what the stage looks at; some: of the other quick cases;
    slow: of the cases that take tens of milliseconds a picture; few: tell a stage's fixed cost; many: for memory.
    part: pictures a Parquet file; every other number but few and many is a multiple of it. rounds: of every case.
    """

    all: int
    some: int
    slow: int
    few: int
    many: int
    part: int
    rounds: int


FULL = Sizes(all=2000, some=1000, slow=200, few=16, many=10_000, part=50, rounds=2)
SMALL = Sizes(all=64, some=64, slow=32, few=8, many=128, part=16, rounds=1)


def random_resnet(folder: Path) -> Path:
    """A state dict of ResNet-50 with torch's seeded random weights: they take as much time as trained ones, and need no
    download."""
    import torch
    from torchvision import models

    path = folder / "resnet50-random.pt"
    if not path.exists():
        torch.manual_seed(0)
        unfinished = path.with_suffix(".unfinished")
        torch.save(models.resnet50(weights=None).state_dict(), unfinished)
        unfinished.rename(path)
    return path


def settings(subject: Subject, resnet: Path) -> list[str]:
    """The subject as `key=value` of the pipeline's configuration; all else is as shipped. resnet: its weights."""
    given = [f"images.weights.resnet50={resnet}"] if subject.network == "resnet50" else []
    return [
        f"images.embed=[{subject.network}]",
        f"images.label=[{subject.network}]",
        f"images.faces={str(subject.faces).lower()}",
        f"images.precision={subject.precision}",
        *given,
    ]


# --- a pass as JSON, for processes that share nothing else ------------------------------------------------------------


def to_json(spec: PassSpec) -> str:
    return json.dumps(asdict(spec))


def from_json(text: str) -> PassSpec:
    given = json.loads(text)
    faces = given.pop("faces")
    return PassSpec(
        faces=None if faces is None else FaceSettings(**faces),
        **{key: _tuples(value) for key, value in given.items()},
    )


def _tuples(value: Any) -> Any:
    """Lists, which JSON makes of tuples, as tuples again."""
    return tuple(map(_tuples, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
