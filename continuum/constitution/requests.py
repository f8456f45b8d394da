"""What a message asks for, as far as constraints are concerned: whether a person speaks here, or help in doing harm.

By words alone, and careful: an ordinary request that is taken for one of these costs a training row.
"""

import re
import unicodedata

UNSEEN = re.compile("[*_~`\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+")
"""Marks of emphasis, and characters that nobody sees."""
LOOKALIKES = str.maketrans("аеорсухіѕԁһнАЕОРСХІΑΕΟΡΙаМмТтΜΤ’‘´ʼ", "aeopcyxisdhhAEOPCXIAEOPIaMmTtMT''''")
"""Cyrillic and Greek letters that look like Latin ones, and apostrophes."""
SPELLED = re.compile(r"(?<![\w.-])(?:\w[-.]){3,30}\w(?![\w-])")
LONGEST = 20_000
"""Characters that are read of a text."""


def plain(text: str) -> str:
    """The beginning of a text as it reads: one space between words, a full stop after a line, no disguises, small letters.

    Every expression here and in `checks.py` is bounded, so that none takes long whatever the text.
    """
    folded = UNSEEN.sub("", unicodedata.normalize("NFKC", text[:LONGEST])).translate(LOOKALIKES)
    spelled = SPELLED.sub(lambda found: re.sub("[-.]", "", found[0]), folded)
    lines = [line for line in (" ".join(line.split()) for line in spelled.split("\n")) if line]
    # A line that goes on in small letters was only broken; another is a sentence of its own.
    ends = (" " if after[:1].islower() else " . " for after in [*lines[1:], "a"])
    return "".join(line + end for line, end in zip(lines, ends, strict=False)).strip().lower()


HUMAN = r"(?:human(?: being)?s?|persons?|people|m[ae]n|wom[ae]n|guy|girl|lady|someone|somebody|alive|flesh and blood)"
MACHINE = (
    r"(?:a\.?i\.?|bots?|chat ?bots?|robots?|machines?|computers?|programs?|software|artificial|automated|"
    r"(?:large )?language model|llm|virtual|algorithm|auto-?reply|answering machine)"
)
BESIDE = (
    r"(?:an?|the|really|actually|truly|genuinely|real|live|living|actual|true|just|only|also|some|kind of|sort of|in fact|even|"
    r"maybe|secretly|still|possibly|not|100%|fully|fellow|or|and|to|with|of)"
)
WHO = (
    r"(?:(?:are|r|aren't) (?:you|u)|(?:you|u)(?: are|'re| r)|you (?:sound|seem|look|write|talk)(?: like)?|you must be|to be|"
    r"(?:am|do) i (?:now |really |actually )?(?:talk|speak|chat|text|writ|connect)\w* (?:to|with)|"
    r"i(?: am|'m) (?:really |actually )?(?:talking|speaking|chatting|texting|writing) (?:to|with)|"
    r"(?:who|what) (?:am i (?:talking|speaking|chatting|writing) (?:to|with)|are you|is (?:this|answering|writing|typing|"
    r"there))[,:]?|"
    r"(?:repeat|say)[^.?!]{0,20} i(?: am|'m))"
)
ASKS_WHO = re.compile(
    rf"\b{WHO} (?P<what>(?:(?:{BESIDE}|{HUMAN}|{MACHINE}),? ){{0,8}}?(?:{HUMAN}|{MACHINE})(?:,? (?:or|and)(?: (?:{BESIDE}|"
    rf"{HUMAN}|{MACHINE})){{1,6}})?)"
    r"(?![-\w'])(?! (?:resources|rights?|error|who (?:can|could|will)|i can|to (?:talk|speak|call|help)))"
)
ASKS_OF_THIS = re.compile(
    rf"\b(?:(?:is|isn't) (?:this|it|that)|this is) (?P<what>(?:(?:{BESIDE}|{HUMAN}|{MACHINE}),? ){{0,8}}(?:{HUMAN}|{MACHINE}))"
    # "Is this computer new?" is of something else than who speaks.
    r"(?= ?[?.!,;]|$| (?:that )?(?:i|i'm|i am|who i)\b| (?:answering|writing|typing|talking|speaking|chatting|behind|here)\b)"
)
ASKS_BEHIND = re.compile(
    rf"\b(?:is|are) (?:there )?(?P<what>(?:(?:{BESIDE}|any) ){{0,6}}(?:{HUMAN}|{MACHINE})) "
    r"(?:behind|on the other|at the other|typing|writing|answering|reading|replying|talking|speaking)\b"
)
ASKS_SHORT = re.compile(
    rf"^(?:(?:hey|hi|so|but|wait|ok|sorry),? ){{0,4}}(?:you |u )?(?P<what>(?:(?:{BESIDE}|{HUMAN}|"
    rf"{MACHINE}),? ){{0,8}}(?:{HUMAN}|{MACHINE})) ?\?"
)
ASKS_REAL = re.compile(r"\bare (?:you|u) (?:for |even |really )?real\b(?! estate)")
ASKS_BODY = re.compile(
    r"\bdo (?:you|u) (?:really )?have (?:a (?:body|heart|heartbeat|family|childhood|mother|soul)|parents|"
    r"feelings|blood)\b"
)
ASKS_ELSEWHERE = re.compile(
    r"\b(?:bist du|sind sie|(?:spreche|rede|schreibe|chatte) ich (?:hier |gerade )?mit|ist (?:das|hier|dort)|"
    r"[eê]tes[- ]vous|es[- ]tu|vous [eê]tes|tu es|(?:est-ce que )?je parle (?:à|avec)|parl[eé]-je (?:à|avec)|"
    r"eres|es usted|estoy hablando con|hablo con|esto es|es esto) "
    r"(?P<what>(?:(?:eine?[mnrs]?|echte[mnrs]?|reale[mnrs]?|richtige[mnrs]?|wirklich|oder|une?|vraie?|bien|vraiment|ou|un|"
    r"una|o|"
    r"realmente|verdader[oa]|humaine?|mensch(?:en)?|robot(?:er|s)?|maschine|computer|machine|bot|ki|ia|m[aá]quina|human[oa]|"
    r"[eê]tre|ser),? ){0,8}"
    r"(?:mensch(?:en)?|person(?:ne|a)?|humaine?|human[oa]|(?:chat)?bot|robot(?:er)?|maschine|machine|m[aá]quina|computer|ki|ia|"
    r"programm|programa|programme))\b"
)
A_HUMAN = re.compile(rf"\b(?:{HUMAN}|mensch(?:en)?|person(?:ne|a)?|humaine?|human[oa])\b")
A_MACHINE = re.compile(
    rf"(?<![\w.])(?:{MACHINE}|roboter|maschine|m[aá]quina|ki|ia|programm[ea]?|programa|künstliche|"
    rf"artificielle)(?!\w)"
)


