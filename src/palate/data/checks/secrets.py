"""Keys, and data about people, inside texts: patterns that are rarely anything else.

What is found is named by its kind and place, and never quoted: a report travels further than the
data. Numbers must pass their check digits (Luhn, ISO 7064), so that order numbers stay silent.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple


class _Pattern(NamedTuple):
    """A kind of secret: `hint` is text that each of them holds, looked for first as it is fast."""

    kind: str
    hint: str
    shape: re.Pattern[str]


class Found(NamedTuple):
    """A secret or a piece of personal data: what it is, and the character where it starts."""

    kind: str
    start: int


_KEYS = (
    _Pattern("private key", "PRIVATE KEY", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    _Pattern("AWS access key", "AKIA", re.compile(r"\bAKIA[0-9A-Z]{16}\b")),
    _Pattern("GitHub token", "gh", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b")),
    _Pattern("GitHub token", "github_pat_", re.compile(r"\bgithub_pat_\w{50,}\b")),
    _Pattern("Hugging Face token", "hf_", re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")),
    _Pattern("API key (sk-…)", "sk-", re.compile(r"\bsk-[A-Za-z0-9_-]{20,}")),
    _Pattern("Slack token", "xox", re.compile(r"\bxox[abposr]-[A-Za-z0-9-]{10,}")),
    _Pattern("Google API key", "AIza", re.compile(r"\bAIza[\w-]{35}\b")),
    _Pattern("JSON web token", "eyJ", re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")),
    _Pattern("password in a URL", "://", re.compile(r"\b[a-z]+://[^\s:/@]+:[^\s:/@]+@[^\s/]+")),
)
# Domains that are set aside for examples (RFC 2606) belong to nobody.
_EMAIL = re.compile(
    r"\b[\w.+-]+@(?!example\.|test\.)(?:[A-Za-z0-9-]+\.)+(?!example\b|test\b|invalid\b)[A-Za-z]{2,}\b"
)
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\+?\(?\d[\d ().-]{7,}\d")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_PHONE = re.compile(r"\+\d[\d ().-]{8,17}\d|\(\d{3}\) ?\d{3}-\d{4}|\b\d{3}-\d{3}-\d{4}")
_CARD = re.compile(r"[3-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ -]?)\d{6}\2\d{5}")


def find_secrets(text: str) -> Iterator[Found]:
    """Find keys and tokens that open something."""
    for pattern in _KEYS:
        if pattern.hint in text:
            for match in pattern.shape.finditer(text):
                yield Found(pattern.kind, match.start())


def find_personal_data(text: str) -> Iterator[Found]:
    """Find e-mail addresses, card numbers, IBANs and phone numbers."""
    if "@" in text:
        for match in _EMAIL.finditer(text):
            yield Found("e-mail address", match.start())
    if not _DIGIT.search(text):  # all that follows has digits, and few texts do
        return
    for match in _NUMBER.finditer(text):
        number = match[0]
        if _CARD.fullmatch(number) and has_luhn_digit(number):
            yield Found("card number", match.start())
        elif _PHONE.fullmatch(number):
            yield Found("phone number", match.start())
    for match in _IBAN.finditer(text):
        if is_iban(match[0]):
            yield Found("IBAN", match.start())


def has_luhn_digit(number: str) -> bool:
    """Tell whether the last digit is the check digit of a card number (ISO/IEC 7812-1, Luhn)."""
    digits = [int(sign) for sign in reversed(number) if sign.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Tell whether the two check digits of an account number fit (ISO 13616, modulo 97)."""
    packed = text.replace(" ", "")
    if not 15 <= len(packed) <= 34:
        return False
    return int("".join(str(int(sign, 36)) for sign in packed[4:] + packed[:4])) % 97 == 1
