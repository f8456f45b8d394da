"""A proxy judge as a folder: its numbers as safetensors, the rest as JSON, and a manifest that is written last."""

import json
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from continuum.embedding.embedder import MINILM_PACKAGE, Embedder, HashedEmbedder, open_embedder
from continuum.errors import ConfigurationError, MissingExtra, StoreError
from continuum.judging.proxy import Noise, ProxyJudge, arrays_of
from continuum.judging.proxy_evidence import ProxyEvidence
from continuum.judging.proxy_features import FEATURE_VERSION
from continuum.judging.ridge import DESIGN_ARRAYS, KINDS, RIDGE_ARRAYS, Design, Ridge
from continuum.provenance.artifacts import verify_artifact, write_manifest

NUMBERS = "proxy.safetensors"
ABOUT = "proxy.json"
FITTED = TypeAdapter(ProxyEvidence)


def save_proxy(judge: ProxyJudge, folder: Path) -> None:
    """Write a proxy; the folder appears whole.

    Raises:
        MissingExtra: safetensors is not installed.
    """
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise MissingExtra.of(error, "Saving a proxy judge") from error
    unfinished = folder.with_name(folder.name + ".part")
    unfinished.mkdir(parents=True)
    save_file(arrays_of(judge.ridge, judge.noise), unfinished / NUMBERS)
    about = {"features": FEATURE_VERSION, "version": judge.version, "evidence": FITTED.dump_python(judge.evidence, mode="json")}
    (unfinished / ABOUT).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    # The safetensors library writes for its owner alone; whoever judges may be somebody else.
    (unfinished / NUMBERS).chmod((unfinished / ABOUT).stat().st_mode)
    write_manifest(unfinished)
    unfinished.replace(folder)


def load_proxy(folder: Path, embedder: Embedder | None) -> ProxyJudge:
    """Read a proxy.

    Raises:
        StoreError: the files are not as they were written.
        ConfigurationError: it was fitted with another version of the features, or with an embedder that is not there.
        MissingExtra: safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingExtra.of(error, "Loading a proxy judge") from error
    verify_artifact(folder)
    broken = StoreError(f"{folder} holds no proxy judge that can be read; fit it again")
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        features, version, evidence = about["features"], about["version"], FITTED.validate_python(about["evidence"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise broken from error
    if features != FEATURE_VERSION:
        raise ConfigurationError(
            f"the proxy judge in {folder} was fitted to features of version {features}, this package counts those of version "
            f"{FEATURE_VERSION}; fit it again"
        )
    try:
        numbers = {name: values.astype(np.float64) for name, values in load_file(folder / NUMBERS).items()}
        design = Design(
            kind=evidence.kind,
            embedding_scale=float(numbers["embedding_scale"][0]),
            **{name: numbers[name] for name in DESIGN_ARRAYS},
        )
        ridge = Ridge(design=design, penalty=evidence.penalty, **{name: numbers[name] for name in RIDGE_ARRAYS})
        noise = Noise(numbers["noise_at"], numbers["noise_variance"])
    except (OSError, KeyError, IndexError, SafetensorError) as error:
        raise broken from error
    judge = ProxyJudge(evidence.task, embedder or _embedder_of(evidence.embedder), ridge, noise, evidence)
    if evidence.kind not in KINDS or judge.embedder.id != evidence.embedder or judge.version != version:
        raise ConfigurationError(
            f"the proxy judge in {folder} was fitted with the embedder {evidence.embedder!r} and is version {version}; with "
            f"{judge.embedder.id!r} it would be version {judge.version}; give the embedder it was fitted with, or fit it again"
        )
    return judge


def _embedder_of(name: str) -> Embedder:
    kind, _, rest = name.partition("-")
    if kind == "hashed":
        dimensions, _, seed = rest.partition("-")
        if dimensions.isdecimal() and seed.isdecimal():
            return HashedEmbedder(int(dimensions), int(seed))
    if kind == "sentence":
        found = open_embedder("minilm")
        if found.id == name:
            return found
    raise ConfigurationError(
        f"the proxy judge was fitted with the embedder {name!r}, which is neither the hashed one nor that of {MINILM_PACKAGE}; "
        "give embedder="
    )
