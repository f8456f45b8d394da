"""Keys, tokens and passwords in text: known by their prefix, by the name before them, or by their place in a URL."""

import re
from collections.abc import Iterator

Spans = Iterator[tuple[int, int]]

TOKEN = re.compile(
    r"""(?<![A-Za-z0-9_])(?:
        sk-(?:ant-|proj-|svcacct-|admin-|or-|lf-|None-)?(?=[a-zA-Z_-]{0,64}+[0-9])[A-Za-z0-9_-]{18,}+
      | (?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{14,}+ | whsec_[A-Za-z0-9+/=]{20,}+
      | (?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])
      | gh[pousr]_[A-Za-z0-9]{20,}+ | github_pat_[A-Za-z0-9_]{20,}+
      | gl(?:pat|dt|rt|cbt|ptt)-[A-Za-z0-9_.-]{16,}+
      | xox[abeoprs]-[A-Za-z0-9-]{10,}+ | xapp-[0-9]-[A-Za-z0-9-]{10,}+
      | hooks\.slack\.com/services/[A-Za-z0-9/]{20,}+
      | AIza[A-Za-z0-9_-]{30,}+ | ya29\.[A-Za-z0-9_.-]{20,}+ | GOCSPX-[A-Za-z0-9_-]{20,}+
      | hf_[A-Za-z0-9]{24,}+ | npm_[A-Za-z0-9]{30,}+ | pypi-AgE[A-Za-z0-9_-]{20,}+ | r8_[A-Za-z0-9]{30,}+
      | eyJ[A-Za-z0-9_-]{6,}+\.(?:eyJ)?[A-Za-z0-9_-]{6,}+(?:\.[A-Za-z0-9_-]*+)?
      | SG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+
      | dop_v1_[a-f0-9]{40,}+ | shp(?:at|ss)_[a-fA-F0-9]{30,}+ | gsk_[A-Za-z0-9]{30,}+ | (?:xai|pplx)-[A-Za-z0-9]{30,}+
      | AGE-SECRET-KEY-1[A-Z0-9]{40,}+ | nvapi-[A-Za-z0-9_-]{30,}+ | dckr_pat_[A-Za-z0-9_-]{20,}+ | lin_api_[A-Za-z0-9]{30,}+
      | ATATT3[A-Za-z0-9_=-]{30,}+ | PMAK-[A-Za-z0-9-]{30,}+
      | (?<=[0-9]{8}:)AA[A-Za-z0-9_-]{32,}+
    )""",
    re.VERBOSE,
)

BEGIN_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
END_KEY = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
CUT_KEY = re.compile(r"(?:\s|\\[nr]|[A-Za-z0-9+/=:,-]{16,}+[A-Za-z0-9+/=]*+|[A-Za-z0-9+/=]+(?=\s|\\[nr]|\Z))*+")

URL_LOGIN = re.compile(r"://(?P<secret>[^\s/@:\"'<>\x00]{0,128}:[^\s/\"'<>\x00]{1,256})@")

SCHEME = re.compile(
    r"(?:bearer[ :]{1,3}|basic |authorization[\"']?[ :=]{1,3}[\"']?token )(?P<secret>[A-Za-z0-9._~+/-]{12,}+={0,2})",
    re.IGNORECASE,
)

PASSWORD_NAMES = (b"pass", b"pwd", b"kennwort", b"mdp", b"contrase")
SECRET_NAMES = (b"secret", b"token", b"key", b"clave", b"credential", b"cvv", b"cvc")
"""What names a secret, in small letters; `NAMED` is tried where one of them stands. The second kind says little in prose."""

NAMED = re.compile(
    r"""(?:
        (?P<password>pass(?:w(?:or[dt]e?s?|d)|phrase|e(?=\s{0,2}:|\sest))|pwd|kennwort|mdp|contrase(?:ñ|n)a|clave(?=\s{0,2}[:=]))
      | (?P<cvv>cv[vc]2?) | (?:secret|token|credential)s? | (?P<key>key)
    )
    [A-Za-z0-9_]{0,24}+
    (?P<quote>\\?["'`]?)(?P<sep>\s{0,3}(?:=>|:=|={1,2}|:|(?P<is>\s(?:is|ist|lautet|est|es|was|war|est\ :|is:|ist:|es:)\s))\s{0,3}
      |(?P<space>\s))
    (?:\\?(?P<open>["'`])(?P<quoted>[^"'`\n\\\x00]{1,300})\\?(?P=open)|(?P<plain>[^\s"'`,;<>&\x00]{3,300}+))""",
    re.VERBOSE | re.IGNORECASE,
)

