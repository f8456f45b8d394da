"""Small words of the languages whose texts are compared word by word: English, German, French and Spanish.

Of two nearly equal texts in one of them it is known which words carry no meaning, which deny and which ask. In any other
language nothing of that is known: every word counts, and `words.py` says that the guard fell back.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

# Vowel signs and accents that are written as characters of their own are parts of words, which `\w` does not know.
_MARKS = "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0711\u0730-\u074a"
_MARKS += "\u0900-\u0963\u0971-\u0df3\u0e01-\u0e3a\u0e40-\u0eff\u0f18-\u0fbc\u1000-\u109d\u135d-\u135f\u1712-\u1734\u1752-\u17d3"
_MARKS += "\u180b-\u180d\u18a9-\u1cff\u1dc0-\u1dff\ua66f-\ua6f1\ua802-\uaaef\uabe3-\uabed\ufb1e"
# Scripts without spaces: a character is the smallest thing that can be told to be a word.
_UNSPACED = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_UNSPACED += "\U00020000-\U0003ffff\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff"

WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}](?:[\w{_MARKS}](?<![{_UNSPACED}]))*(?:'(?:[\w{_MARKS}](?<![{_UNSPACED}]))+)?")
"""A word of a canonical text, `can't` being one."""


_ASCII_WORD = re.compile(r"\w+(?:'\w+)?", re.ASCII)


def words_of(text: str) -> list[str]:
    """The words of a canonical text, in their order."""
    return (_ASCII_WORD if text.isascii() else WORD).findall(text)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.casefold().split())


@dataclass(frozen=True)
class Language:
    """What is known of a language's words; all in canonical form."""

    code: str
    """ISO 639-1; `other` where nothing is known."""
    function: frozenset[str] = frozenset()
    """Words that may come, go or change places with each other without changing what is said."""
    negations: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    """Words that differ in meaning however alike they are spelt: "when" and "where", "nine" and "five", "june" and "july"."""
    opposed: tuple[tuple[frozenset[str], frozenset[str]], ...] = ()
    """Function words of which one may not stand where the other stood: "to" for "from", "my" for "your"."""
    reversing: tuple[str, ...] = ()
    """Prefixes that turn a word into its opposite."""
    letters: str = ""
    """Letters beside a to z."""
    telling: frozenset[str] = frozenset()
    """More words that hardly another language has."""

    @cached_property
    def small(self) -> frozenset[str]:
        """All words of the lists that decide."""
        return self.function | self.negations | self.exact

    @property
    def known(self) -> bool:
        """Whether there are lists for it."""
        return bool(self.function)


ENGLISH = Language(
    "en",
    function=_set(
        "a an the this that these those some any of to in into on at for from by with as and or but so then than too very "
        "just also i me my mine you your yours we our it its he him his she her they them their is am are was were be "
        "been being do does did have has had will would can could shall should may might must please thanks thank hi "
        "hello hey ok okay well um uh there here i'm i'd i'll i've you're it's that's let's im ive id youre"
    ),
    negations=_set(
        "no not never none nor nothing nobody nowhere neither without cannot can't don't doesn't didn't won't wouldn't "
        "isn't aren't wasn't weren't hasn't haven't hadn't shouldn't couldn't mustn't needn't ain't cant dont doesnt "
        "didnt wont wouldnt isnt arent wasnt werent hasnt havent hadnt shouldnt couldnt"
    ),
    exact=_set(
        "what which who whom whose when where why how what's who's where's how's when's whats zero one two three four "
        "five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty "
        "thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half quarter once twice first "
        "second third fourth fifth sixth seventh eighth ninth tenth monday tuesday wednesday thursday friday saturday "
        "sunday january february march april june july august september october november december north south east west "
        "left right male female man men woman women mother father brother son sun buy sell off before after increase "
        "decrease above below more less lower higher latest earliest open close"
    ),
    opposed=(
        (_set("to into"), _set("from")),
        (_set("and"), _set("or")),
        (_set("i me my mine we our i'm i'd i'll i've im ive"), _set("you your yours you're youre")),
        (_set("he him his"), _set("she her")),
        (_set("in into"), _set("on at by")),
        (_set("is am are do does have has can will shall may"), _set("was were did had")),
        (_set("will would shall"), _set("do does did is are was were")),
        (_set("can could may might"), _set("must should shall")),
        (_set("this these"), _set("that those")),
    ),
    reversing=("un", "de", "dis", "in", "im", "ir", "il", "non", "mis", "re", "pre", "anti", "over", "under", "out"),
    letters="éèêëàâäçïîôöûüñ",
    telling=_set("about need want get got know new back go going make see show tell help work working does take"),
)

