import pytest

from continuum.similarity.languages import LANGUAGES, language_of, words_of
from continuum.similarity.normalise import canonical


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("how do i cancel my subscription", "en"),
        ("Wie kann ich mein Konto schließen?", "de"),
        ("J'ai perdu ma carte et je ne peux pas payer", "fr"),
        ("No puedo pagar con mi tarjeta", "es"),
        ("nechci zrušit objednávku a to hned", "other"),
        ("não consigo pagar com meu cartão", "other"),
        ("привет, я не хочу платить", "other"),
        ("我不要退款", "other"),
        ("मुझे पैसे वापस नहीं चाहिए", "other"),
        ("xk7 4471", "other"),
        ("", "other"),
    ],
)
def test_a_language_is_told_by_its_small_words(text: str, code: str) -> None:
    assert language_of(words_of(canonical(text))).code == code


def test_vowel_signs_belong_to_their_word_and_unspaced_scripts_give_a_word_a_character() -> None:
    assert words_of("की का") == ["की", "का"]
    assert words_of("不要 ok") == ["不", "要", "ok"]


def test_a_word_denies_or_fills_but_not_both() -> None:
    for language in LANGUAGES:
        assert not language.function & language.negations, language.code
        assert not language.function & language.exact, language.code
        assert not language.negations & language.exact, language.code
        assert all(word == canonical(word) for word in language.small)
