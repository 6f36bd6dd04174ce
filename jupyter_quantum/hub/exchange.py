"""Is this token what it says? Signature, times, id; by whose keys, :mod:`jupyter_quantum.hub.issuers` knows.

Each refusal has a code and says no more: neither what was expected, nor which of several things was almost right.
"""

from __future__ import annotations

import base64
import json
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning, UnsupportedAlgorithmError

from jupyter_quantum.exceptions import Unauthenticated
from jupyter_quantum.hub.issuers import Issuers
from jupyter_quantum.pipeline.workloads import Claims

__all__ = ["ALGORITHMS", "Verifier"]

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
_LEEWAY_S: Final = 30
_LIFE_S: Final = 600
_LONGEST: Final = 255


def _refused(code: str, message: str = "This token is not accepted.") -> Unauthenticated:
    return Unauthenticated(message, code=f"token.{code}")


class Verifier:
    """Checks tokens of the issuers that some project declares.

    Args:
        issuers: their keys.
        declared: which issuers those are, now.
        clock: seconds since 1970.
    """

    def __init__(
        self, issuers: Issuers, declared: Callable[[], Collection[str]], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._issuers = issuers
        self._declared = declared
        self._clock = clock

    async def verify(self, token: str) -> Claims:
        """What the token says, once it is known to be true. Raises Unauthenticated with a code ``token.…``."""
        header, said = _peek(token)
        issuer = said.get("iss")
        if not isinstance(issuer, str) or issuer not in self._declared():
            raise _refused("issuer")
        if header.get("alg") not in ALGORITHMS:
            raise _refused("algorithm", f"Tokens are signed with one of {', '.join(ALGORITHMS)}.")
        kid = header.get("kid")
        keys = await self._issuers.keys(issuer, kid if isinstance(kid, str) else None)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # EdDSA by its older name is what issuers write
                found = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
        except UnsupportedAlgorithmError:
            raise _refused("algorithm", f"Tokens are signed with one of {', '.join(ALGORITHMS)}.") from None
        except (JoseError, ValueError, TypeError):
            raise _refused("signature") from None
        if found.claims.get("iss") != issuer:  # whose keys these are
            raise _refused("issuer")
        return self._checked(found.claims)

    def _checked(self, said: Mapping[str, Any]) -> Claims:
        now = self._clock()
        issued, expires = _moment(said, "iat"), _moment(said, "exp")
        begins = _moment(said, "nbf") if "nbf" in said else issued
        if expires <= now - _LEEWAY_S:
            raise _refused("expired", "This token has expired.")
        if max(issued, begins) > now + _LEEWAY_S:
            raise _refused("early", "This token is not valid yet; is a clock wrong?")
        if not 0 < expires - issued <= _LIFE_S:
            raise _refused("lifetime", f"Tokens to exchange live at most {_LIFE_S} seconds.")
        audience = said.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
            raise _refused("audience")
        return Claims(
            issuer=str(said["iss"]),
            subject=_text(said, "sub"),
            audiences=frozenset(audiences),
            id=_text(said, "jti"),
            expires=expires,
        )


def _peek(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims of a token, not believed yet: they only say whose keys to ask for."""
    parts = token.split(".")
    try:
        if len(parts) != 3:
            raise ValueError
        header, said = (json.loads(base64.urlsafe_b64decode(one + "=" * (-len(one) % 4))) for one in parts[:2])
        if not (isinstance(header, dict) and isinstance(said, dict)):
            raise ValueError
    except (ValueError, RecursionError):
        raise _refused("malformed", "This is not a signed JWT.") from None
    return header, said


def _moment(said: Mapping[str, Any], name: str) -> float:
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        raise _refused(name, f"The token needs the claim {name}.")
    return float(value)


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise _refused(name, f"The token needs the claim {name}.")
    return value
