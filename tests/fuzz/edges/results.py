"""What functions return, on its way to the caller: one response, in which nothing speaks for the platform."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable

from faas.core import errors
from faas.core.http import replies
from faas.core.values import json_text
from tests.fuzz import edge, responses, trees
from triggers.gateway import answering

_WHOLE = {
    "statusCode": 200,
    "headers": {"Content-Type": "text/html", "X-Count": 3, "X-Flag": True, "X-None": None, "Date": "x"},
    "cookies": ["a=1; Path=/", "b=2"],
    "body": "aGVsbG8=",
    "isBase64Encoded": True,
}
_WORDS = ("statusCode", "headers", "cookies", "body", "isBase64Encoded", "Content-Length", "Transfer-Encoding",
    "chunked", "Set-Cookie",
          "Faas-Error", "faas_error", "Faas-Invocation-Id", "Connection", "X\r\nX-Evil", "1\r\nX-Evil: 1", 204, 304,
          100, 199, 600, "200",
          200.0, "2e2", True)  # fmt: skip
_ID = "0190b5a0-0000-7000-8000-000000000001"


class ResultEdge(edge.Edge):
    """From the body of a result frame to the bytes that are sent, on the loop that all functions of a node share."""

    name = "results"
    most_bytes = 200_000
    tokens = tuple(json.dumps(word).encode() for word in _WORDS)

    def seeds(self) -> Iterable[bytes]:
        """Results of each kind."""
        for value in (_WHOLE, {"statusCode": 204}, {"a": 1}, [1, "x"], "text", 1.5, None):
            yield json.dumps(value).encode()

    def make(self, chance: random.Random) -> bytes:
        """A response that is JSON, and changed."""
        made = trees.changed(chance, _WHOLE, _WORDS)
        text = json.dumps(made, ensure_ascii=chance.random() < 0.5)
        return text.encode("utf-8", "surrogatepass")

    async def attempt(self, given: bytes) -> str:
        """Make a response of it, as it is and without its cookies."""
        try:
            reply = replies.http_reply(given, is_bytes=False)
        except errors.FunctionFailed as refused:
            edge.check(len(refused.message) < 2_000, "a refusal without end")
            reply = answering.of_error(refused, _ID)
            way = edge.said(refused.message)
        else:
            way = f"{reply.status // 100} {len(reply.headers)} {bool(reply.body)}"
        _check_sent(answering.encoded(reply, _ID), reply)
        kept = replies.without_cookies(given)
        if json_text.is_json(given):
            _check_kept(kept)
        return way


def _check_sent(sent: bytes, reply: replies.Reply) -> None:
    (only,) = responses.parsed(sent)
    edge.check(only.status == reply.status, "another status")
    edge.check(only.body == (reply.body if reply.status not in (204, 304) else b""), "another body")
    head = sent.partition(b"\r\n\r\n")[0]
    edge.check(not re.search(rb"(?im)^x-evil", head), "a header that was hidden in another")
    edge.check(len(re.findall(rb"(?im)^faas-invocation-id:", head)) == 1, "an id that is not the platform's")
    edge.check(len(re.findall(rb"(?im)^content-length:", head)) <= 1, "two lengths")
    edge.check(not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head), "a control character in a head")


def _check_kept(kept: bytes) -> None:
    try:
        reply = replies.http_reply(kept, is_bytes=False)
    except errors.FunctionFailed:
        return
    edge.check(all(name.lower() != "set-cookie" for name, _ in reply.headers), "a cookie that is kept")
