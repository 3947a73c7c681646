import pytest

from palate.measures.language import language_of


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("English", "The quick brown fox jumps over the lazy dog, and that is what they said."),
        ("German", "Wie geht es dir? Ich habe das nicht gewusst und es ist auch nicht wichtig."),
        ("French", "Je ne sais pas ce que vous voulez dire, mais c'est une bonne question."),
        ("Spanish", "No sé lo que usted quiere decir, pero es una pregunta muy buena para todos."),
        ("Italian", "Non so che cosa vuole dire, ma è una bella domanda e anche molto difficile."),
        ("Portuguese", "Eu não sei o que você quer dizer, mas é uma pergunta muito boa para nós."),
        ("Dutch", "Ik weet niet wat je bedoelt, maar het is een goede vraag en ook voor mij."),
        ("Polish", "Nie wiem, co to jest, ale może już jutro będzie jeszcze tak samo jak dziś."),
        ("Turkish", "Bu çok güzel bir soru ama ben ne olduğunu daha bilmiyorum, sen ve o için."),
        ("Cyrillic", "Привет, как дела? Сегодня хорошая погода."),
        ("Greek", "Δεν ξέρω τι εννοείς με αυτό"),
        ("Arabic", "لا أعرف ماذا تقصد بهذا السؤال"),
        ("Hangul", "무슨 말인지 잘 모르겠지만 좋은 질문이라고 생각합니다"),
        ("Japanese", "これは日本語の文章です。漢字とかなが混ざっています。"),
        ("Han", "这是一个测试，我们需要更多的汉字来判断语言，二十个字以上。"),
    ],
)
def test_plain_evidence_is_named(language: str, text: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No.",
        "Paris",
        "def f(x): return x + 1",
        "12 + 30 = 42",
        "Привет всем, how are you and what",
    ],
)
def test_thin_or_mixed_evidence_is_none(text: str) -> None:
    assert language_of(text) is None


def test_only_the_beginning_counts() -> None:
    english = "This is what they have said to us about it. " * 30
    assert language_of(english + "Je ne sais pas ce que vous voulez dire. " * 100) == "English"
