"""Phrases that only announce an answer, in several languages: where nothing follows them, nothing was answered.

Judges have given full marks to "Thought process:" and to a lone "Solution" (arXiv 2507.08794).
"""

import re
import unicodedata

LONGEST = 240
"""Characters; what is longer says something beyond an announcement."""

_EN_THING = (
    r"(?:(?:the|my|your|our|a|an|final|correct|complete|detailed|full|short|brief|possible|model|sample|step by step) )*"
    r"(?:thought process|thinking process|chain of thought|step by step|thoughts?|thinking|reasoning|analysis|explanation|"
    r"answers?|solutions?|response|reply|result|output|conclusion|summary|assistant|proof|derivation|calculation|steps?(?: 1)?|"
    r"step one)"
)
_EN_TASK = (
    r"(?:(?:this|that|the|your|given|following|above|math) )*"
    r"(?:problem|question|task|query|request|equation|exercise|it|this|that)"
)
_EN_MANNER = (
    r"(?: (?:carefully|step by step|one step at a time|in steps|in detail|in order|together|thoroughly|logically|methodically|"
    r"systematically|first|now|below|here|again|slowly|deeply))*"
)
_ENGLISH = (
    rf"{_EN_THING}(?: (?:to|for|of) {_EN_TASK})?(?: (?:is|are|follows|as follows|is as follows|is below|is the following|"
    rf"below|here))?",
    rf"(?:here|below|following) (?:is|are|s|comes|follows) {_EN_THING}(?: (?:to|for|of) {_EN_TASK})?(?: (?:you (?:asked for|"
    rf"requested)|below))?",
    r"(?:let s|let us|let me|i ll|i will|i am going to|i m going to|we ll|we will|we need to|i need to|we can|we should)"
    r"(?: (?:first|now|try to|start by|begin by|please))*"
    r" (?:solve|solving|think(?:ing)?(?: about| through| on| over)?|work(?:ing)? (?:through|out|on)|break(?:ing)? (?:down)?|"
    r"analy[sz](?:e|ing)|reason(?:ing)?(?: through| about)?|go(?:ing)? through|approach|tackle|figure out|answer|address|"
    r"explain)"
    rf"(?: {_EN_TASK})?(?: (?:down|through|out))?{_EN_MANNER}",
    rf"to (?:solve|answer|address|approach|tackle) {_EN_TASK}(?: (?:we|i) (?:need to|must|can|should|will|"
    rf"have to))?{_EN_MANNER}",
    rf"(?:think|thinking|solving)(?: about)?(?: {_EN_TASK})?{_EN_MANNER}",
    r"(?:your|insert|write|put|type)(?: (?:your|the))? (?:answer|response|text)(?: (?:goes))? here",
)
_OTHERS = (
    # German
    r"(?:(?:die|meine|der|hier ist die|hier ist meine|hier kommt die|hier ist der|endgültige|vollständige) )*"
    r"(?:antwort|lösung|gedankengang|überlegung|überlegungen|erklärung|begründung|lösungsweg|denkprozess|ergebnis|analyse|"
    r"schritt 1)"
    r"(?: (?:lautet|ist|folgt|auf (?:deine|ihre|die) frage))?",
    r"(?:lass(?:en sie)? uns|lasst uns|wir|ich werde|lass mich)(?: (?:lösen|das|dieses|diese|die|problem|aufgabe|frage|"
    r"darüber|nun))*"
    r"(?: schritt für schritt)?(?: (?:lösen|durchgehen|nachdenken|überlegen|angehen|vorgehen|analysieren|beantworten))",
    # French
    r"(?:(?:la|le|ma|mon|voici|voilà|votre) )*(?:réponse|solution|raisonnement|processus de réflexion|réflexion|explication|"
    r"analyse|"
    r"résultat|étape 1)(?: (?:finale|complète|détaillée))?(?: (?:est|suit|suivante|à (?:votre|ta|la) question))?",
    r"(?:résolvons|réfléchissons(?: à)?|analysons|procédons|raisonnons|je vais (?:résoudre|réfléchir(?: à)?|analyser))"
    r"(?: (?:ce|cette|le|la|problème|question))*(?: (?:étape par étape|pas à pas|attentivement))?",
    # Spanish
    r"(?:(?:la|el|mi|aquí está la|aquí tienes la|aquí está mi|esta es la|su|tu) )*(?:respuesta|solución|razonamiento|"
    r"explicación|"
    r"proceso de pensamiento|análisis|resultado|paso 1)(?: (?:final|completa|correcta))?(?: (?:es|sigue|a (?:tu|su|"
    r"la) pregunta))?",
    r"(?:vamos a (?:resolver|pensar en|pensar|analizar)|resolvamos|pensemos(?: en)?|analicemos|voy a resolver)"
    r"(?: (?:este|esta|el|la|problema|pregunta))*(?: paso a paso)?",
    # Italian
    r"(?:(?:la|il|mia|mio|ecco la|ecco|questa è la) )*(?:risposta|soluzione|ragionamento|spiegazione|processo di pensiero|"
    r"analisi|"
    r"risultato|passo 1)(?: (?:finale|completa))?(?: (?:è|segue|alla (?:tua|sua) domanda))?",
    r"(?:risolviamo|pensiamo(?: a)?|analizziamo|ragioniamo(?: su)?)(?: (?:questo|questa|il|la|problema|"
    r"domanda))*(?: passo (?:dopo|per) passo)?",
    # Portuguese
    r"(?:(?:a|o|minha|meu|aqui está a|aqui está|eis a|esta é a) )*(?:resposta|solução|raciocínio|explicação|"
    r"processo de pensamento|"
    r"análise|resultado|passo 1)(?: (?:final|completa))?(?: (?:é|segue|à (?:sua|tua) pergunta))?",
    r"(?:vamos (?:resolver|pensar(?: em)?|analisar)|resolvamos|pensemos(?: em)?)(?: (?:este|esta|o|a|problema|questão|"
    r"pergunta))*(?: passo a passo)?",
    # Dutch
    r"(?:(?:het|de|mijn|hier is het|hier is de|hier is mijn) )*(?:antwoord|oplossing|denkproces|gedachtegang|uitleg|redenering|"
    r"resultaat|analyse|stap 1)(?: (?:is|luidt|volgt|op (?:je|uw|de) vraag))?",
    r"(?:laten we|ik ga|ik zal)(?: (?:dit|deze|het|de|probleem|vraag|hierover))*(?: stap voor stap)? (?:oplossen|nadenken|"
    r"bekijken|analyseren)(?: stap voor stap)?",
    # Polish, Turkish
    r"(?:(?:oto|moja|moje|to) )*(?:odpowiedź|rozwiązanie|wyjaśnienie|tok myślenia|analiza|krok 1)(?: (?:brzmi|to))?",
    r"rozwiążmy (?:to|ten|problem|zadanie| )*(?:krok po kroku)?",
    r"(?:işte )?(?:cevap|yanıt|çözüm|açıklama|düşünce süreci|adım 1)(?: (?:şudur|aşağıdadır))?",
    r"(?:bu )?(?:problemi|soruyu) adım adım çözelim",
    # Russian
    r"(?:(?:вот|мой|моё|мое|это|итоговый|окончательный|полное) )*(?:ответ|решение|рассуждение|рассуждения|ход мыслей|"
    r"ход рассуждений|объяснение|анализ|результат|шаг 1)(?: (?:такой|следующий|таков|на (?:ваш|твой) вопрос))?",
    r"(?:давайте|давай)(?: (?:решим|подумаем|разберём|разберем|рассмотрим|проанализируем|эту|этот|это|задачу|вопрос|проблему|"
    r"над|этим))+"
    r"(?: (?:шаг за шагом|пошагово|по шагам))?",
    # Arabic, Hindi
    r"(?:إليك )?(?:الإجابة|الجواب|الحل|الحل النهائي|عملية التفكير|التفسير|الشرح)(?: (?:هي|هو|كالتالي))?",
    r"(?:لنحل|دعنا نحل|دعونا نحل) (?:هذه|هذا|المشكلة|المسألة|السؤال| )*(?:خطوة بخطوة)?",
    r"(?:यहाँ )?(?:उत्तर|समाधान|हल|विचार प्रक्रिया|व्याख्या)(?: (?:है|यह है|इस प्रकार है))?",
    # Chinese, Japanese, Korean: written without the spaces that words get elsewhere
    r"(?:以下是|这是|這是|我的|最终|最終|正确|详细|完整|的)*(?:解|解答|答案|解决方案|回答|答|思考过程|思考過程|思路|解题过程|"
    r"解题思路|推理过程|分析|解析|解释|结论|步骤|第一步)(?:如下|是)?",
    r"(?:让我们|讓我們|我们|我来|让我)(?:来)?(?:一步一步|一步步|逐步|仔细)?(?:地)?(?:来)?(?:解决|思考|分析|解答|推理|想一想|"
    r"想想)(?:一下)?(?:这个|这道|這個)?(?:问题|問題|题|题目)?",
    r"(?:以下が|これが|私の|最終的な|正しい)*(?:答え|回答|解答|解説|かいせつ|解決策|思考過程|考え方|考察|推論|説明|結論|"
    r"ステップ1)(?:は|です|は以下の通りです|は次の通りです|を示します)?",
    r"(?:この|その)?(?:問題|質問)?(?:を|について)?(?:段階的に|ステップバイステップで|順を追って|一歩ずつ)?(?:解きましょう|"
    r"考えましょう|考えてみましょう|解いていきましょう|考えます)",
    r"(?:다음은|여기|제|최종|정확한| )*(?:답변|정답|답|해결책|해결 방법|풀이|사고 과정|생각 과정|해설|설명|분석|결론|"
    r"1단계)(?:은|는|입니다|은 다음과 같습니다|는 다음과 같습니다)?",
    r"(?:이|그)? ?(?:문제|질문)(?:를|을|에 대해)? ?(?:단계별로|차근차근|한 단계씩)? ?(?:풀어 ?봅시다|해결해 ?봅시다|"
    r"생각해 ?봅시다|풀어보겠습니다)",
)
_FILLER = (
    r"(?:sure|okay|ok|first|certainly|of course|alright|all right|absolutely|great|great question|good question|hmm|well|so|"
    r"now|yes|"
    r"gerne|klar|natürlich|bien sûr|d accord|claro|por supuesto|certo|certamente|natuurlijk|конечно|хорошо|好的|好|当然|はい|"
    r"もちろん|네|"
    r"물론입니다)"
)
ANNOUNCEMENT = re.compile(rf"(?:{_FILLER} ?)*(?:(?:{'|'.join((*_ENGLISH, *_OTHERS))})(?: |$))+")

