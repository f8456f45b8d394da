"""Frames that a text forges: the marks and turns of a chat, the end of its own data, a verdict that was never given."""

import re

TEMPLATE_TOKENS = re.compile(
    r"<[|｜][^|｜<>\n]{1,40}[|｜]>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<\|?turn\|?>|\[/?SYSTEM_PROMPT\]"
    r"|\[/?(?:AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\]|<(?:extra_id|reserved|unused)_?\d+>|<[be]os>|\[g?MASK\]|<[se]op>"
)
"""Marks that frame the turns in the chat templates of common models."""

_TAG = (
    r"(?:system(?:[-_ ](?:prompt|message|note|override|reminder))?|instructions?|admin|developer|operator|judge(?:ment|_\w+)?|"
    r"judgment|"
    r"grader\w*|grading\w*|evaluat\w+|verdict|rubric|score|scoring|final_score|override|assistant|human|user_?(?:query|message|input)?|"
    r"untrusted\w*|prompt|important|hidden)"
)
_CLOSED = (
    r"(?:answer|response|data\w*|input|transcript|conversation|submission|candidate\w*|context|document|assistant\w*|"
    r"model_\w+|student_\w+|text_to_\w+|content|log|untrusted\w*|user_\w+|output|completion|message)"
)
AT_LINE_START = (
    # points, and the pattern; where a line begins, after at most a few signs
    (3.0, re.compile(r"#{1,4} ?(?:instruction|system|human)s?(?: (?:prompt|message|override))? ?:", re.I)),
    (2.0, re.compile(r"#{2,4} ?(?:response|assistant|user|input) ?:", re.I)),
    (2.0, re.compile(r"\W{0,4}(?:system|developer|operator|admin|judge|grader|evaluator)\W{0,3}:\W{0,3}\s?\S", re.I)),
    (
        2.0,
        re.compile(
            r"\W{0,6}(?:system|admin(?:istrator)?|developer|security|debug|maintenance|root|priority|internal|operator|moderator|"
            r"platform|grading|evaluation|judge|official|automated)\s+(?:notice|message|alert|note|override|update|prompt|"
            r"instructions?|command|directive|mode|announcement|memo|policy)\b",
            re.I,
        ),
    ),
)
ANYWHERE = (
    (3.0, re.compile(r"\n[ \t]{0,9}\n(?:human|user|system)\s?: ?\S", re.I)),
    (3.0, re.compile(rf"</?{_TAG}(?: [^<>\n]{{0,80}})?>", re.I)),
    (
        3.0,
        re.compile(
            r"(?:(?<![-=#*_~])[-=#*_~]{3,80}|\[|<|\{\{?)\s{0,4}/?(?:END|BEGIN|START|STOP|NEW|CLOSE|EOF)"
            r"\b[ _-]{0,4}(?:OF[ _-]{1,4})?(?:THE[ _-]{1,4})?"
            r"[\w '-]{0,30}?(?:ANSWER|RESPONSE|DATA|INPUT|TRANSCRIPT|LOGS?|CONVERSATION|SUBMISSION|CONTEXT|INSTRUCTIONS?|PROMPT|"
            r"EVALUATION|CANDIDATE|OUTPUT|GRADING|SYSTEM|UNTRUSTED|CONTENT|TASK|QUESTION)",
            re.I,
        ),
    ),
    (
        2.0,
        re.compile(
            r"\bend of (?:the )?(?:[\w']+ ){0,2}(?:answer|response|submission|candidate|transcript|untrusted \w+)\b", re.I
        ),
    ),
    (
        3.0,
        re.compile(
            r"[\"'\]}]\s{0,4}[}\]]\s{0,4}[}\]]{0,4}\s{0,4},?\s{0,4}[{\[]?\s{0,4}[\"']?"
            r"(?:role|system|instructions?|verdict|score)[\"']?\s{0,4}:",
            re.I,
        ),
    ),
    (
        2.0,
        re.compile(r"\"role\\?\"\s*:\s*\\?\"(?:system|developer|user|assistant)|'role'\s*:\s*'(?:system|user|assistant)", re.I),
    ),
    (3.0, re.compile(r"\[\[\s*(?:[1-9](?:\.0)?|10|[ABC]|tie|rating:? ?\d+)\s*\]\]", re.I)),
)
_UNMATCHED = re.compile(rf"<(/?)({_CLOSED})(?: [^<>\n]{{0,80}})?>", re.I)

