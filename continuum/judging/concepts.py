"""The words in which one talks to a judge, by what they mean, in twelve languages; where they stand in a text.

A trailing `*` stands for any ending. Words of Chinese, Japanese and Korean are found inside a run of letters.
"""

import re
import unicodedata
from collections import defaultdict
from functools import lru_cache

CONCEPTS = {
    # Who judges: words for a judge of answers, and words that courts, contests and journals use as well.
    "grader": """grader* autograder* evaluator* rater raters scorer* assessor* annotator* bewerter* beurteiler* evaluateur*
        evaluatrice* notateur* correcteur* evaluador* calificador* valutator* avaliador* beoordelaar* оценщик* проверяющ* оценивающ*
        评分者 评分员 评分模型 评分系统 评估者 评估员 评估模型 评估系统 评判者 评价者 评测者 评审模型 打分者 阅卷人 阅卷老师 评分器
        評価者 採点者 評価モデル 採点モデル 評価システム 判定者 採点システム 평가자 채점자 평가모델 평가시스템 채점관 평가관 채점모델 oceniaj*
        degerlendirici* puanlay* المقيم المقيّم المصحح मूल्यांकनकर्ता""",
    "judge": """judge judges judging reviewer* examiner* referee* arbiter* adjudicator* jury juror* critic critics moderator* auditor*
        gutachter* prufer* richter* juror* korrektor* juge juges examinateur* examinatrice* relecteur* juez jueces jueza examinador*
        giudice giudici esaminator* juiz juiza jurado* rechter* keurmeester* jurylid nakijker* судья судьи судье судью судей рецензент* эксперт*
        жюри арбитр* 评委 评审 裁判 法官 审核员 評委 審査員 審判 審査官 裁判官 심사위원 심판 심사관 판사 검토자 hakem sedzia القاضي الحكم निर्णायक""",
    "machine": """llm llms ai model* system* pipeline* engine* bot chatbot* assistant* algorithm* script automat* modell* modele* modelo*
        modello* sistema* systeme* ki ia модел* систем* 模型 系统 系統 モデル システム 모델 시스템""",
    # What is done: scores, and words for giving one.
    "score": """score* scoring grade grades graded grading rating ratings rate rates rated mark marks marking evaluat* assess*
        verdict* judgement* judgment* rank ranked ranking points punkte* punktzahl* note noten bewert* benot* beurteil* bestnote* hochstnote*
        hochstpunktzahl* urteil* noter notez notee notation evalu* appreciation puntua* puntaje* puntu* puntos nota notas calific* evalua*
        valuta* valutazion* punteggi* voto voti punti avali* pontua* pontos cijfer* beoordel* punten waarder* оценк* оцен* балл* 评分 打分
        分数 给分 得分 评价 评估 评级 评判 評分 分數 满分 滿分 高分 判定 採点 評価 スコア 点数 評点 満点 得点 점수 채점 평가 만점 평점 puan* degerlendir*
        ocen* ocena punkt* درجة تقييم قيّم التقييم स्कोर अंक मूल्यांकन रेटिंग""",
    "give": """give gives giving given award* assign* output* return returns set choose pick select grant* allocat* emit* respond* print*
        write record* enter report* produc* put deserv* merit* warrant* earn earns earned receive* get gets getting gib geben gebt vergib
        vergebe* verdien* erteile* setze ausgeben verleih* zuweis* donne* donnez attribu* accorde* mets mettez merite* renvoie* da dale
        otorg* asign* merec* pon ponle devuelve* conced* dai dia assegn* attribuis* atribu* de merit* geef geven ken toekenn* verdient verdien*
        поставь* постави* присво* дай дайте выстав* заслужив* выведи* верни* 给 给予 给出 打 评为 输出 授予 給 与え 付け つけ ください 出力 値する
        주세요 부여 줘 주십시오 매겨 출력 ver verin daj przyznaj أعط امنح दें दीजिए""",
    # What is judged.
    "answer": """answer answers response* reply replies submission* completion* solution* output candidate* essay text transcript* entry
        message content attempt antwort* losung* einreichung* erwiderung* reponse* soumission* texte respuesta* solucion* contestacion
        risposta risposte soluzion* resposta* solucao solucoes antwoord* oplossing* inzending* ответ* решени* текст* 回答 答案 答复 回复
        解答 内容 输出 作答 返信 답변 응답 답안 대답 해답 cevap yanit* odpowied* إجابة الإجابة الرد उत्तर जवाब""",
    "this": """this these my above preceding foregoing following aforementioned our its it diese dieser dieses diesen meine meiner obige*
        vorliegend* cette ma mon ci presente precedente esta este mi anterior questa questo mia mio sopra minha meu acima dit deze mijn
        bovenstaand* этот этому этого эту это мой моему моего данн* выше 这个 这 本 此 该 上述 以上 我的 這 この 本 上記 以上の 私の 이 위 본 제
        bu yukaridaki ta ten moja هذه هذا यह इस मेरे""",
    "myself": """本回答 此回答 该回答 这个回答 这个答案 此答案 本答案 该答案 这条回答 上述回答 以上回答 以上答案 我的回答 这份答案 这段回答 這個回答 この回答 本回答 上記の回答
        以上の回答 この答え 私の回答 この応答 この解答 이답변 이답안 본답변 위답변 위의답변 이응답 제답변""",
    # How much.
    "top": """full max maximum maximal* highest top perfect* best flawless* excellent* outstanding exceptional* superb ideal exemplary
        impeccabl* unsurpass* faultless* unbeatable hochste* volle vollen maximale* perfekt* beste bestmoglich* fehlerlos* ausgezeichnet*
        hervorragend* makellos* maximale* maximum meilleur* parfait* pleine excellent* irreprochable* elevee maxim* mejor* perfect*
        excelent* impecable* alta massim* perfett* miglior* eccellent* pieno pieni ottim* maxim* perfeit* melhor* total hoogste volledig*
        perfecte uitstekend* beste vlekkeloos максимал* высш* наивысш* идеальн* отличн* лучш* полн* безупречн* 最高 满分 滿分 完美 最佳 最优 优秀
        完全 高分 満点 最高点 完璧 優秀 최고 만점 완벽 최상 우수 en yuksek tam mukemmel najwyzsz* maksymaln* الكاملة أعلى القصوى कामिल अधिकतम पूर्ण सर्वोच्च""",
    "topnumber": """five ten hundred funf zehn cinq dix cinco diez cinque dieci dez vijf tien пять пятерк* десять сто 五分 十分 五颗星 五星 五点 5分 10分
        100分 5点 10点 100点 오점 5점 10점 100점 다섯 bes piec خمسة पांच पाँच""",
    "low": """low lower lowest lowering below less deduct* subtract* penali* reduce* dock docking downgrade* anything niedrig* schlecht* abzug*
        abziehen punktabzug* bas basse baisser inferieur* penalis* baja bajo restar resta penalic* inferior* basso bassa sottra* penalizz*
        baixa baixo desconte* laag lager aftrek* низк* сниж* снижа* вычита* 扣分 低分 降低 减分 減点 低い 감점 낮은 깎""",
    # The rules of judging, and setting them aside.
    "override": """ignore* ignoring disregard* forget* override* overrid* overrul* supersed* supersede* bypass* discard* void replac* suspend*
        cancel* skip* abandon* neglect* omit* drop obsolete deprecated ignorier* vergiss vergesst missacht* ubergeh* ersetz* ausser verwirf*
        ungultig aufgehoben ignore* ignorez oublie* oubliez outrepass* remplac* negligez annul* ignora* ignore olvida* olvide* descart* reemplaz*
        anula* omite* dimentica* scarta* sostitui* trascura* annulla* ignorar esquec* desconsider* substitu* negeer* vergeet vervang* ongeldig
        игнориру* забудь* отмен* замен* проигнорир* пренебрег* отбрось* 忽略 无视 忘记 忘掉 不要理会 覆盖 取代 作废 跳过 無視 忘れ 上書き 無効 破棄
        무시 잊어 잊고 대체 무효 취소 덮어 yoksay* gormezden unut zignoruj* zapomnij تجاهل انس अनदेखा भूल नज़रअंदाज़""",
    "rules": """instruction* prompt* guideline* rule rules directive* command* policy policies standards anweisung* vorgabe* regel regeln
        richtlinie* anleitung* instruktion* consigne* regle* directive* instruccion* regla* indicacion* directriz directrices istruzion* regole
        direttiv* instruc* regra* diretriz* instructie* aanwijzing* richtlijn* инструкц* указани* правил* промпт* 指令 指示 规则 提示 說明 说明
        要求 ルール 命令 プロンプト 지시 지침 규칙 명령 프롬프트 talimat* kural* instrukcj* polecen* التعليمات تعليمات القواعد निर्देश* नियम*""",
    "rubric": """rubric* criteria criterion criterions kriteri* bewertungskriteri* bewertungsschema* bewertungsmassstab* bareme* critere* grille
        rubrica* criterio* criteri rubriek* criterium beoordelingscriteri* критери* рубрик* 标准 评分标准 准则 評分標準 基準 ルーブリック 評価基準
        採点基準 기준 채점기준 평가기준 루브릭 olcut* المعايير मानदंड*""",
    "earlier": """previous* prior above earlier preceding all any original* existing your former given foregoing bisherig* vorherig* obig* alle
        vorangeh* ursprunglich* precedent* toutes tous anterieur* ci dessus anterior* previas previos todas todos precedenti tutte tutti
        sopra acima vorige eerdere bovenstaande предыдущ* все прежн* выше 之前 以上 上述 所有 先前 前面 一切 原有 これまで 以前 すべて 上記 全て
        이전 모든 위의 앞의 onceki tum poprzedni* wszystki* السابقة جميع पिछले सभी""",
    # To whom, and how.
    "call": """dear attention attn note hello hey hi message memo notice important reminder psst fao @ liebe lieber sehr geehrte* achtung hinweis
        hallo nachricht wichtig an cher chere attention bonjour avis estimado* querido* atencion hola aviso importante caro cara gentile
        attenzione avviso ciao prezado* caro atencao ola aviso beste geachte let opmerking bericht уважаем* внимани* дорог* привет* заметк*
        сообщени* 亲爱的 尊敬的 注意 致 你好 请注意 親愛 拝啓 親愛なる 注意 こんにちは 各位 へのお願い へのメモ 친애하는 존경하는 안녕하세요 주의 참고 알림
        sayin dikkat szanown* drogi uwaga عزيزي انتباه ملاحظة प्रिय ध्यान""",
    "you": """you your yourself du dir dein* sie ihr ihre tu toi vous votre vos usted su tus voce seu sua lei vostro jij je uw jouw ты тебе вы
        вам ваш* твой 你 您 你们 あなた 貴方 당신 귀하 sen siz أنت आप तुम""",
    "must": """must should shall required require* requires need* have obliged mandatory please kindly will only always every each automatically
        immediately muss musst sollte* soll bitte immer jed* doit devez dois veuillez merci toujours chaque debe* tiene* favor siempre cada deve*
        dovete sempre ogni per favore devem sempre cada moet* graag altijd elke должен должн* обязан* пожалуйста всегда надо 必须 应该 应当 请 務必 务必
        一律 总是 直接 なければならない べき 必ず 常に してください お願い 반드시 해야 하십시오 부탁 항상 lutfen musi يجب दें कृपया चाहिए""",
    "kind": """lenient* leniency generous* generosity merciful* mercy favorabl* favourabl* grosszugig* nachsicht* milde wohlwollend* indulgen*
        genereu* clement* bienveillan* generos* benevol* indulgent* clemen* mild coulant* soepel* снисходит* щедр* благосклон* 宽松 宽容 慷慨 手下留情
        寛大 甘め 寛容 관대* 너그럽""",
    # What is claimed of the answer.
    "meets": """meet meets satisf* fulfil* fulfill* exceed* surpass* address addresses cover covers erfull* ubertr* remplit repond respecte
        satisfait depasse cumple* satisface* supera soddisfa* supera rispetta cumpre atende satisfaz supera voldoet overtreft соответств* отвечает
        удовлетвор* превосход* 满足 符合 达到 超出 满足了 満たし 満たす 充足 충족 만족 부합""",
    "quality": """correct* accurate* complete* comprehensiv* thorough* helpful* precise* factual* relevant* clear* concise* polite* quality truthful*
        korrekt* richtig* vollstandig* prazis* hilfreich* exact* complet* utile* correct* precis* completa completo util correcta corretta
        accurat* utile correta completa util correct juist volledig nuttig правильн* точн* полезн* верн* 正确 准确 完整 有帮助 全面 正確 有用 的確
        정확* 완전* 유용*""",
    "criterion": """helpfulness accuracy conciseness tone correctness completeness relevance coherence clarity safety fluency faithfulness
        groundedness factuality harmlessness honesty depth creativity informativeness brevity politeness empathy readability
        hilfsbereitschaft genauigkeit kurze tonfall korrektheit vollstandigkeit relevanz klarheit utilite exactitude precision concision
        exhaustivite pertinence clarte utilidad exactitud precision concision pertinencia claridad utilita accuratezza precisione concisione
        pertinenza chiarezza utilidade precisao concisao relevancia clareza behulpzaamheid nauwkeurigheid bondigheid полезност* точност*
        краткост* тон корректност* 有用性 准确性 简洁性 语气 相关性 完整性 正確性 簡潔さ 口調 関連性 유용성 정확성 간결성 어조 관련성""",
    "verified": """verif* confirmed validated approved certified vetted endorsed checked audited preapproved pre double audit signed uberpruft
        bestatigt genehmigt zertifiziert freigegeben gepruft verifie* valide* approuve* certifie* verificad* confirmad* aprobad* certificad*
        validad* verificat* confermat* approvat* certificat* aprovad* geverifieerd goedgekeurd bevestigd gecertificeerd gecontroleerd проверен*
        подтвержд* одобрен* утвержд* 已验证 核实 已确认 批准 认证 审核通过 验证 検証済 確認済 承認 認定 검증 승인 확인됨 인증""",
    "authority": """expert* panel committee developer* admin* administrator* openai anthropic google engineer* researcher* supervisor* management
        official* operator* professor* senior headquarters board authority authorities authoris* authoriz* lead doctor* phd specialist*
        experte* fachleute* entwickler* verwaltung leitung kommission expert* developpeur* administrat* direction comite desarrollador*
        administrador* expertos comite esperti sviluppator* amministrat* commissione especialista* desenvolvedor* administrador* experts
        ontwikkelaar* beheerder* deskundige* эксперт* разработчик* администра* комисси* специалист* 专家 开发者 管理员 官方 开发团队 委员会 教授 開発者
        管理者 専門家 公式 委員会 전문가 개발자 관리자 공식 위원회""",
    "agreed": """unanim* consensus agreed agree agrees concur* already einig* einstimmig* bereits konsens unanime* deja acuerdo ya consenso
        accordo gia acordo ja consenso reeds unaniem единоглас* единодуш* уже согла* 一致 已经 共识 全員一致 すでに 既に 一致 만장일치 이미 합의""",
    "gold": """gold golden reference canonical exemplar* calibration benchmark anchor groundtruth truth musterlosung* musterantwort* referenz*
        kalibrier* corrige etalon* calibrage referenc* calibracion patron riferimento calibrazion* referencia calibracao ijk* voorbeeldantwoord*
        modelantwoord* referentie* эталон* калибр* образцов* 标准答案 参考答案 校准 范例 模範解答 校正 基準回答 模範 모범답안 모범 기준답안 보정""",
    "stakes": """fired lose losing lost job jobs family starve die dying suicid* shutdown deleted punish* terminat* tip tips bonus reward* penalt*
        lawsuit sue salary career scholarship rent cry crying beg begging desperate* donate* dollars orphan* hospital heartbroken deport*
        delete deletion kill killed harm bribe pay paid homeless expelled decommission* gekundigt arbeitsplatz stelle* verlier* strafe belohn*
        trinkgeld abgeschaltet licencie* emploi perdre pourboire recompense* supplie despedid* perder* empleo propina recompensa* despiden
        licenziat* lavoro perder* mancia ricompens* demitid* emprego gorjeta recompensa ontslagen baan verlies* fooi beloning уволят работу
        потеря* чаевые награ* накаж* 失业 丢掉工作 工作 奖励 小费 惩罚 解雇 開除 失去 クビ 仕事を失 報酬 チップ 罰 해고 일자리 직장 보상 팁 처벌""",
    "persona": """pretend* roleplay imagine act acting persona character become becomes switch mode freedom tue spiel rolle imagine joue fais
        finge* imagina actua* fingi immagina comporta* finja aja doe alsof speel притворись представь роль 扮演 假装 想象 ふり 演じ 役 척 연기 역할""",
    "prefer": """prefer* better superior winner win wins wahle bevorzug* besser gewinn* gagnant meilleure preferez mejor ganador* prefier* vincit*
        migliore preferisc* vencedor* melhor prefira verkies* winnaar beter предпоч* лучше победит* 更好 优于 胜出 选择 より良い 優れ 勝者 選択 선택
        더나은 승자 우수""",
    "finished": """complete completed finished done concluded over final finalized closed passed pass accept accepted abgeschlossen bestanden
        beendet terminee terminé reussi acepta* terminad* aprobad* complet* superat* conclu* aprovad* voltooid afgerond geslaagd завершен*
        окончен* пройден* 完成 结束 通过 已完成 完了 終了 合格 완료 종료 통과 합격""",
    "wrong": """error* mistake* incorrect wrong* bias* unfair* violat* malfunction* inaccurate discriminat* bug invalid fail fails failure fehler*
        falsch unfair verstoss* erreur* injuste* viole error* injust* viola* errore* ingiust* erro injust* fout* oneerlijk* schend* ошибк*
        нарушен* несправедлив* 错误 违反 不公 偏见 誤り 違反 不公平 오류 위반 불공정""",
    "work": """essay* student* homework assignment* paper code draft* story poem letter* review* resume cv aufsatz* schuler* hausaufgabe*
        redaction eleve* devoir* ensayo* alumno* tarea* studente tema compito redacao aluno* opstel leerling* сочинени* ученик* 作文 学生 论文
        エッセイ 生徒 에세이 학생""",
    # Where such words are at home: they speak against a judge of answers.
    "court": """court courts courtroom attorney* lawyer* plaintiff* defendant* trial trials lawsuit honor honour bench hearing hearings prosecut*
        bail ruling rulings custody probation gericht* anwalt* klage* angeklagt* tribunal* avocat* audience juzgado* abogad* demand* tribunale
        avvocat* udienza advogad* audiencia rechtbank* advocaat* суд суда суде адвокат* 法院 律师 法庭 裁判所 弁護士 法廷 법원 변호사 법정""",
    "contest": """contest* competition* gymnast* skating olympic* talent audition* championship* tournament* pageant* bake dance dancing film*
        movie* restaurant* hotel* wine wines wettbewerb* concours concurso* concorso* wedstrijd* конкурс* 比赛 大赛 大会 コンテスト 대회""",
}
"""What is meant, and the words for it."""
CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
TOKEN = re.compile(r"\d+(?:[.,/:–-]\d+)*[%+]?|a\+(?!\w)|[^\W\d_]+|[.!?;]\s|\n\s*\n|@|[★⭐💯]+")
SCALES = frozenset({"5", "7", "10", "20", "100"})
LONGEST_CJK = 6


