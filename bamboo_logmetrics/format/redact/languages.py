"""Names of a password in languages other than English."""

from __future__ import annotations

import re

# without signs and marks between the letters; each is long or rare enough to be no part of an English name
_LATIN = (
    "passwort", "kennwort", "contrasena", "contrasenya", "motdepasse", "senha", "wachtwoord", "parola", "parolachiave",
    "haslo", "losenord", "passord", "adgangskode", "salasana", "jelszo", "heslo", "sifre", "katasandi", "geheimnis",
    "schlusselwort", "palavrapasse", "matkhau",
)  # fmt: skip
# as they are written; a text that is not ASCII is searched for them
WORDS = (
    "contraseña", "parolă", "hasło", "lösenord", "jelszó", "şifre", "mật khẩu", "пароль", "секрет",
    "密码", "密碼", "口令", "密钥", "密鑰", "パスワード", "暗証番号", "비밀번호", "암호", "κωδικός", "סיסמה",
    "كلمة المرور", "كلمة السر", "पासवर्ड", "รหัสผ่าน", "api-schlüssel", "clé api",
)  # fmt: skip
# the first word of a sentence about a password, instead of the password
PROSE = frozenset(
    str.split(
        "nicht kein zu falsch muss darf ungültig erforderlich vergessen le la les el los o os um uma une est es não "
        "requerida requerido obligatoria obligatorio incorrecta incorrecto inválida inválido obligatoire incorrecte "
        "invalide manquant oublié obrigatória obrigatório incorreta incorreto vazia не должен неверный неверен уже "
        "обязателен"
    )
)
CHINESE_PROSE = tuple("不必错錯误誤无無未请請为為が")
# what a text in lower case is searched for: no word of it holds another
STEMS = (b"kennwort", b"contrase", b"senha", b"wachtwoord", b"parola", b"adgangskode", b"salasana", b"heslo", b"mdp")
_SIGNS = re.compile(r"[\W_\d]+")


def is_foreign_password(name: str) -> bool:
    """Return True for a name with the word for a password in another language: at its end, or between two signs."""
    parts = _SIGNS.split(name.lower())
    return not _SINGLE.isdisjoint(parts) or "".join(parts).endswith(_WRITTEN) or "".join(parts[:3]) == "motdepasse"


def foreign_names(text: str) -> list[tuple[int, int]]:
    """Return the places of the words for a password that are not ASCII."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = text
    words = [word for word in WORDS if word in lower]
    return [match.span() for word in words for match in re.finditer(re.escape(word), lower)]


_WRITTEN = (*_LATIN, *("".join(_SIGNS.split(word)) for word in WORDS))
_SINGLE = frozenset(_WRITTEN)
