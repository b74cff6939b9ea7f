"""Where a network's weights are, and that they are the right ones. Hashing needs no torch; loading does."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from udfs.networks import BACKBONES, Backbone

if TYPE_CHECKING:
    import torch

    from udfs.networks.embedding import EmbeddingNet

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20


class WeightsError(Exception):
    """Weights are missing, or not those that were asked for. The message is one sentence: what, where, what to do."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file whose content has been verified. sha256: in hex."""

    path: str
    sha256: str


def sha256_of(path: str | Path) -> str:
    """sha256 of a file in hex; an unchanged file (path, size, time of modification) is hashed once a process.

    Raises:
        OSError: the file cannot be read.
    """
    status = Path(path).stat()
    return _hash(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _hash(path: str, size: int, modified: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def find(name: str, path: str | None = None, sha256: str | None = None) -> WeightsFile:
    """The verified weights of a network: of the configured path, of its package, or of torchvision's download.

    The download is made here when it is not in torch's hub folder yet.

    Args:
        name: one of `BACKBONES`.
        path: `images.weights.<name>`, None where nothing is configured.
        sha256: `images.weights_sha256.<name>`, None where nothing is configured.

    Raises:
        WeightsError: there is no such file, or it hashes to something else.
    """
    backbone = BACKBONES[name]
    if path is not None:
        return verify(path, f"the weights of {name} (images.weights.{name})", sha256)
    if backbone.source == "package":
        found = _in_package(backbone)
    else:
        found = _downloaded(backbone)
    verify(found, f"the weights of {name} that come with {_origin(backbone)}", backbone.sha256)
    return verify(found, f"the weights of {name} that come with {_origin(backbone)}", sha256)


def verify(path: str | Path, what: str, sha256: str | None) -> WeightsFile:
    """Hash a file and compare.

    Args:
        what: how the message calls it.
        sha256: what it must hash to, all of it or its begin; None: anything.

    Raises:
        WeightsError: it cannot be read, or hashes to something else.
    """
    try:
        found = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{what} cannot be read: {path}: {error.strerror or error}") from error
    if sha256 is not None and not found.startswith(sha256.lower()):
        raise WeightsError(f"{what} are not the expected ones: {path} has sha256 {found}, expected {sha256.lower()}")
    return WeightsFile(str(path), found)


def read_state(file: WeightsFile) -> dict[str, torch.Tensor]:
    """The tensors of a verified file, on the CPU. Runs on executors.

    Raises:
        WeightsError: the file holds anything but tensors under names.
    """
    import torch

    try:
        state = torch.load(file.path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler, its archive reader or the system did
        raise WeightsError(f"{file.path} is no file of weights that torch reads: {_first_line(error)}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{file.path} holds no state dict (names and tensors): save model.state_dict() there")
    return dict(state)


def load(name: str, file: WeightsFile) -> EmbeddingNet:
    """A network with its weights, in evaluation mode, float32, on the CPU. Runs on executors.

    Raises:
        WeightsError: the file is no state dict, or one of another network.
    """
    import torch

    state = read_state(file)
    # On the meta device nothing is allocated and no random numbers are drawn, which for VGG costs more than the load.
    with torch.device("meta"):
        network = BACKBONES[name].build()
    try:
        network.load_checkpoint(state)
    except RuntimeError as error:
        raise WeightsError(f"{file.path} does not hold the weights of {name}: {_first_line(error)}") from error
    return network.float().eval()


def _origin(backbone: Backbone) -> str:
    if backbone.source == "package":
        return f"the package {backbone.weights.replace('_', '-')}"
    return f"torchvision ({backbone.weights})"


def _in_package(backbone: Backbone) -> Path:
    spec = importlib.util.find_spec(backbone.weights)
    if spec is None or spec.origin is None:
        raise WeightsError(
            f"there are no weights for {backbone.name}: install {_origin(backbone)}, "
            f"or set images.weights.{backbone.name} to a file"
        )
    found = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(found) != 1:
        raise WeightsError(f"{_origin(backbone)} should hold one file of weights and holds {len(found)}: reinstall it")
    return found[0]


def _downloaded(backbone: Backbone) -> Path:
    from torch import hub
    from torchvision import models

    url = str(models.get_weight(backbone.weights).url)
    kept = Path(hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not kept.exists():
        logger.info("downloading the weights of %s from %s to %s", backbone.name, url, kept)
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            # Into a temporary file that is renamed when its hash is right, so workers may do it at the same time.
            hub.download_url_to_file(url, str(kept), hash_prefix=backbone.sha256, progress=False)
        except (OSError, RuntimeError) as error:
            raise WeightsError(
                f"the weights of {backbone.name} could not be downloaded from {url} to {kept.parent} "
                f"({_first_line(error)}): set images.weights.{backbone.name} to a file"
            ) from error
    return kept


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # torch's message about keys has a header and then the keys, which may be hundreds
    text = " ".join(lines[:3]) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