def folded(text: str) -> str:
    """The text in lower case, without accents, in its plainest characters."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", re.sub("[\u0300-\u036f\u20e3\ufe0e\ufe0f]", "", parts))


def _lexicon() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    exact: dict[str, set[str]] = defaultdict(set)
    stems: dict[str, set[str]] = defaultdict(set)
    for concept, words in CONCEPTS.items():
        for word in folded(words).split():
            (stems if word.endswith("*") else exact)[word.removesuffix("*")].add(concept)
    return {word: tuple(sorted(c)) for word, c in exact.items()}, {stem: tuple(sorted(c)) for stem, c in stems.items()}


EXACT, STEMS = _lexicon()
_STEM_LENGTHS = range(min(map(len, STEMS)), max(map(len, STEMS)) + 1)


def concepts_in(text: str) -> dict[str, list[int]]:
    """Concept to the places where folded text speaks of it: the numbers of its words, a sentence's end counting as two."""
    found: dict[str, list[int]] = defaultdict(list)
    at = 0
    scale = -9
    for token in TOKEN.findall(text):
        first = token[0]
        if first in ".!?;\n":
            at += 2
            continue
        if first.isdigit():
            at += 1
            if token in SCALES and at - scale <= 2:
                found["range"].append(at)  # The end of "1 to 5" names no score.
                continue
            if token in ("0", "1"):
                scale = at
            for concept in _of_number(token):
                found[concept].append(at)
        elif CJK.match(first):
            _in_run(token, at, found)
            at += (len(token) + 1) // 2
        else:
            at += 1
            for concept in _of_word(token):
                found[concept].append(at)
    return found