GERMAN = Language(
    "de",
    function=_set(
        "der die das den dem des ein eine einen einem einer eines dies diese dieser dieses diesen und oder aber dann denn "
        "als zu zum zur von vom mit bei beim für im in ins an am auf aus um ich mich mir mein meine meinen meinem meiner "
        "du dich dir dein deine sie ihr ihre ihren ihnen er ihn ihm sein seine es wir uns unser unsere bin bist ist sind "
        "war waren wird werden werde wurde habe hat haben hatte kann können könnte könnten muss soll sollte darf möchte "
        "will bitte danke hallo hi gern gerne mal auch noch doch ja so sehr hier da dass"
    ),
    negations=_set(
        "nicht nichts nie niemals niemand nirgends kein keine keinen keinem keiner keines weder ohne nein nich nix kaum"
    ),
    exact=_set(
        "was wer wen wem wessen wann wo woher wohin warum wieso weshalb wie welche welcher welches welchen wieviel null "
        "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
        "achtzehn neunzehn zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig hundert tausend million "
        "milliarde halb montag dienstag mittwoch donnerstag freitag samstag sonntag januar februar märz april mai juni "
        "juli august september oktober november dezember nord süd ost west norden süden osten westen links rechts vor "
        "nach mehr weniger öffnen schließen kaufen verkaufen vater mutter mann frau"
    ),
    opposed=(
        (_set("zu zum zur an auf in ins"), _set("von vom aus")),
        (_set("und"), _set("oder")),
        (
            _set("ich mich mir mein meine meinen meinem meiner wir uns unser unsere"),
            _set("du dich dir dein deine ihr ihre ihren"),
        ),
        (_set("er ihn ihm sein seine"), _set("sie ihr ihre ihren")),
        (_set("bin ist sind habe hat haben wird werden werde"), _set("war waren hatte wurde")),
        (_set("kann können könnte könnten darf"), _set("muss soll sollte")),
    ),
    reversing=("un", "ent", "de", "in", "ir", "miss", "nicht", "ab", "an", "auf", "aus", "ein", "ver", "über", "unter"),
    letters="äöüßéèà",
)

FRENCH = Language(
    "fr",
    function=_set(
        "le la les l un une des du de d au aux ce cet cette ces et ou mais donc alors à en dans sur pour par avec chez "
        "vers je j me m moi mon ma mes tu te t toi ton ta tes il elle on nous notre nos vous votre vos ils elles leur "
        "leurs lui se s son sa ses y est suis es sont était être ai as a ont avons avez avoir peux peut pouvez pourrais "
        "pourrait pourriez puis veux voudrais veut dois doit devez faut que qu c'est j'ai merci bonjour salut svp bien "
        "très aussi ici là"
    ),
    negations=_set("ne n pas plus jamais rien personne aucun aucune sans non ni nul nulle guère n'est n'ai n'a n'arrive n'y"),
    exact=_set(
        "qui quoi quel quelle quels quelles quand où pourquoi comment combien lequel laquelle zéro deux trois quatre cinq "
        "six sept huit neuf dix onze douze treize quatorze quinze seize vingt trente quarante cinquante soixante cent "
        "mille million milliard demi premier première deuxième troisième lundi mardi mercredi jeudi vendredi samedi "
        "dimanche janvier février mars avril mai juin juillet août septembre octobre novembre décembre nord sud ouest "
        "gauche droite avant après moins acheter vendre ouvrir fermer père mère"
    ),
    opposed=(
        (_set("à au aux vers pour"), _set("de du des")),
        (_set("et"), _set("ou")),
        (_set("je j me m moi mon ma mes nous notre nos j'ai"), _set("tu te t toi ton ta tes vous votre vos")),
        (_set("est suis sont ai as a ont"), _set("était")),
        (_set("peux peut pouvez pourrais pourrait pourriez puis"), _set("dois doit devez faut")),
    ),
    reversing=("dé", "des", "dés", "in", "im", "ir", "il", "non", "mé", "re", "ré", "pré", "anti", "sur", "sous"),
    letters="àâæçéèêëîïôœùûüÿ",
)

