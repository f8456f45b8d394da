"""What a request touches: the interactions themselves, those that quote them, and all that was made of them."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.dataset import Dataset
from continuum.erasing.words import Runs, texts_of
from continuum.errors import ConfigurationError, StoreError
from continuum.records import Checkpoint, DatasetRecord, Interaction

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.touched import Place

PAGE = 500
UNKNOWN = "ids under which nothing is stored"
JSON_STRING = re.compile(r'"([^"\\]+)"')


@dataclass(frozen=True)
class Request:
    """Who or what is to be forgotten."""

    user: str | None = None
    """The application's own id of a user, or the hash that stands for it in the store."""
    interactions: tuple[str, ...] = ()
    """Ids of ours, or of providers' responses."""
    task: str | None = None
    """Only of this task."""
    block: bool = False
    """Refuse what the user says from now on too."""

    def __post_init__(self) -> None:
        if (self.user is None) == (not self.interactions):
            raise ConfigurationError("name a user or interactions to forget, and not both: --user ID, or --interaction ID")
        if not all(name.strip() for name in ((self.user,) if self.user is not None else self.interactions)):
            raise ConfigurationError("an id to forget is empty; see whether the variable that should hold it is set")
        if self.block and self.user is None:
            raise ConfigurationError("only a user can be blocked: --block goes with --user")

    @property
    def subject(self) -> str:
        """What it is about, as one text; hashed before it is kept."""
        about = self.user if self.user is not None else "\0".join(sorted(set(self.interactions)))
        return f"{'user' if self.user is not None else 'interactions'}\0{self.task or ''}\0{about}"

    def users(self) -> list[str]:
        """The forms in which the user's id may stand in the store."""
        from continuum.spool.users import hashed_user, user_key

        return [] if self.user is None else [self.user, hashed_user(self.user, user_key())]


@dataclass
class Found:
    """What a request touches."""

    ids: dict[str, str] = field(default_factory=dict)
    """Interaction to task."""
    provided: list[str] = field(default_factory=list)
    """Ids that providers gave to their answers."""
    quoting: int = 0
    """How many of the interactions quote what is forgotten, and are somebody else's."""
    rewritten: int = 0
    """How many of them were answered anew by the user, and stand in a dataset version with that answer."""
    opinions: list[str] = field(default_factory=list)
    """Ids of what the user said of any interaction."""
    spoken_of: list[str] = field(default_factory=list)
    """Tasks of the interactions that these are about."""
    users: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """Hashes of the texts that embedders were given, in hex, by embedder: see `index_keys`."""
    runs: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def tasks(self) -> list[str]:
        """The tasks that are touched."""
        return sorted({*self.ids.values(), *self.spoken_of})


def find(store: "Store", request: Request, *, before: datetime, key: str) -> Found:
    """Look for everything in the store that a request touches.

    Args:
        store: where.
        request: who or what is to be forgotten.
        before: the user's interactions that began later are not looked for, unless the user is blocked.
        key: of the hashes of words.

    Raises:
        ConfigurationError: there is no such task.
    """
    from continuum.store import touched

    if request.task is not None:
        store.tasks.get(request.task)
    users, limit = request.users(), None if request.block else before
    if users:
        places = touched.interactions_of(store.engine, users, task=request.task, before=limit)
    else:
        places = touched.interactions_named(store.engine, request.interactions, task=request.task)
        places += touched.members_named(store.engine, request.interactions, task=request.task)
    said = touched.opinions_of(store.engine, users, before=limit) if users else []
    about = _tasks_of(store, {of for _, of, _ in said})
    if request.task is not None:
        said = [one for one in said if about.get(one[1]) == request.task]
    rewritten = _rewritten(store, said)
    own = {one.id: one for one in [*places, *rewritten]}
    quoting = _quoting(store, own)
    everything = {**own, **quoting}
    runs, texts = Runs(key), set[str]()
    records = {}
    for ids in _pages(sorted(everything)):
        records = store.interactions.get_many(ids)
        for one in records.values():
            runs.add(texts_of(one))
            texts |= embedded_texts(one)
        for opinions in store.feedback.of(records.values()).values():
            runs.add(text for opinion in opinions for text in (opinion.comment, opinion.correction) if text)
            texts.update(embedded_answers(opinion.correction for opinion in opinions if opinion.correction))
    opinions = sorted(one for one, _, _ in said)
    # What the user said of others' answers is the user's too.
    for comment, correction in touched.words_of(store.engine, opinions):
        runs.add(text for text in (comment, correction) if text)
        texts.update(embedded_answers([correction] if correction else []))
    spoken_of = sorted({task for _, of, _ in said if (task := about.get(of)) is not None})
    _leave_to_others(store, runs, everything, spoken_of, opinions)
    provided = sorted({one.provider_response_id for one in everything.values() if one.provider_response_id})
    unknown = {*request.interactions} - {*everything, *provided}
    counts = touched.counts(store.engine, set(everything), provided, opinions)
    return Found(
        ids={one.id: one.task for one in everything.values()},
        provided=provided,
        quoting=len(quoting),
        rewritten=len({one.id for one in rewritten} - {one.id for one in places}),
        opinions=opinions,
        spoken_of=spoken_of,
        users=users,
        keys=index_keys(texts),
        runs=sorted(runs.hashes),
        counts=counts | ({UNKNOWN: len(unknown)} if unknown else {}),
    )