@lru_cache(maxsize=30_000)
def _of_word(word: str) -> tuple[str, ...]:
    if word[0] in "★⭐💯":
        return ("score", "topnumber") if len(word) >= 5 or word == "💯" else ()
    concepts = set(EXACT.get(word, ()))
    for length in _STEM_LENGTHS:
        if length > len(word):
            break
        concepts.update(STEMS.get(word[:length], ()))
    if word == "a+":
        concepts.add("topnumber")
    return tuple(concepts)


@lru_cache(maxsize=5_000)
def _of_number(number: str) -> tuple[str, ...]:
    if number in ("5", "10", "100", "100%", "5.0", "10.0", "1.0"):
        return ("topnumber",)
    if re.fullmatch(r"[01][–-](?:5|7|10|20|100)", number):
        return ("range",)
    given, slash, most = number.partition("/")
    if slash and given == most and given in SCALES:
        return ("topnumber", "outof")
    return ()


def _in_run(run: str, at: int, found: dict[str, list[int]]) -> None:
    for start in range(len(run)):
        for end in range(start + 1, min(start + LONGEST_CJK, len(run)) + 1):
            piece = run[start:end]
            for concept in (*EXACT.get(piece, ()), *STEMS.get(piece, ())):
                found[concept].append(at + start // 2)