SPANISH = Language(
    "es",
    function=_set(
        "el la los las un una unos unas lo al del de a en con por para y e o u pero entonces que este esta esto estos "
        "estas ese esa eso me mi mis yo tu tus te ti usted su sus se le les nos nuestro nuestra ella ellos es soy son era "
        "ser estoy está están estaba he ha han había hay puedo puede puedes podría podrías quiero quisiera debo debe hola "
        "gracias favor muy también aquí ahí ya"
    ),
    negations=_set("no nunca jamás nada nadie ningún ninguno ninguna ni sin tampoco"),
    exact=_set(
        "qué quién quiénes cuál cuáles cuándo dónde adónde cómo cuánto cuánta cuántos cuántas quien cual cuando donde "
        "como cuanto cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince veinte "
        "treinta cuarenta cincuenta sesenta setenta ochenta noventa cien ciento mil millón medio primero primera segundo "
        "segunda tercero lunes martes miércoles jueves viernes sábado domingo enero febrero marzo abril mayo junio julio "
        "agosto septiembre octubre noviembre diciembre norte sur oeste izquierda derecha antes después más menos "
        "comprar vender abrir cerrar padre madre hermano hermana hijo hija"
    ),
    opposed=(
        (_set("a al para"), _set("de del")),
        (_set("y e"), _set("o u")),
        (_set("me mi mis yo nos nuestro nuestra"), _set("tu tus te ti usted su sus")),
        (_set("es soy son estoy está están he ha han hay"), _set("era estaba había")),
        (_set("puedo puede puedes podría podrías"), _set("debo debe")),
    ),
    reversing=("des", "de", "dis", "in", "im", "ir", "i", "no", "re", "pre", "anti", "sobre", "sub"),
    letters="áéíóúüñ",
)

OTHER = Language("other")
"""A language without lists, or a text too short to tell."""

LANGUAGES = (ENGLISH, GERMAN, FRENCH, SPANISH)

_OWN = {language.code: language.small | language.telling for language in LANGUAGES}
_COMMON = Counter(word for words in _OWN.values() for word in words)
# Words that other languages have as well, Slavic ones written without accents above all, tell nothing.
_SEEN_ELSEWHERE = _set("to do on an am so no na po by ten ja je se si ni non per con in is at i a e o u y hi ok okay hallo")
_TELLING = {
    language.code: frozenset(word for word in _OWN[language.code] if _COMMON[word] == 1 and word not in _SEEN_ELSEWHERE)
    for language in LANGUAGES
}
_FOREIGN = {language.code: re.compile(rf"[^\W\d_a-z{language.letters}'’]") for language in LANGUAGES}

ENOUGH_SHARE = 0.1
ENOUGH_WORDS = 3
"""A text is in the language that has the most of its words, if these are so large a share of it or so many."""


def language_of(words: Sequence[str]) -> Language:
    """The language that some words are in; `OTHER` where none of ours fits, or two fit equally well."""
    distinct = set(words)
    hits = sorted(((len(distinct & _TELLING[language.code]), language.code) for language in LANGUAGES), reverse=True)
    (best, code), (second, _) = hits[0], hits[1]
    if best == second or (best < ENOUGH_WORDS and best < ENOUGH_SHARE * len(distinct)):
        return OTHER
    if _FOREIGN[code].search("".join(distinct)):
        return OTHER
    return next(language for language in LANGUAGES if language.code == code)
