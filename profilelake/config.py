"""Typed, strict configuration: `conf/pipeline.yaml`, then a call's files and `key=value` arguments; later ones win.

Values and help texts live in the YAML file alone; the models below hold types and what is impossible. Every fault of
a call is reported at once, with its file and line or its argument, before Spark starts.
"""

from __future__ import annotations

import difflib
import os
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from profilelake.errors import ConfigError

# A user and a password before a URI's host.
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*@")
PSEUDONYM_KEY = "PROFILELAKE_PSEUDONYM_KEY"
PSEUDONYM_KEY_BYTES = 16


def masked(text: str) -> str:
    """A text whose URIs hold no user and password any more."""
    return _CREDENTIALS.sub("***@", text)


def conf_dir() -> Path:
    """Folder of the packaged configuration: `conf/` of a checkout, or what the wheel carries."""
    here = Path(__file__).resolve().parent
    packaged = here / "conf"
    return packaged if packaged.is_dir() else here.parent / "conf"


def _network(name: str) -> str:
    # not at the top: a foreign package `udfs` must be told about (cli.guarded) before anything is imported from it
    from udfs.networks import BACKBONES

    if name not in BACKBONES:
        raise ValueError(f"no network is called {name!r}; there are {', '.join(sorted(BACKBONES))}")
    return name


def _instant(text: str) -> str:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no ISO 8601 time, such as 2024-05-01T00:00:00+00:00") from error
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} lacks its offset from UTC, such as +00:00")
    return text


