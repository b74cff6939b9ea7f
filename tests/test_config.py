from __future__ import annotations

import re
from pathlib import Path

import pytest

from profilelake import cli
from profilelake import config as configuration
from profilelake.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent


def test_every_knob_says_what_it_is_with_unit_and_source() -> None:
    knobs = configuration.knobs()
    assert {knob.key for knob in knobs} == set(configuration.LEAVES)
    for knob in knobs:
        assert re.fullmatch(r"[^\[\]]{10,}\[[^\]]+\] \(.+\)", knob.help), f"line {knob.line}: {knob.key}: {knob.help}"


@pytest.mark.parametrize("file", sorted((ROOT / "conf").glob("demo*.yaml")), ids=lambda path: path.name)
def test_every_settings_file_resolves_and_states_no_default_again(file: Path) -> None:
    resolved = configuration.load([file])
    defaults = {knob.key: knob.value for knob in configuration.knobs()}
    stated = {knob.key: knob.value for knob in configuration.knobs(file)}
    assert stated
    assert {key: value for key, value in stated.items() if defaults[key] == value} == {}
    assert resolved != configuration.load()


def test_later_settings_win(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("clusters: {k: 7, seed: 1}\nlake: {path: here}\n")
    second.write_text("clusters: {k: 8}\n")
    resolved = configuration.load([first, second], ["lake.path=there", "lake.path=everywhere"])
    assert (resolved.clusters.k, resolved.clusters.seed, resolved.lake.path) == (8, 1, "everywhere")
    assert resolved.clusters.tried == [8]


def test_arguments_are_read_as_their_keys_type() -> None:
    resolved = configuration.load(
        arguments=[
            "lake.path=null",
            "crawl.name=12",
            "crawl.path=/crawls/2024=05",
            "images.embed=[resnet50, vgg16]",
            "images.weights.resnet50=/weights/own.pth",
            "images.weights.vgg16=s3://weights/vgg.pth",
            "quarantine.max_share=1",
            "crawl.reread=true",
        ]
    )
    assert resolved.lake.path is None
    assert resolved.crawl.name == "12"
    assert resolved.crawl.path == "/crawls/2024=05"
    assert resolved.images.embed == ["resnet50", "vgg16"]
    assert resolved.images.weights == {"resnet50": "/weights/own.pth", "vgg16": "s3://weights/vgg.pth"}
    assert resolved.quarantine.max_share == 1.0
    assert resolved.crawl.reread is True


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("clusters.kmin=3", "argument 'clusters.kmin=3': there is no key clusters.kmin; did you mean clusters.k_min?"),
        ("ingest.posts=x", "there is no key ingest.posts; --help lists the keys"),
        ("lake_path=x", "there is no key lake_path; did you mean lake.path?"),
        ("gibberish=1", "there is no key gibberish; --help lists the keys"),
        ("--force", "argument '--force': settings are written key=value"),
        ("clusters.k=three", "argument 'clusters.k=three': clusters.k: .*not 'three'"),
        ("clusters.k=1", "clusters.k: .*greater than or equal to 2 or .*auto.*, not 1"),
        ("clusters.k_min=2.5", "clusters.k_min: .*valid integer, not 2.5"),
        ("crawl.reread=yes please", "crawl.reread: .*valid boolean, not 'yes please'"),
        (
            "crawl.format=instaloder",
            "crawl.format: .*'gallery_dl' or 'table', not 'instaloder'; did you mean instaloader",
        ),
        ("crawl.since=2024-05-01", "crawl.since: '2024-05-01' lacks its offset from UTC"),
        ("crawl.since=yesterday", "crawl.since: 'yesterday' is no ISO 8601 time"),
        ("crawl.source=My Site", "crawl.source: 'My Site' may hold only a-z, 0-9 and _"),
        ("crawl.columns={likes: n}", "crawl.columns: only format=table takes a column map, this crawl is jsonl"),
        ("crawl.format=table", "crawl.columns: format=table needs a column for post_id, user_id, posted_at"),
        ("images.embed=[resnet51]", "images.embed: no network is called 'resnet51'; there are alexnet, .*resnet50"),
        ("images.embed=[]", "images.embed: List should have at least 1 item"),
        ("images.label=[vgg16, vgg16]", "images.label: names a network twice"),
        ("images.weights_sha256.vgg16=abc", "images.weights_sha256: 'abc' is no sha256"),
        ("clusters.k_max=5", "clusters.k_min: 10 is above k_max, 5"),
        ("clusters.smoothing=4", "clusters.smoothing: a centred mean needs an odd number, this is 4"),
        ("naming.small_group_faces=7", "naming.small_group_faces: must be below large_group_faces"),
        (
            "interests_evaluation.picture_bins=[50, 10]",
            "interests_evaluation.picture_bins: must rise, these don't: 50, 10",
        ),
        ("interests_evaluation.picture_bins=[0, 10]", "interests_evaluation.picture_bins.*greater than or equal to 1"),
        ("interests_evaluation.resamples=1", "interests_evaluation.resamples: .*greater than or equal to 10, not 1"),
        ("lake.heartbeat=100", "lake.lock_stale_after: must be at least twice heartbeat"),
        ("lake.schema=a.b.c", "lake.schema: 'a.b.c' is no schema name"),
        ("quarantine.max_share=5", "quarantine.max_share: .*less than or equal to 1, not 5"),
        (
            "crawl.pseudonymise=true",
            "crawl.pseudonymise: the environment variable PROFILELAKE_PSEUDONYM_KEY must hold the key, at least 16",
        ),
    ],
)
def test_a_wrong_argument_is_named(argument: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(configuration.PSEUDONYM_KEY, "fifteen letters")
    with pytest.raises(ConfigError, match=message) as raised:
        configuration.load(arguments=[argument])
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "clusters:\n  k: 5\n  seeed: 1\n",
            "faulty.yaml line 3: there is no key clusters.seeed; did you mean clusters.seed",
        ),
        ("clusters:\n  k: 5\n  k: 6\n", "faulty.yaml line 3: clusters.k is given twice, first in .*line 2"),
        ("clusters:\n  k: '5'\n", "faulty.yaml line 2: clusters.k: .*not '5'"),
        ("- a\n- b\n", "faulty.yaml line 1: the file must hold keys"),
        ("clusters: 5\n", "faulty.yaml line 1: clusters must hold keys"),
        ("clusters: [\n", "faulty.yaml line 2: this is no YAML"),
        ("lake: !!python/object/apply:os.system [true]\n", "faulty.yaml line 1: lake must hold keys"),
        ("lake:\n  path: !!python/name:os.system\n", "faulty.yaml line 2: this is no YAML|could not determine"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "faulty.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        configuration.load([file])


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "faulty.yaml"
    file.write_text("clusters:\n  k: many\nreport:\n  users: 0\n")
    with pytest.raises(ConfigError) as raised:
        configuration.load([file], ["quarantine.max_share=2"])
    told = str(raised.value).splitlines()
    assert any("clusters.k" in line and "line 2" in line for line in told)
    assert any("report.users" in line and "line 4" in line for line in told)
    assert any("quarantine.max_share" in line and "argument" in line for line in told)


@pytest.mark.parametrize(("name", "content"), [("absent.yaml", None), ("binary.yaml", b"\xff\xfe\x00")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=f"the configuration file .*{name} cannot be read"):
        configuration.load([tmp_path / name])


def test_secrets_are_not_part_of_what_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(configuration.PSEUDONYM_KEY, "this is very secret")
    assert "very secret" not in configuration.load(arguments=["crawl.pseudonymise=true"]).to_yaml()


def test_help_lists_every_key_with_its_default() -> None:
    text = cli.keys_help()
    for knob in configuration.knobs():
        assert f"  {knob.key}=" in text
    assert "clusters.k_max=100" in text
    assert "[clusters] (paper 1, 4.1)" in text


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["clusters.k=banana"], [r"argument 'clusters.k=banana': clusters.k: .*integer.* or .*'auto', not 'banana'"]),
        (["clusters.k=-3", "nonsense=1"], [r"argument 'nonsense=1': there is no key nonsense", r".*clusters.k.*-3"]),
        (["=5"], [r"argument '=5': settings are written key=value, such as lake.path=data/lake"]),
        (["images.embed=[]"], [r".*images.embed: List should have at least 1 item, not \[\]"]),
        (["images.device=gpu"], [r".*images.device: Input should be 'auto', 'cpu' or 'cuda', not 'gpu'"]),
        (["images.embed=[vgg16, vgg19, vgg16]"], [r".*images.embed: names a network twice: vgg16"]),
        (["images.decode_margin=3"], [r".*images.decode_margin: Input should be 1, 2 or 'full', not 3"]),
        (["images.device_decode=true"], [r".*images.device_decode: true needs images.device=cuda, not auto$"]),
        (
            ["images.precision=fp16", "images.device=cpu"],
            [r".*images.precision: only a GPU computes in fp16, and images.device is cpu$"],
        ),
        (["spark.master=banana"], [r".*spark.master: .*, not 'banana'"]),
        (["spark.driver_memory=lots"], [r".*spark.driver_memory: .*, not 'lots'"]),
    ],
)
def test_each_fault_is_one_line(arguments: list[str], lines: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration.load(arguments=arguments)
    told = str(caught.value).split("\n")
    assert len(told) == len(lines)
    for found, expected in zip(told, lines, strict=True):
        assert re.fullmatch(expected, found) or re.match(expected, found), found


@pytest.mark.parametrize("master", ["local", "local[*]", "local[2]", "local[2, 3]", "local-cluster[2,1,1500]", "yarn"])
def test_masters_that_spark_knows(master: str) -> None:
    assert configuration.load(arguments=[f"spark.master={master}"]).spark.master == master


def test_the_decode_margin_is_a_number_or_full() -> None:
    assert configuration.load(arguments=["images.decode_margin=2"]).images.decode_margin == 2
    assert configuration.load(arguments=["images.decode_margin=full"]).images.decode_margin == "full"
    assert configuration.load(arguments=["images.threads=3"]).images.threads == 3
    assert configuration.load().images.threads == "auto"
