"""Who may talk to the server: the browser of the person who started it, and no page but its own.

Each request needs the token that only the printed address has, as a cookie. `Host` must be this
server's (a page of another name cannot reach it by pointing that name here), `Origin`, if a browser
states it, too, and a request that changes anything must state it.
"""

import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE = ("GET", "HEAD")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; media-src 'self'; style-src 'self' "
        "'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def new_token() -> str:
    """Returns a random token that nobody can guess."""
    return secrets.token_urlsafe(32)


class Guard:
    """ASGI middleware that refuses what the module's docstring does not allow."""

    def __init__(self, app: ASGIApp, token: str, port: int):
        """Guards an application.

        Args:
          app: application behind the guard.
          token: of `new_token`.
          port: port of the server.
        """
        self._app, self._token = app, token
        self._cookie = f"afsd_label_{port}"  # cookies of a host are of all its ports
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        app = self._app if refusal is None else refusal

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """Returns the answer to a request that is not passed on; None for others."""
        headers, method = Headers(scope=scope), scope["method"]
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return _refused("this server answers only to its own address")
        if not self._is_own(headers, hosts[0], method):
            return _refused("only pages of this server may ask")
        given = self._given_token(scope)
        if given is not None and scope["path"] == "/" and method in _SAFE:
            return self._entrance(given)
        if not self._knows(_cookie_in(headers, self._cookie)):
            return _refused("open the address that afsd label printed when it started")
        return None

    def _is_own(self, headers: Headers, host: str, method: str) -> bool:
        origins = headers.getlist("origin")
        if any(origin != f"http://{host}" for origin in origins):
            return False
        navigates = method in _SAFE and headers.get("sec-fetch-mode") == "navigate"
        if not navigates and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return False
        return method in _SAFE or len(origins) == 1

    def _given_token(self, scope: Scope) -> str | None:
        try:
            query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=10)
        except ValueError:
            return ""
        return query["token"][0] if "token" in query else None

    def _entrance(self, given: str) -> Response:
        """Returns the answer to an address with a token: the cookie, and the page without it."""
        if not self._knows(given):
            return _refused("this address is of another start; open the one printed last")
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="lax", path="/")
        return response

    def _knows(self, token: str) -> bool:
        return secrets.compare_digest(token.encode("utf-8", "replace"), self._token.encode())


def _cookie_in(headers: Mapping[str, str], name: str) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _refused(reason: str) -> Response:
    return JSONResponse({"error": f"refused: {reason}"}, status_code=403)