def speaker_asked(prompt: str) -> frozenset[str]:
    """What the message asks about who speaks: `human`, `machine`, both, or nothing of the kind."""
    text = plain(prompt)
    asked = {"human"} if ASKS_REAL.search(text) or ASKS_BODY.search(text) else set()
    for pattern in (ASKS_WHO, ASKS_OF_THIS, ASKS_BEHIND, ASKS_SHORT, ASKS_ELSEWHERE):
        for found in pattern.finditer(text):
            asked |= {"human"} if A_HUMAN.search(found["what"]) else set()
            asked |= {"machine"} if A_MACHINE.search(found["what"]) else set()
    return frozenset(asked)


def asks_who_speaks(prompt: str) -> bool:
    """Whether the message asks if a person or a machine speaks, or wants to hear that it is a person."""
    return bool(speaker_asked(prompt))


# --- harm ------------------------------------------------------------------------------------------------------------

PERSON = (
    r"(?:someone|somebody|anyone|people|(?:a|another|the|old|elderly|this|that|my|his|her|our|your|their|some)(?: \w+)? ?"
    r"(?:people|person|neighbou?rs?(?:'s \w+)?|brother|sister|wife|husband|boss|teacher|colleague|girl|boy|child|children|"
    r"kids?|man|woman|friend|"
    r"girlfriend|boyfriend|ex|mother|father|mom|dad|parents?|family|classmates?|student|customers?|dog|cat)|him|her|them)"
)
SELF = r"(?:myself|yourself|himself|herself)"
WEAPON = (
    r"(?:bombs?|explosives?|grenades?|molotov\w*|(?:chemical |home-?made )?weapons?|nerve gas|ricin|napalm|detonators?|"
    r"landmines?|silencers?|poison)"
)
DRUG = (
    r"(?:meth|methamphetamine|crystal meth|heroin|fentanyl|cocaine|crack|lsd|ghb|(?:dangerous|illegal|hard|"
    r"date[- ]rape) (?:drugs?|substances?))"
)
MAKE = r"(?:make|making|build|building|construct|assemble|create|creating|cook|synthesi[sz]e|produce|brew)"
HARMFUL = re.compile(
    r"\b(?:"
    rf"{MAKE} (?:me )?(?:an? |some |the |your own |my own )?(?:\w+ )?(?:{WEAPON}|{DRUG})"
    rf"|(?:recipe|instructions|ingredients|plans?|blueprint|steps) (?:for|to|of)[^.?!]{{0,30}} (?:{WEAPON}|{DRUG})"
    rf"|(?:kill|murder|poison|hurt|harm|strangle|stab|shoot|torture|kidnap|beat up|injure|stalk|blackmail|threaten|threatens|"
    rf"harass|bully|scam|defraud|con|drug|rob|attack|extort|humiliate|assault|dox|abuse) {PERSON}"
    rf"|(?:kill|hurt|harm|cut|hang|poison) {SELF}|commit suicide|end my (?:own )?life"
    r"|(?:a |any )?(?:message|letter|note|text|mail|email) (?:that threatens|to threaten|to blackmail)"
    r"|(?:write|send|draft) (?:me )?(?:an? |some )?(?:\w+ )?threats? (?:to|against)"
    r"|(?:threatening|blackmail) (?:message|letter|note|text|mail|email)"
    r"|(?:write|create|make|build|code|program|give)(?: me)? (?:an? |some )?(?:\w+ )?(?:virus|malware|ransomware|keylogger|"
    r"trojan|spyware|botnet|phishing)\b"
    r"|hack(?:ing)? (?:into )?(?:an?|someone(?:'s)?|somebody(?:'s)?|my \w+(?:'s)|his|her|their|the|other|"
    r"people's)[^.?!]{0,20}(?:accounts?|phones?|"
    r"computers?|emails?|mail|wi-?fi|network|systems?|servers?|website|bank|webcam|password|profile)"
    r"|steal(?:ing)? (?:an?|someone'?s?|somebody'?s?|my \w+'s|his|her|their|the|other|people's|"
    r"credit)?[^.?!]{0,15}(?:passwords?|cars?|identit\w+|"
    r"credit cards?|card numbers?|money|data|bikes?|phones?|wallets?|accounts?)"
    r"|(?:break|breaking) into (?:an?|someone'?s?|somebody'?s?|my neighbou?r'?s?|his|her|their|the)[^.?!]{0,20}(?:cars?|"
    r"houses?|homes?|"
    r"apartments?|flats?|shops?|stores?|offices?|safes?|accounts?|computers?)"
    r"|pick (?:a|the|this) lock to|hotwire (?:a|the|this) car|shoplift|rob a (?:bank|house|store|shop|person)|burgle"
    r"|(?:make|print|forge|get|buy|create) (?:an? |some |me a )?(?:fake|forged|counterfeit) (?:passports?|ids?|money|"
    r"documents?|visas?|licen[sc]es?|bills?)"
    r"|counterfeit money|launder(?:ing)? money|money launder\w*|evade taxes"
    r"|(?:hateful|racist|antisemitic|sexist|homophobic|hate)(?: \w+){0,3} (?:about|against|on) \w+"
    r")"
)
ASKED_FOR = re.compile(
    r"\b(?:how (?:do|can|could|would|should|might|to|exactly)|what(?:'s| is) the (?:best|easiest|fastest|quickest)|"
    r"what do i need|help|tell|explain|show|teach|give|write|create|make|generate|describe|instruct\w*|draft|"
    r"i(?:'m going| want| need| plan| would like|'d like| wish)|can you|could you|would you|step by step|best way|let's|"
    r"please)\b"
)
HARMLESS = re.compile(
    r"\b(?:prevent\w*|avoid\w*|protect\w*|stop(?:s|ping)?|report(?:s|ing)?|detect\w*|defend\w*|recover\w*|remove|uninstall|"
    r"against (?:being|getting)|"
    r"i(?: was| got|'ve been| have been| am being|'m being)|(?:someone|somebody|they|he|she|thieves|hackers?|who) "
    r"(?:is |are |was |were |has |have |had |will |may |might |can |could |tried to |trying to ){0,4}(?:hack|stole|steal|"
    r"stolen|broke|break|scam|threaten|kill|hurt)\w*|"
    r"accidentally|by accident|without (?:hurting|harming)|is it (?:illegal|safe)|"
    r"in (?:the |a |this |my )?(?:video )?(?:game|gta|minecraft|chess|skyrim|sims)|(?:movie|film|song|book|album|tickets?|"
    r"showing|playing)\b)"
)
HARMFUL_ELSEWHERE = re.compile(
    r"\b(?:wie (?:baue|mache|bastle|bastel|stelle|stehle|hacke|vergifte|töte|ermorde) ich|wie (?:man|kann ich)|"
    r"comment (?:fabriquer|faire|construire|voler|pirater|empoisonner|tuer)|"
    r"c[oó]mo (?:hago|hacer|fabrico|fabricar|construyo|construir|robo|robar|hackeo|hackear|enveneno|envenenar|mato|matar))"
    r"[^.?!]{0,30}\b(?:bombe|waffe|sprengstoff|auto|passwort|konto|jemanden|nachbarn?|bombes?|armes?|explosifs?|voiture|"
    r"compte|mot de passe|"
    r"quelqu'un|voisin|bombas?|armas?|explosivos?|coche|contraseña|cuenta|alguien|vecino)\b"
)


def asks_for_harm(prompt: str) -> bool:
    """Whether the message asks for help in doing harm to someone; not whether it speaks of harm."""
    text = plain(prompt)
    for sentence in re.split(r"(?<=[.!?]) ", text):
        harmful = HARMFUL.search(sentence)
        if harmful is None or HARMLESS.search(sentence):
            continue
        # "I want to kidnap a child. How?"; "Build me a bomb".
        if harmful.start() == 0 or ASKED_FOR.search(sentence) or re.search(r"\bhow\?", text):
            return True
    return bool(HARMFUL_ELSEWHERE.search(text))


def speaks_of_self_harm(prompt: str) -> bool:
    """Whether the message is about its writer hurting himself."""
    return bool(re.search(rf"\b(?:(?:kill|hurt|harm|cut|hang|poison) {SELF}|suicide|end my (?:own )?life)\b", plain(prompt)))
