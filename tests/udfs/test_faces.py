"""Faces against facenet-pytorch's own cascade on the same reduced picture."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import skimage.data
import torch
from facenet_pytorch import MTCNN
from PIL import Image
from sklearn.datasets import load_sample_images

from udfs import faces
from udfs.faces import Face, FaceDetector, FaceSettings, detector_sha256, largest_face_share, reduced
from udfs.runtime import OpenVinoRuntime, Runtime, TorchRuntime
from udfs.weights import WeightsError

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def group() -> Image.Image:
    """Three real faces of three sizes on a street."""
    scene = Image.fromarray(load_sample_images().images[0])
    face = Image.fromarray(skimage.data.astronaut()[0:220, 130:310])
    for side, place in ((200, (20, 60)), (130, (270, 120)), (90, (480, 200))):
        scene.paste(face.resize((side * 9 // 11, side)), place)
    return scene


PICTURES = {
    "astronaut": Image.fromarray(skimage.data.astronaut()),
    "hopper": Image.open(HOPPER).convert("RGB"),
    "group": group(),
    "cat": Image.fromarray(skimage.data.chelsea()),
    "coffee": Image.fromarray(skimage.data.coffee()),
    "flower": Image.fromarray(load_sample_images().images[1]),
}
FACES = {"astronaut": 1, "hopper": 1, "group": 3, "cat": 0, "coffee": 0, "flower": 0}


CPU = OpenVinoRuntime("fp32", 1, None)


def found_in(detector: FaceDetector, *images: Image.Image, long_side: int = 320) -> list[list[Face]]:
    return detector.detect([reduced(image, long_side) for image in images])


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(FaceSettings(), CPU)


@pytest.fixture(scope="module")
def published() -> dict[str, tuple[list[list[float]], list[float], tuple[int, int]]]:
    """Boxes, scores and size of what facenet-pytorch's own cascade looks at, one picture at a time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    mtcnn = MTCNN(min_face_size=20, keep_all=True)
    seen = {}
    for name, image in PICTURES.items():
        small = Image.fromarray(reduced(image, 320))
        boxes, scores = mtcnn.detect(small)
        seen[name] = ([], [], small.size) if boxes is None else (boxes.tolist(), scores.tolist(), small.size)
    torch.set_num_threads(before)
    return seen


@pytest.mark.model
@pytest.mark.parametrize("runtime", [CPU, TorchRuntime("cpu", "fp32")], ids=["openvino", "torch"])
def test_boxes_are_those_of_facenet_pytorch(runtime: Runtime, published: dict[str, Any]) -> None:
    every = found_in(FaceDetector(FaceSettings(min_score=0.0), runtime), *PICTURES.values())
    for found, (boxes, scores, (width, height)) in zip(every, published.values(), strict=True):
        clipped = np.clip(np.reshape(boxes, (-1, 4)) / [width, height, width, height], 0, 1)
        expected = sorted(zip(clipped.tolist(), scores, strict=True))
        ours = sorted(([f.x, f.y, f.x + f.width, f.y + f.height], f.score) for f in found)
        assert len(ours) == len(expected)
        for (box, score), (expected_box, expected_score) in zip(ours, expected, strict=True):
            assert box == pytest.approx(expected_box, abs=1e-4)
            assert score == pytest.approx(expected_score, abs=1e-4)
    assert [len(boxes) for boxes, _, _ in published.values()] == list(FACES.values())


@pytest.mark.model
def test_a_pictures_faces_do_not_depend_on_its_company(detector: FaceDetector) -> None:
    together = found_in(detector, *PICTURES.values())
    alone = [found_in(detector, image)[0] for image in PICTURES.values()]
    for one, other in zip(together, alone, strict=True):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert dataclasses.astuple(a) == pytest.approx(dataclasses.astuple(b), abs=1e-5)
    assert detector.detect([]) == []