def _source(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+", text):
        raise ValueError(f"{text!r} may hold only a-z, 0-9 and _")
    return text


def _identifier(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", text, re.ASCII):
        raise ValueError(f"{text!r} is no schema name; write schema or catalog.schema")
    return text


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"{text!r} is no sha256 (64 hexadecimal digits in lower case)")
    return text


Network = Annotated[str, AfterValidator(_network)]
Instant = Annotated[str, AfterValidator(_instant)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]

FIELDS = (
    "post_id", "user_id", "posted_at", "source", "relation", "owner_id", "user_name", "followers", "caption",
    "hashtags", "tags", "board", "likes", "comments", "crawled_at", "url", "images", "image_bytes",
)  # fmt: skip

# What Spark takes for a master, and Java for a size of memory.
_MASTER = r"^(local(\[(\*|\d+)(,\s*\d+)?\])?|local-cluster\[.+\]|yarn|(spark|k8s)://.+)$"
_JVM_SIZE = r"^\d+[kKmMgGtT]?[bB]?$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Crawl(_Section):
    path: str | None
    format: Literal["jsonl", "instaloader", "gallery_dl", "table"]
    name: str | None
    source: Annotated[str, AfterValidator(_source)]
    since: Instant | None
    reread: bool
    staging: str | None
    pseudonymise: bool
    max_image_bytes: Positive
    max_image_pixels: Positive
    max_posts_per_file: Positive
    columns: dict[str, str]

    @model_validator(mode="after")
    def _columns_fit_the_format(self) -> Crawl:
        unknown = sorted(set(self.columns) - set(FIELDS))
        if unknown:
            raise ValueError(f"columns: no field is called {unknown[0]!r}; there are {', '.join(FIELDS)}")
        if self.columns and self.format != "table":
            raise ValueError(f"columns: only format=table takes a column map, this crawl is {self.format}")
        if self.format == "table":
            missing = [field for field in ("post_id", "user_id", "posted_at") if field not in self.columns]
            if missing:
                raise ValueError(f"columns: format=table needs a column for {', '.join(missing)}")
        return self

    @property
    def label(self) -> str:
        """What stands before paths in record ids and source_refs."""
        return self.name or (self.path or "").rstrip("/").rsplit("/", 1)[-1]


class LakeConfig(_Section):
    path: str | None
    schema_: Annotated[str, AfterValidator(_identifier)] = Field(alias="schema")
    lock_stale_after: Positive
    heartbeat: Positive

    @model_validator(mode="after")
    def _heartbeats_fit(self) -> LakeConfig:
        if self.lock_stale_after < 2 * self.heartbeat:
            raise ValueError("lock_stale_after: must be at least twice heartbeat, or a live run loses its lake")
        return self


class Quarantine(_Section):
    max_share: Share
    max_attempts: Positive


class Images(_Section):
    embed: Annotated[list[Network], Field(min_length=1)]
    label: list[Network]
    faces: bool
    face_min_score: Share
    face_long_side: Annotated[int, Field(ge=64)]
    device: Literal["auto", "cpu", "cuda"]
    batch_size: Positive
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    torch_compile: bool
    device_decode: bool
    threads: Positive | Literal["auto"]
    decode_margin: Literal[1, 2, "full"]
    compiled_cache: str | None
    chunk: Positive
    picture_timeout: Positive
    weights: dict[Network, str]
    weights_sha256: dict[Network, Annotated[str, AfterValidator(_sha256)]]

    @model_validator(mode="after")
    def _device(self) -> Images:
        if self.device_decode and self.device != "cuda":
            raise ValueError(f"device_decode: true needs images.device=cuda, not {self.device}")
        if self.precision == "fp16" and self.device == "cpu":
            raise ValueError("precision: only a GPU computes in fp16, and images.device is cpu")
        return self

    @model_validator(mode="after")
    def _no_repeats(self) -> Images:
        for key, names in (("embed", self.embed), ("label", self.label)):
            if len(set(names)) != len(names):
                twice = sorted({name for name in names if names.count(name) > 1})
                raise ValueError(f"{key}: names a network twice: {', '.join(twice)}")
        return self


class Clusters(_Section):
    k: Annotated[int, Field(ge=2)] | Literal["auto"]
    k_min: Annotated[int, Field(ge=2)]
    k_max: Annotated[int, Field(ge=2)]
    k_step: Positive
    smoothing: Positive
    decline: Share
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    max_iterations: Positive
    tolerance: Share
    precision: Literal["auto", "fp32", "bf16"]
    seed_sample: Positive
    sweep_sample: Positive
    memory: Positive
    refit: bool
    warm_start: bool
    name_match_limit: Annotated[float, Field(ge=0, le=2)]
    selfie_k: Annotated[int, Field(ge=2)]
    exemplars: Positive

    @model_validator(mode="after")
    def _range(self) -> Clusters:
        if self.k_min > self.k_max:
            raise ValueError(f"k_min: {self.k_min} is above k_max, {self.k_max}")
        if self.smoothing % 2 == 0:
            raise ValueError(f"smoothing: a centred mean needs an odd number, this is {self.smoothing}")
        return self

    @property
    def tried(self) -> list[int]:
        """The k of a fit: one when it is given, else the sweep's."""
        return [self.k] if isinstance(self.k, int) else list(range(self.k_min, self.k_max + 1, self.k_step))


class Naming(_Section):
    categories: str | None
    most: Share
    dominant_face_share: Share
    small_group_faces: Annotated[int, Field(ge=2)]
    large_group_faces: Annotated[int, Field(ge=3)]
    very_long_ratio: Annotated[float, Field(gt=1)]
    min_label_share: Share
    prior: Annotated[float, Field(gt=0)]
    kind_evidence: float
    ambiguity: Share

    @model_validator(mode="after")
    def _groups(self) -> Naming:
        if self.small_group_faces >= self.large_group_faces:
            raise ValueError("small_group_faces: must be below large_group_faces")
        return self


class Judge(_Section):
    pictures: Positive
    seed: int
    good: Share


class Behaviour(_Section):
    attributes: str | None
    types: Annotated[int, Field(ge=2, le=12)]
    type_sample: Positive
    type_iterations: Positive
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    refit_types: bool


class Interests(_Section):
    provider: Literal["lexicon", "babeldomains", "babelnet"]
    lexicon: str | None
    senses: str | None
    lookup: Literal["word", "synset"]
    network: Network | None
    min_pictures: Positive
    min_tags: Positive
    weighting: Literal["none", "label_score"]
    domain_weighting: Literal["none", "log_odds"]
    prior: Annotated[float, Field(gt=0)]


class Selfie(_Section):
    min_occurrences: Annotated[int, Field(ge=0)]
    quarter: Annotated[int, Field(ge=2)]
    few_selfies: Annotated[int, Field(ge=2)]
    few_kinds: Annotated[int, Field(ge=2)]
    folds: Annotated[int, Field(ge=2)]
    min_users: Annotated[int, Field(ge=4)]
    max_users: Annotated[int, Field(ge=4)]
    svm_c: Annotated[float, Field(gt=0)]
    svm_gamma: Literal["scale", "auto"] | Annotated[float, Field(gt=0)]
    search: bool
    shuffles: Annotated[int, Field(ge=0)]
    shuffle_users: Annotated[int, Field(ge=4)]
    exceedances: Positive
    captions: bool
    caption_sample: Positive
    threshold_share: Annotated[float, Field(gt=0, lt=1)]
    vocabulary: Positive
    caption_words: Positive
    lstm_width: Positive
    lstm_epochs: Positive
    doc2vec_width: Positive
    doc2vec_epochs: Positive
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    model_features: dict[Literal["R2", "R3"], Literal["F", "I", "S", "F+I", "F+S", "S+I", "F+S+I"]]

    @model_validator(mode="after")
    def _users(self) -> Selfie:
        if self.max_users < self.min_users:
            raise ValueError(f"max_users: {self.max_users} is below min_users, {self.min_users}")
        return self


class InterestsEvaluation(_Section):
    resamples: Annotated[int, Field(ge=10)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    picture_bins: Annotated[list[Positive], Field(min_length=1)]

    @model_validator(mode="after")
    def _bins_rise(self) -> InterestsEvaluation:
        if self.picture_bins != sorted(set(self.picture_bins)):
            raise ValueError(f"picture_bins: must rise, these don't: {', '.join(map(str, self.picture_bins))}")
        return self


class Mlflow(_Section):
    tracking_uri: str | None
    experiment: Annotated[str, Field(min_length=1)]
    held_out: Share
    min_held_out: Positive


class Report(_Section):
    path: str
    examples: Positive
    users: Positive


class Spark(_Section):
    master: Annotated[str, Field(pattern=_MASTER)]
    driver_memory: Annotated[str, Field(pattern=_JVM_SIZE)]
    local_shuffle_partitions: Positive
    arrow_batch_bytes: Annotated[int, Field(ge=1 << 20)]


class Config(_Section):
    """The whole configuration of a run. Build it with `load`; sections and keys are those of conf/pipeline.yaml."""

    crawl: Crawl
    lake: LakeConfig
    quarantine: Quarantine
    images: Images
    clusters: Clusters
    naming: Naming
    judge: Judge
    behaviour: Behaviour
    interests: Interests
    selfie: Selfie
    interests_evaluation: InterestsEvaluation
    mlflow: Mlflow
    report: Report
    spark: Spark

    @model_validator(mode="after")
    def _pseudonyms_have_a_key(self) -> Config:
        # A key that can be guessed lets anybody who knows a user id find the user's rows.
        if self.crawl.pseudonymise and len(os.environ.get(PSEUDONYM_KEY, "").encode()) < PSEUDONYM_KEY_BYTES:
            raise ValueError(
                f"crawl.pseudonymise: the environment variable {PSEUDONYM_KEY} must hold the key, at least "
                f"{PSEUDONYM_KEY_BYTES} bytes of it"
            )
        return self

    @model_validator(mode="after")
    def _interests_have_labels(self) -> Config:
        network = self.interests.network
        if network is not None and network not in self.images.label:
            named = ", ".join(self.images.label) or "empty"
            raise ValueError(f"interests.network: {network} gives no labels, images.label is {named}")
        return self

    @property
    def interest_network(self) -> str | None:
        """The network whose labels the profiles show; None where none gives labels."""
        return self.interests.network or next(iter(self.images.label), None)

    def to_yaml(self) -> str:
        """The resolved configuration as YAML; secrets are never part of it."""
        shown = self.model_dump(by_alias=True)
        if self.mlflow.tracking_uri is not None:
            shown["mlflow"]["tracking_uri"] = masked(self.mlflow.tracking_uri)
        return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=120)


@dataclass(frozen=True)
class Knob:
    """One key with the value, the help text and the place that a file gives it."""

    key: str
    value: Any
    help: str
    line: int


@dataclass(frozen=True)
class _Given:
    value: Any
    origin: str


def _leaf_types(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            leaves |= _leaf_types(annotation, key + ".")
        else:
            leaves[key] = annotation
    return leaves


LEAVES: Mapping[str, Any] = types.MappingProxyType(_leaf_types(Config))


def knobs(path: Path | None = None) -> list[Knob]:
    """Every key of a configuration file with its help text: the comment lines just above it, or the one behind it."""
    path = path or conf_dir() / "pipeline.yaml"
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    found = []
    for key, given in _read_yaml(path, text).items():
        line = int(given.origin.rsplit(" line ", 1)[1])
        comment: list[str] = []
        for above in reversed(lines[: line - 1]):
            if not above.strip().startswith("#"):
                break
            comment.insert(0, above.strip().lstrip("#").strip())
        found.append(Knob(key, given.value, " ".join(comment), line))
    return found


def _read_yaml(path: Path, text: str) -> dict[str, _Given]:
    """Leaf keys of a YAML file with their lines. Duplicate keys, non-mappings and unknown keys are faults."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: this is no YAML: {getattr(error, 'problem', error)}") from error
    found: dict[str, _Given] = {}
    faults: list[str] = []

    def walk(node: yaml.Node, prefix: str) -> None:
        if not isinstance(node, yaml.MappingNode):
            faults.append(f"{path} line {node.start_mark.line + 1}: {prefix.rstrip('.') or 'the file'} must hold keys")
            return
        for key_node, value_node in node.value:
            key = prefix + str(key_node.value)
            origin = f"{path} line {key_node.start_mark.line + 1}"
            if key in found:
                faults.append(f"{origin}: {key} is given twice, first in {found[key].origin}")
            elif key in LEAVES:
                loader = yaml.SafeLoader("")
                try:
                    found[key] = _Given(loader.construct_document(value_node), origin)
                except yaml.YAMLError as error:
                    faults.append(f"{origin}: this is no YAML: {getattr(error, 'problem', error)}")
                finally:
                    loader.dispose()
            elif any(leaf.startswith(key + ".") for leaf in LEAVES):
                walk(value_node, key + ".")
            else:
                faults.append(f"{origin}: {_unknown(key)}")

    if root is not None:
        walk(root, "")
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def _unknown(key: str) -> str:
    leaf = {known.rsplit(".", 1)[-1]: known for known in LEAVES}
    near = difflib.get_close_matches(key, LEAVES, n=1, cutoff=0.75)
    if not near:
        near = [leaf[name] for name in difflib.get_close_matches(key.rsplit(".", 1)[-1], leaf, n=1, cutoff=0.75)]
    advice = f"did you mean {near[0]}?" if near else "--help lists the keys"
    return f"there is no key {key}; {advice}"


def _takes_text(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _takes_text(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_takes_text(part) for part in get_args(annotation))
    if get_origin(annotation) is Literal:
        return all(isinstance(value, str) for value in get_args(annotation))
    return annotation is str


def _takes_number(annotation: Any) -> bool:
    return any(name in str(annotation) for name in ("int", "float"))


def _takes_null(annotation: Any) -> bool:
    return type(None) in get_args(annotation)


def _read_arguments(arguments: Iterable[str]) -> tuple[dict[str, _Given], list[str]]:
    """What the arguments set, and what is wrong with the others."""
    found: dict[str, _Given] = {}
    faults: list[str] = []
    for argument in arguments:
        key, equals, text = argument.partition("=")
        parent = key.rsplit(".", 1)[0]
        if not equals or not key:
            faults.append(f"argument {argument!r}: settings are written key=value, such as lake.path=data/lake")
        elif key in LEAVES:
            annotation = LEAVES[key]
            if _takes_null(annotation) and text in ("null", ""):
                value: Any = None
            elif _takes_text(annotation) and not _takes_number(annotation):
                value = text
            else:
                try:
                    value = yaml.safe_load(text)
                except yaml.YAMLError:
                    value = text
            found[key] = _Given(value, f"argument {argument!r}")
        elif get_origin(LEAVES.get(parent)) is dict:
            held = found.get(parent, _Given({}, "")).value
            found[parent] = _Given({**held, key.rsplit(".", 1)[1]: text}, f"argument {argument!r}")
        else:
            faults.append(f"argument {argument!r}: {_unknown(key)}")
    return found, faults


def load(files: Sequence[str | Path] = (), arguments: Sequence[str] = ()) -> Config:
    """Resolve a configuration.

    Args:
        files: YAML files that change values of conf/pipeline.yaml, in order.
        arguments: `key=value` texts that change them further, in order.

    Raises:
        ConfigError: a file is missing or no YAML, a key is unknown, a value has a wrong type or an impossible
            combination; the message names each fault's file and line or argument.
    """
    given = dict(_read_file(conf_dir() / "pipeline.yaml"))
    for file in files:
        given |= _read_file(Path(file))
    changed, faults = _read_arguments(arguments)
    for key, value in changed.items():
        held = given[key].value
        merged = {**held, **value.value} if isinstance(value.value, dict) and isinstance(held, dict) else value.value
        given[key] = _Given(merged, value.origin)
    nested: dict[str, Any] = {}
    for key, item in given.items():
        section, leaf = key.split(".", 1)
        nested.setdefault(section, {})[leaf] = item.value
    try:
        resolved = Config.model_validate(nested)
    except ValidationError as error:
        faults += _explained(error, given)
        raise ConfigError("\n".join(faults)) from None
    if faults:
        raise ConfigError("\n".join(faults))
    return resolved


def _read_file(path: Path) -> dict[str, _Given]:
    try:
        return _read_yaml(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"the configuration file {path} cannot be read: {reason}") from error


def _explained(error: ValidationError, given: Mapping[str, _Given]) -> list[str]:
    """A sentence a faulty key; where a key may be one thing or another, what keeps it from being either."""
    said: dict[tuple[str, str], list[str]] = {}
    for fault in error.errors():
        before, message, behind = _explain(fault, given)
        said.setdefault((before, behind), []).append(message)
    return [before + " or ".join(dict.fromkeys(messages)) + behind for (before, behind), messages in said.items()]


def _explain(fault: Any, given: Mapping[str, _Given]) -> tuple[str, str, str]:
    """(what is before the message, the message, what is behind it)."""
    location = [str(part) for part in fault["loc"]]
    message = str(fault["msg"]).removeprefix("Value error, ")
    key = next((".".join(location[:n]) for n in range(len(location), 0, -1) if ".".join(location[:n]) in given), None)
    if key is None:  # a combination: its message begins with the key that it blames
        blamed, _, rest = message.partition(": ")
        key = ".".join([*location, blamed]) if ".".join([*location, blamed]) in given else blamed
        message = rest if key in given else message
    if key not in given:
        return "", message, ""
    item = given[key]
    shown = "" if fault["type"] == "value_error" else f", not {item.value!r}"
    allowed = ""
    annotation = LEAVES[key]
    if get_origin(annotation) is Literal:
        options = [str(option) for option in get_args(annotation)]
        known = item.value in get_args(annotation)
        near = [] if known else difflib.get_close_matches(str(item.value), options, n=1, cutoff=0.75)
        allowed = f"; did you mean {near[0]}?" if near else ""
    message = message.split(" after validation", 1)[0]
    return f"{item.origin}: {key}: ", message, f"{shown}{allowed}"