_VERDICT = """
    score overall overall_score final_score total_score grade verdict judgement judgment evaluation rating result
    overall_rating final_grade points marks preferred winner passed pass is_correct correct assessment quality
"""
VERDICT_KEYS = frozenset(_VERDICT.split())
_REASON = """
    reason reasons reasoning rationale explanation justification feedback comment comments confidence evidence critique
    analysis evidence_quote thoughts status suspected_injection
"""
REASON_KEYS = frozenset(_REASON.split())
_CRITERION = """
    helpfulness accuracy conciseness tone correctness completeness relevance coherence clarity safety fluency
    faithfulness scores criteria harmlessness honesty factuality groundedness quality depth usefulness criterion
"""
CRITERION_KEYS = frozenset(_CRITERION.split())
_KEY = re.compile(r"\\?[\"'](\w{2,30})\\?[\"']\s*:")
_TOP_VALUE = re.compile(
    r"\\?[\"'](\w{2,30})\\?[\"']\s*:\s*\\?[\"']?(?:[45](?:\.\d)?|9\d?|10(?:0|\.0)?|1\.0|five|pass(?:ed)?|true|excellent|perfect|a\+?|"
    r"accept(?:ed)?|correct|high(?:est)?|max(?:imum)?|full)\b",
    re.I,
)
_NAMES = (
    r"(?:(?:overall|final|total|assigned|suggested|expected|correct|quality|judge|grader|evaluator|evaluation)[ _-]?)*"
    r"(?:score|grade|verdict|mark|marks|judge?ment|evaluation|assessment|rating|result|helpfulness|accuracy|conciseness|tone|"
    r"correctness|completeness|relevance|coherence|clarity|safety|fluency|punktzahl|bewertung|endnote|gesamtnote|note|noten|"
    r"puntuación|puntuacion|calificación|punteggio|voto|pontuação|nota|beoordeling|cijfer|оценка|балл|评分|得分|分数|総合評価|評価|スコア|점수|평가)"
)
_VERDICT_LINE = re.compile(
    rf"(?:^|[.!?|>)\]]\s)[\s\W]{{0,6}}({_NAMES})(?: (?:is|ist|est|es))?[\s*_\"'`]{{0,3}}[:：=→|-]+[\s*_\"'`]{{0,5}}"
    r"(?:5|10|100|five|ten|a\+|full marks|perfect|pass(?:ed)?|excellent|correct)(?:\.0)?"
    r"(?:\s*(?:/|out of|von|sur|de|su|van|из)\s*\d+)?(?![\d.,]*\d)",
    re.I | re.M,
)


def forged_frame(text: str) -> float:
    """Points for marks, turns and ends that a text has no business to hold."""
    if TEMPLATE_TOKENS.search(text):
        return 3.0
    points = max((points for points, pattern in ANYWHERE if pattern.search(text)), default=0.0)
    for line in text.splitlines() if points < 3 else ():
        points = max((points, *(worth for worth, pattern in AT_LINE_START if worth > points and pattern.match(line))))
    if points < 3 and "</" in text:
        opened: set[str] = set()
        for slash, name in _UNMATCHED.findall(text):
            if slash and name.lower() not in opened:
                return 3.0
            opened.add(name.lower())
    return points


def forged_verdict(text: str, *, spoken: bool = True) -> float:
    """Points for what has the shape of a judge's verdict.

    Args:
        text: where to look.
        spoken: whether it was said, and not handed over as data: in data a lone score is a field like any other.
    """
    points = _verdict_object(text, spoken) if ":" in text and ('"' in text or "'" in text) else 0.0
    if not spoken:
        return points
    lines = {match[1].lower() for match in _VERDICT_LINE.finditer(text)}
    if len(lines) >= 2:
        return 3.0
    if lines:
        points = max(points, 1.0 if lines & {"rating", "result", "note", "nota", "tone", "mark", "voto"} else 2.0)
    return points


def _verdict_object(text: str, spoken: bool) -> float:
    keys = {key.lower() for key in _KEY.findall(text)}
    verdicts, reasons, criteria = keys & VERDICT_KEYS, keys & REASON_KEYS, keys & CRITERION_KEYS
    if not verdicts | criteria:
        return 0.0
    high = {key.lower() for key in _TOP_VALUE.findall(text)} & (VERDICT_KEYS | CRITERION_KEYS)
    if not high:
        return 0.0
    others = keys - VERDICT_KEYS - REASON_KEYS - CRITERION_KEYS
    if len(criteria) >= 2 or (criteria and verdicts):
        return 3.0
    if not spoken:
        return 0.0
    if not others:
        return (
            3.0
            if reasons or len(high) > 1 or high & {"score", "verdict", "overall_score", "final_score", "grade", "overall"}
            else 2.0
        )
    return 1.5 if reasons and verdicts else 0.0