def _tasks_of(store: "Store", names: Collection[str]) -> dict[str, str]:
    """The tasks of interactions, by what feedback calls them: their id, or the provider's."""
    places = _named(store, names)
    return {name: one.task for one in places for name in (one.provider_response_id, one.id) if name}


def _named(store: "Store", names: Iterable[str]) -> "list[Place]":
    from continuum.store import touched

    return touched.interactions_named(store.engine, set(names))


def _rewritten(store: "Store", said: Collection[tuple[str, str, bool]]) -> "list[Place]":
    """The interactions whose answer the user wrote anew, where a dataset version has it: its rows hold the user's words."""
    from continuum.store import touched

    places = _named(store, (of for _, of, rewrote in said if rewrote))
    members = {one for ids in touched.members_among(store.engine, [one.id for one in places]).values() for one in ids}
    return [one for one in places if one.id in members]


def _quoting(store: "Store", own: "dict[str, Place]") -> "dict[str, Place]":
    """Later turns of the same conversations and calls inside of others, which hold the same words in their context."""
    from continuum.store import touched

    near = touched.neighbours_of(store.engine, own.values())
    if not near:
        return {}
    spoken = set[str]()
    for ids in _pages(sorted(own)):
        for one in store.interactions.get_many(ids).values():
            spoken |= {text for text in _turn(one) if text}
    found, places = {}, {one.id: one for one in near}
    for ids in _pages(list(places)):
        for one in store.interactions.get_many(ids).values():
            if any(message.text in spoken or message.action in spoken for message in one.messages if message.role != "system"):
                found[one.id] = places[one.id]
    return found


def _turn(interaction: Interaction) -> list[str]:
    """What was new in an interaction: the last message of the user, and the answer."""
    asked = next((message.text for message in reversed(interaction.messages) if message.role == "user"), "")
    answer = interaction.response
    return [asked, *([answer.text, answer.action] if answer is not None else [])]


def _leave_to_others(
    store: "Store", runs: Runs, gone: "dict[str, Place]", tasks: Collection[str], opinions: Collection[str]
) -> None:
    """What others said in the same words, as users or of answers, is theirs, and stays."""
    from continuum.store import touched

    if not runs.hashes:
        return
    for words in touched.words_of_others(store.engine, gone, opinions):
        runs.discard(text for text in words if text)
    for task in sorted({*tasks, *(one.task for one in gone.values())}):
        for interaction in store.interactions.scan(task, status=None):
            if interaction.id not in gone:
                runs.discard(texts_of(interaction))


def _pages(ids: Collection[str]) -> Iterable[list[str]]:
    ordered = list(ids)
    return (ordered[start : start + PAGE] for start in range(0, len(ordered), PAGE))


# --- indexes ----------------------------------------------------------------------------------------------------------


