"""What every request passes before it reaches a page, and every answer before it leaves.

A page on another site must not be able to read, vote or even ask: a foreign Host (DNS rebinding), a
foreign Origin and a foreign Sec-Fetch-Site are refused here, for every route at once. Who is asking
is the business of `palate.web.people`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READS = ("GET", "HEAD")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request goes no further: an HTTP status and one sentence."""

    status: int
    message: str


class Gate:
    """Wraps an application: refuses what is not from its own pages, adds the security headers.

    Args:
        app: the application behind the gate.
        origins: where its pages are, as browsers say it: "http://127.0.0.1:8321".
    """

    def __init__(self, app: ASGIApp, *, origins: Iterable[str]) -> None:
        self.app = app
        self.origins = frozenset(origins)
        self.hosts = frozenset(origin.partition("://")[2] for origin in self.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self.refusal(scope["method"], Headers(scope=scope))
        if refusal:
            answer = JSONResponse({"error": refusal.message}, refusal.status)
            await answer(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)

    def refusal(self, method: str, headers: Headers) -> Refusal | None:
        """Why a request is refused; None lets it in.

        Browsers send Origin and Sec-Fetch-Site and let no page change them. A program that is no
        browser sends neither, and is held up by the token header alone.
        """
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return Refusal(421, "this Host is not served here; use the address that was printed")
        origins = headers.getlist("origin")
        if any(origin.lower() not in self.origins for origin in origins):
            return Refusal(403, "requests from other sites are refused (Origin)")
        site = headers.get("sec-fetch-site", "none")
        if method in READS:
            # A link in a chat or a mail may lead here; a script or a frame elsewhere may not.
            is_visit = headers.get("sec-fetch-mode", "navigate") == "navigate"
            if site not in ("same-origin", "none") and not is_visit:
                return Refusal(403, "requests from other sites are refused (Sec-Fetch-Site)")
            return None
        if site not in ("same-origin", "none"):
            return Refusal(403, "writes from other sites are refused (Sec-Fetch-Site)")
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            return Refusal(415, "writes must be application/json")
        return None