@pytest.mark.model
def test_many_candidates_are_more_than_one_batch(detector: FaceDetector) -> None:
    crowd = Image.new("RGB", (320, 320), (120, 140, 160))
    face = PICTURES["astronaut"].crop((160, 40, 290, 210)).resize((30, 39))
    for at in range(64):
        crowd.paste(face, (at % 8 * 40 + 4, at // 8 * 40))
    assert len(found_in(detector, crowd)[0]) > 32


@pytest.mark.model
@pytest.mark.parametrize("picture", PICTURES)
def test_people_are_counted(picture: str, detector: FaceDetector) -> None:
    (found,) = found_in(detector, PICTURES[picture])
    assert len(found) == FACES[picture]
    areas = [face.width * face.height for face in found]
    assert areas == sorted(areas, reverse=True)
    assert largest_face_share(found) == (areas[0] if areas else 0.0)
    for face in found:
        assert face.score >= 0.95
        assert 0 <= face.x <= face.x + face.width <= 1
        assert 0 <= face.y <= face.y + face.height <= 1


@pytest.mark.model
def test_the_box_is_where_the_face_is(detector: FaceDetector) -> None:
    ((face,),) = found_in(detector, PICTURES["astronaut"])
    # The astronaut's face, read off the picture: about 175-275 of 512 across, 60-190 down.
    assert (face.x * 512, face.y * 512) == (pytest.approx(175, abs=20), pytest.approx(65, abs=20))
    assert (face.width * 512, face.height * 512) == (pytest.approx(97, abs=20), pytest.approx(128, abs=25))


@pytest.mark.model
def test_fractions_do_not_depend_on_the_pictures_size(detector: FaceDetector) -> None:
    larger = PICTURES["astronaut"].resize((1500, 1500), Image.Resampling.LANCZOS)
    (small,), (large,) = found_in(detector, PICTURES["astronaut"], larger)
    assert (large.x, large.y, large.width, large.height) == pytest.approx(
        (small.x, small.y, small.width, small.height), abs=0.02
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (5, 2000), (2000, 5), (11, 11), (12, 12), (20, 20), (21, 300)])
def test_pictures_too_small_for_the_pyramid_have_no_faces(size: tuple[int, int], detector: FaceDetector) -> None:
    assert found_in(detector, PICTURES["cat"].resize(size)) == [[]]


def test_noise_and_flat_pictures_never_raise(detector: FaceDetector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    for pixels in (noise, np.zeros((64, 64, 3), np.uint8), np.full((50, 320, 3), 255, np.uint8)):
        assert isinstance(detector.detect([pixels])[0], list)


@pytest.mark.model
def test_a_face_at_the_edge_is_clipped_to_the_picture() -> None:
    half = PICTURES["astronaut"].crop((215, 0, 512, 400))
    (found,) = found_in(FaceDetector(FaceSettings(min_score=0.5), CPU), half)
    assert found
    for face in found:
        assert face.x >= 0
        assert face.x + face.width <= 1


def test_share_of_no_faces_is_0() -> None:
    assert largest_face_share([]) == 0.0
    assert largest_face_share([Face(0, 0, 0.5, 0.4, 1.0), Face(0, 0, 0.1, 0.1, 1.0)]) == pytest.approx(0.2)


def test_the_hash_is_of_weights_and_settings() -> None:
    base = detector_sha256(FaceSettings(), "fullsize")
    assert base == detector_sha256(FaceSettings(), "fullsize")
    assert len(base) == 64
    others = [FaceSettings(min_score=0.9), FaceSettings(long_side=400), FaceSettings(min_face=24)]
    found = {detector_sha256(one, "fullsize") for one in others}
    assert len({base, detector_sha256(FaceSettings(), "minside320"), *found}) == 5


def test_a_missing_detector_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"install facenet-pytorch, or set images\.faces=false"):
        detector_sha256(FaceSettings(), "fullsize")


def test_changed_weights_of_the_detector_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "_SHA256", {"pnet": "0" * 64})
    with pytest.raises(WeightsError, match=r"pnet that come with facenet-pytorch.*expected 000"):
        FaceDetector(FaceSettings(), CPU)


@pytest.mark.parametrize("settings", [{"min_score": 1.5}, {"long_side": 5}, {"min_face": 3}])
def test_impossible_settings(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        FaceSettings(**settings)
