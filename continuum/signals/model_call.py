"""One request to a model inside a captured call."""

from typing import TYPE_CHECKING, Any

from continuum.spool.cleaning import Snapshot
from continuum.spool.forms import Answer, StreamedAnswer
from continuum.spool.responses import StreamedResponse

if TYPE_CHECKING:
    from continuum.signals.recording import Recording


class ModelCall:
    """What was asked, and what has come of the answer."""

    def __init__(self, recording: "Recording", model: str | None, base_url: str | None) -> None:
        self.recording = recording
        self.model = model
        self.base_url = base_url
        self.messages: list[dict[str, Any]] | None = None
        self.conversation_id: str | None = None
        self.answer: Answer | None = None
        self.stream: StreamedAnswer | StreamedResponse | None = None
        self.streaming = False
        self.deployment_id: str | None = None
        self.variant: str | None = None
        self.tags: dict[str, str] = {}
        self.cut = False

    def chunk(self, chunk: Any) -> None:
        """Take a chunk of the answer."""
        if self.stream is not None and self.stream.add(chunk):
            self.recording.note_first_chunk()

    def end_stream(self, error: BaseException | None, *, abandoned: bool = False) -> None:
        """The stream has ended: whole, with an error, or because nobody wants the rest."""
        if self.streaming:
            self.streaming = False
            self.recording.stream_ended(error, abandoned=abandoned)

    def answered(self) -> Answer | None:
        """The answer, or as much of it as has come."""
        if self.answer is None and self.stream is not None:
            return self.stream.answer(Snapshot())
        return self.answer

    @property
    def truncated(self) -> bool:
        """Whether something was too large to keep whole."""
        return self.cut or (self.stream is not None and self.stream.truncated)