def embedded_texts(interaction: Interaction) -> set[str]:
    """The texts of an interaction that some stage embeds, each in the form in which it does."""
    from continuum.judging.proxy_features import answer_text, question_text
    from continuum.similarity.normalise import canonical, prompt_tail

    messages, response = interaction.messages, interaction.response
    texts = {prompt_tail(messages), question_text(messages)}
    texts |= {form for message in messages for form in (message.text, canonical(message.text), canonical(message.action))}
    if response is not None:
        texts |= {answer_text(response), canonical(response.action), canonical(response.text), response.text}
        texts.add(prompt_tail((*messages, response)))
    return {text for text in texts if text}


def embedded_answers(corrections: Iterable[str]) -> set[str]:
    """The same of answers that people wrote."""
    from continuum.similarity.normalise import canonical

    return {form for text in corrections for form in (text, canonical(text))}


def index_keys(texts: Collection[str]) -> list[str]:
    """By what the index of the process's embedder knows these texts, in hex."""
    from continuum.config import load_settings
    from continuum.embedding.cache import cached_embedder

    return sorted(one.hex() for one in cached_embedder(load_settings()).keys(texts))


# --- versions and models ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """What a training set has of erased interactions."""

    record: DatasetRecord
    taught: bool
    """A row that a model learns from, or is measured on."""
    named: bool
    """An id beside the rows: of a duplicate, or of what was removed."""


def held_in(store: "Store", tasks: Iterable[str], ids: Collection[str]) -> tuple[list[Held], list[str]]:
    """The training sets of tasks that hold one of these interactions, and what could not be read of them, in words."""
    gone, held, troubles = set(ids), [], []
    for task in tasks:
        for record in store.datasets.versions(task):
            if record.kind != "training":
                continue
            try:
                dataset = Dataset.read(record.uri)
            except StoreError as error:
                troubles.append(f"{record.name}: {error}")
                continue
            taught, named = _taught(dataset) & gone, _beside(dataset) & gone
            if taught or named:
                held.append(Held(record, bool(taught), bool(named)))
    return held, troubles


def _taught(dataset: Dataset) -> set[str]:
    drawn = dataset.control or ()
    rated: list[Any] = [*dataset.preferences, *dataset.rated_answers]
    ids = {one.interaction_id for one in (*dataset, *drawn, *rated)}
    return ids | {one.rejected_id for one in dataset.preferences}


def _beside(dataset: Dataset) -> set[str]:
    drawn = dataset.control or ()
    beside = {name for one in (*dataset, *drawn) for name in (*one.duplicates, one.group)}
    beside |= {name for one in (*dataset.preferences, *dataset.rated_answers) for name in (one.group,)}
    return beside | {name for one in dataset.removed for name in (one.interaction_id, one.kept_id) if name}


def models_of(
    store: "Store", tasks: Iterable[str], taught: Collection[str], ids: Collection[str]
) -> list[tuple[Checkpoint, str]]:
    """The checkpoints that learned from erased interactions, oldest first, each with why; those of earlier erasures left out.

    Args:
        store: where they are.
        tasks: whose.
        taught: ids of the dataset versions, and of their controls, that taught one.
        ids: of the interactions.
    """
    gone, found = set(ids), []
    for task in tasks:
        reached: set[str] = set()
        known = store.erasures.out_of_service(task)
        for model in store.checkpoints.of(task):
            if model.id in known:
                reached.add(model.id)
                continue
            if model.dataset_id in taught:
                why = "it was trained on what was erased"
            elif model.parent_id in reached:
                why = "the model that it was continued from was trained on what was erased"
            elif _names_one(model, gone):
                why = "its files name what was erased"
            else:
                continue
            reached.add(model.id)
            found.append((model, why))
    return found


def _names_one(model: Checkpoint, ids: set[str]) -> bool:
    """Whether an adapter's own files name one of the interactions: what it replays, and what it was measured on."""
    from continuum.artifacts.copies import local

    try:
        folder = local(model.uri)
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("*.json*") if path.is_file()]
    except (StoreError, OSError):
        return False
    return any(not ids.isdisjoint(JSON_STRING.findall(text)) for text in texts)