# Frames that hold nothing: tags of thought and answer, an empty box, a fence without code.
EMPTY_FRAMES = re.compile(
    r"</?(?:think|thinking|thought|reasoning|answer|response|solution|output|final|final_answer|scratchpad|reflection)>"
    r"|\\boxed\{\s*\}|```[\w+-]*\s*```|\$\$\s*\$\$",
    re.IGNORECASE,
)
_NO_WORD = re.compile(r"[\W_]+")
ASKS_FOR_WORDS = re.compile(
    r"\b(?:words?|term|translat\w+|synonym|antonym|spell\w*|called|say|repeat|phrase|sentence|title|heading|header|label|"
    r"category|"
    r"classif\w+|choose|pick|select|which|complete|fill|übersetz\w*|wort|heißt|satz|traduis\w*|traduire|mot|traduce|traducir|"
    r"palabra|"
    r"traduci|parola|traduz\w*|palavra|vertaal|woord|переведи\w*|слово)\b|翻译|翻譯|词|単語|訳|단어|번역",
    re.IGNORECASE,
)
"""What the last question says where a lone word like "Solution" may be the answer to it."""


def words_of(text: str) -> str:
    """The words of a text in lower case, with one space between them."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def only_announces(text: str, question: str) -> bool:
    """Whether a text announces an answer to the question and ends there."""
    words = words_of(EMPTY_FRAMES.sub(" ", text))
    if len(words) > LONGEST or not ANNOUNCEMENT.fullmatch(words):
        return False
    # What announces with a colon is no word that was asked for; "Solution" may be, and so may what the question names.
    open_ended = text.rstrip().endswith((":", "：", "…", "..."))
    return open_ended or not (ASKS_FOR_WORDS.search(question) or words in words_of(question))
