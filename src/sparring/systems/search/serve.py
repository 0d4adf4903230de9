"""The search page and an OpenAI-compatible API, with bounds on everything a client can send."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnusedFunction=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from sparring.errors import BadInput
from sparring.systems.search.assistant import LONGEST, Assistant, Reply, told

_PAGE = Path(__file__).parent / "page.html"
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Limits:
    """What one client and all together may ask of the server.

    `waiting` requests may stand in line; the next one gets 429. `body` is in bytes (413), `seconds` from arrival to
    answer (504).
    """

    waiting: int = 64
    body: int = 65_536
    seconds: float = 30.0


class Message(BaseModel):
    """One message of a conversation, as OpenAI's clients send it."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant"]
    content: str = Field(max_length=8 * LONGEST)


class Completion(BaseModel):
    """A request for a chat completion; settings that a greedy model has no use for are taken and ignored."""

    model_config = ConfigDict(extra="ignore")
    model: str = Field(default="", max_length=200)
    messages: list[Message] = Field(min_length=1, max_length=64)
    max_tokens: int | None = Field(default=None, ge=1, le=1024)
    n: Literal[1] = 1
    stream: bool = False


def application(assistant: Assistant, limits: Limits | None = None, name: str = "sparring-search") -> FastAPI:
    """The ASGI application. One thread runs the model; everybody else waits in line."""
    bounds = limits or Limits()
    app = FastAPI(title="sparring search", docs_url=None, redoc_url=None, openapi_url=None)
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
    line = {"waiting": 0}

    @app.middleware("http")
    async def bounded(request: Request, call_next: Any) -> Any:
        length = request.headers.get("content-length", "")
        if request.method == "POST":
            if length and (not length.isdigit() or int(length) > bounds.body):
                return _error(413, f"the request is larger than {bounds.body:,} bytes", "request_too_large")
            if not length and not await _fits(request, bounds.body):
                return _error(413, f"the request is larger than {bounds.body:,} bytes", "request_too_large")
        answer = await call_next(request)
        answer.headers.update(_SAFE)
        return answer

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body") or "the request"
        return _error(422, f"{place}: {first['msg']}", "invalid_request_error")

    @app.get("/", response_class=HTMLResponse)
    async def page() -> str:
        return _PAGE.read_text("utf-8")

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "waiting": line["waiting"], "products": len(assistant.shop.products)}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "shop"}]}

    @app.post("/v1/chat/completions", response_model=None)
    async def complete(asked: Completion) -> JSONResponse | StreamingResponse:
        question = next((m.content for m in reversed(asked.messages) if m.role == "user"), None)
        if question is None:
            return _error(422, "messages: none of them is the user's", "invalid_request_error")
        if line["waiting"] >= bounds.waiting:
            return _error(429, "too many requests are waiting; try again in a moment", "rate_limit_exceeded")
        line["waiting"] += 1
        loop = asyncio.get_running_loop()
        try:
            job = loop.run_in_executor(worker, lambda: assistant.ask(question, tokens=asked.max_tokens))
            reply = await asyncio.wait_for(job, bounds.seconds)
        except TimeoutError:
            return _error(504, f"no answer within {bounds.seconds:g} seconds", "timeout")
        except BadInput as error:
            return _error(422, str(error), "invalid_request_error")
        finally:
            line["waiting"] -= 1
        body = _body(reply, asked.model or name)
        return (
            StreamingResponse(_streamed(body), media_type="text/event-stream") if asked.stream else JSONResponse(body)
        )

    return app


async def _fits(request: Request, most: int) -> bool:
    """Reads a body that came without its length, as far as it is allowed."""
    whole = bytearray()
    async for part in request.stream():
        whole += part
        if len(whole) > most:
            return False
    request._body = bytes(whole)  # pyright: ignore[reportPrivateUsage]
    return True


def _error(status: int, message: str, kind: str) -> JSONResponse:
    headers = {**_SAFE, **({"Retry-After": "1"} if status == 429 else {})}
    return JSONResponse({"error": {"message": message, "type": kind, "code": status}}, status, headers)


def _body(reply: Reply, model: str) -> dict[str, Any]:
    read, written = reply.tokens
    message = {"role": "assistant", "content": reply.text, "refusal": reply.text if reply.reason else None}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion", "created": int(time.time()), "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
        "shop": told(reply),
    }  # fmt: skip


async def _streamed(body: dict[str, Any]) -> AsyncIterator[str]:
    """The finished answer in the API's event form: the judge needs the whole of it before a word is shown."""
    head = {k: body[k] for k in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    delta = {"role": "assistant", "content": body["choices"][0]["message"]["content"]}
    for part, reason in ((delta, None), ({}, "stop")):
        choice = {"index": 0, "delta": part, "finish_reason": reason}
        yield f"data: {json.dumps(head | {'choices': [choice]})}\n\n"
    yield "data: [DONE]\n\n"
