import pytest

from palate.data.checks.secrets import (
    find_personal_data,
    find_secrets,
    has_luhn_digit,
    is_iban,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("AKIAIOSFODNN7EXAMPLE", "AWS access key"),
        ("ghp_" + "a1B2" * 9, "GitHub token"),
        ("github_pat_" + "a1B2" * 13, "GitHub token"),
        ("hf_" + "abcDEF" * 6, "Hugging Face token"),
        ("sk-proj-" + "a1B2" * 5, "API key (sk-…)"),
        ("xoxb-123456789012-abc", "Slack token"),
        ("AIza" + "a1B2c" * 7, "Google API key"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeK", "JSON web token"),
        ("postgres://me:hunter2@db.internal/x", "password in a URL"),
    ],
)
def test_keys_are_found_where_they_start(text: str, kind: str) -> None:
    assert [tuple(found) for found in find_secrets(f"See: {text} .")] == [(kind, 5)]


@pytest.mark.parametrize(
    "text",
    ["ask-me-anything-about-it-now", "AKIA", "https://a.org:80/b@c", "task-risk-free"],
)
def test_what_only_looks_like_a_key_is_silent(text: str) -> None:
    assert list(find_secrets(text)) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jane.doe+x@mail.co.uk", "e-mail address"),
        ("4111-1111-1111-1111", "card number"),
        ("3782 822463 10005", "card number"),
        ("+44 20 7946 0958", "phone number"),
        ("(212) 555-0187", "phone number"),
        ("GB29 NWBK 6016 1331 9268 19", "IBAN"),
        ("DE89370400440532013000", "IBAN"),
    ],
)
def test_personal_data_is_found_where_it_starts(text: str, kind: str) -> None:
    assert [tuple(found) for found in find_personal_data(f"It is {text}")] == [(kind, 6)]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # the check digit is wrong
        "0000 0000 0000 0000",
        "DE88370400440532013000",
        "in 1914-1918 and 1939-1945",
        "3.14159265358979",
        "2024-11-24 12:00:00",
        "order 12345678901",
        "write to you@example.com",
        "a @ b",
    ],
)
def test_other_numbers_and_examples_are_silent(text: str) -> None:
    assert list(find_personal_data(text)) == []


def test_check_digits() -> None:
    # 7992739871 has the check digit 3: the textbook example of Luhn's rule.
    assert [last for last in range(10) if has_luhn_digit(f"7992739871{last}")] == [3]
    assert is_iban("GB82 WEST 1234 5698 7654 32")
    assert not is_iban("GB83 WEST 1234 5698 7654 32")
    assert not is_iban("GB82")