KEY_NAME = re.compile(r"(?:api|access|secret|private|auth|account|encryption|signing|master|license|_)[ _-]?key\Z", re.IGNORECASE)

PLACEHOLDERS = re.compile(
    r"none|null|true|false|str|string|int|bool|bytes|optional.{0,40}|undefined|required|optional|hidden|redacted|secret"
    r"|password|token|example"
    r"|your.{0,40}|my.?(?:password|token|secret|key)|<.{0,60}|\$.{0,80}|\{.{0,80}|%.{0,40}|\*+|x+|\.+|os\.environ.{0,80}"
    r"|process\.env.{0,80}"
    r"|getenv.{0,60}|env[.\[(].{0,60}|self\..{0,60}|\(?[a-z_][\w.]{0,80}[(\[].{0,300}"
    r"|(?=\S{0,80}_)[a-z_]\w{0,60}(?:\.[a-z_]\w{0,60}){1,6}|urn:.{0,300}|.{0,60}(?:passwor[dt]|_token|_secret|_key).{0,60}"
    r"|bearer|basic",
    re.IGNORECASE,
)


TOKEN_CHARACTERS = bytes.maketrans(
    bytes(range(256)),
    bytes(ord("a") if chr(code).isascii() and (chr(code).isalnum() or chr(code) in "_-./+") else 32 for code in range(256)),
)
LONG_TOKEN = b"a" * 16


def tokens(text: str, words: bytes) -> Spans:
    """Keys and tokens that their prefix gives away, looked for where a long word stands.

    `words` has an `a` for each character of a word and a space for each other one.
    """
    at = words.find(LONG_TOKEN)
    while at >= 0:
        end = words.find(b" ", at)
        end = len(words) if end < 0 else end
        # A literal may be cut off the word by a colon, and padding may follow.
        for found in TOKEN.finditer(text, at, min(len(text), end + 2)):
            yield found.span()
        at = words.find(LONG_TOKEN, end)


def private_keys(text: str) -> Spans:
    """PEM blocks of private keys, to their end line, or as far as a block that was cut goes."""
    end, last = END_KEY.search(text), 0
    for begin in BEGIN_KEY.finditer(text):
        if begin.start() < last:
            continue
        # The next end line is looked for only when the one before is passed, so that the text is read once.
        while end and end.start() < begin.end():
            end = END_KEY.search(text, end.end())
        cut = None if end else CUT_KEY.match(text, begin.end())
        last = end.end() if end else cut.end() if cut else begin.end()
        yield begin.start(), last


def url_logins(text: str) -> Spans:
    """User and password in URLs."""
    for found in URL_LOGIN.finditer(text):
        yield found.span("secret")


def schemes(text: str) -> Spans:
    """What follows `Bearer` and `Basic`."""
    for found in SCHEME.finditer(text):
        if any(map(str.isdigit, found["secret"])) or len(found["secret"]) >= 24:
            yield found.span("secret")


def named(text: str, lowered: bytes) -> Spans:
    """Values behind a name like `password` or `api_key`, where they are values and not code or prose."""
    for name in PASSWORD_NAMES + SECRET_NAMES:
        at = lowered.find(name)
        while at >= 0:
            found = NAMED.match(text, at)
            at += len(name)
            if found and (found["password"] is None or begins_a_word(text, found.start())) and is_secret(found):
                yield found.span("quoted" if found["quoted"] else "plain")
                at = found.end()
            at = lowered.find(name, at)


def begins_a_word(text: str, at: int) -> bool:
    """Whether no letter stands before; `_` and digits may, as in `db_password`."""
    return not text[at - 1 : at].isalpha() or text[at].isupper()


def is_secret(found: re.Match[str]) -> bool:
    """Whether the value behind a name is a secret."""
    if found["key"] and not KEY_NAME.search(found.string, max(0, found.start() - 24), found.end("key")):
        return False
    value = found["quoted"] or found["plain"].rstrip(".,;:!?)]}")
    if PLACEHOLDERS.fullmatch(value) or " " in value.strip():
        return False
    digits = sum(map(str.isdigit, value))
    letters = sum(map(str.isalpha, value))
    if found["cvv"]:
        return len(value) in (3, 4) and digits == len(value)
    if found["password"] and found["space"]:
        return len(value) >= 6 and digits > 0 and letters > 0 and "-" not in value
    if found["space"]:
        return False
    if found["password"]:
        mixed = digits > 0 or len(value) - letters - value.count("_") - value.count(".") > 0
        assigned = "=" in found["sep"] or found["quoted"] is not None
        return len(value) >= 4 and (mixed or (assigned and not found["is"] and value.isalpha()))
    return len(value) >= 8 and digits > 0 and letters > 0
