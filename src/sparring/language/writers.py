"""Writers: language models that continue a prompt, behind one interface, with every token counted."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from sparring.errors import BadInput
from sparring.language.packaged import quiet, smollm, transformers
from sparring.typed import integers


@dataclass
class Spent:
    """Tokens read (prompts, scored texts) and written by a writer so far."""

    read: int = 0
    written: int = 0

    @property
    def total(self) -> int:
        return self.read + self.written


class Writer(Protocol):
    """A causal language model as a source of text."""

    name: str
    spent: Spent

    def complete(self, prompt: str, count: int, *, tokens: int, generator: torch.Generator) -> list[str]:
        """`count` independent continuations of at most `tokens` tokens each, without the prompt."""
        ...

    def next_words(self, prefixes: Sequence[str], k: int) -> list[list[str]]:
        """The k likeliest next words after each prefix; empty lists where the model does not tell."""
        ...

    def surprise(self, texts: Sequence[str]) -> Tensor | None:
        """Mean negative log-likelihood per token in nats, `(n,)`; None where the model does not tell."""
        ...


class LocalWriter:
    """Any causal model of `transformers`, from a folder or by its hub id, on the CPU or where `device` says."""

    def __init__(self, model: str | Path, *, device: str = "cpu", temperature: float = 0.9) -> None:
        library = transformers()
        try:
            with quiet():
                self.tokenizer: Any = library.AutoTokenizer.from_pretrained(model)
                self.model: Any = library.AutoModelForCausalLM.from_pretrained(model).to(device).eval()
        except (OSError, ValueError) as error:
            first = str(error).splitlines()[0]
            raise BadInput(f"{model}: no causal language model ({first}); give a folder or a hub id") from None
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.tokenizer.padding_side = "left"
        self.device, self.temperature = device, temperature
        self.name, self.spent = Path(str(model)).name, Spent()

    @torch.no_grad()
    def complete(self, prompt: str, count: int, *, tokens: int, generator: torch.Generator) -> list[str]:
        """Nucleus sampling (.95) by hand, so that all randomness is the generator's."""
        ids = self.tokenizer(prompt, return_tensors="pt")["input_ids"].to(self.device)
        self.spent.read += ids.shape[1]
        out: Any = self.model(ids, use_cache=True)
        memory: Any = out.past_key_values
        memory.batch_repeat_interleave(count)
        logits: Tensor = out.logits[:, -1].expand(count, -1)
        drawn: list[Tensor] = []
        done = torch.zeros(count, dtype=torch.bool)
        for step in range(tokens):
            token = _nucleus(logits / self.temperature, generator)
            done |= token.cpu() == self.tokenizer.eos_token_id
            drawn.append(token)
            self.spent.written += int((~done).sum())
            if bool(done.all()) or step == tokens - 1:
                break
            out = self.model(token.unsqueeze(1), past_key_values=memory, use_cache=True)
            memory, logits = out.past_key_values, out.logits[:, -1]
        texts: list[str] = self.tokenizer.batch_decode(torch.stack(drawn, 1), skip_special_tokens=True)
        return texts

    @torch.no_grad()
    def next_words(self, prefixes: Sequence[str], k: int) -> list[list[str]]:
        if not prefixes:
            return []
        batch: Any = self.tokenizer(list(prefixes), return_tensors="pt", padding=True).to(self.device)
        self.spent.read += int(batch["attention_mask"].sum())
        logits: Tensor = self.model(**batch).logits[:, -1]
        found: list[list[str]] = []
        for row in logits.topk(3 * k, dim=1).indices:
            words = [str(self.tokenizer.decode([token])) for token in integers(row)]
            found.append([w.strip() for w in words if w.startswith(" ") and w.strip().isalnum()][:k])
        return found

    @torch.no_grad()
    def surprise(self, texts: Sequence[str]) -> Tensor:
        """With the beginning-of-text token in front, so that one-word texts have a figure too."""
        start = self.tokenizer.bos_token or self.tokenizer.eos_token
        out: list[Tensor] = []
        for at in range(0, len(texts), 32):
            part = [start + " " + t for t in texts[at : at + 32]]
            batch: Any = self.tokenizer(part, return_tensors="pt", padding=True).to(self.device)
            ids, mask = batch["input_ids"], batch["attention_mask"]
            self.spent.read += int(mask.sum())
            log_prob = self.model(**batch).logits[:, :-1].log_softmax(-1)
            own = log_prob.gather(-1, ids[:, 1:].unsqueeze(-1)).squeeze(-1)
            seen = (mask[:, 1:] * mask[:, :-1]).float()
            out.append(-(own * seen).sum(1) / seen.sum(1).clamp_min(1))
        return torch.cat(out).cpu() if out else torch.zeros(0)


class Endpoint:
    """A model behind an OpenAI-compatible address, such as http://localhost:8000/v1; the key comes from OPENAI_API_KEY.

    Chat models are asked through /chat/completions. It tells neither next words nor likelihoods.
    """

    def __init__(self, address: str, model: str, *, chat: bool = True, temperature: float = 0.9) -> None:
        if not address.startswith(("http://", "https://")):
            raise BadInput(f"{address}: an endpoint begins with http:// or https://")
        self.address, self.model, self.chat = address.rstrip("/"), model, chat
        self.temperature, self.name, self.spent = temperature, model, Spent()

    def complete(self, prompt: str, count: int, *, tokens: int, generator: torch.Generator) -> list[str]:
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        ask: dict[str, Any] = {
            "model": self.model,
            "n": count,
            "max_tokens": tokens,
            "temperature": self.temperature,
            "seed": seed,
        }
        place = "chat/completions" if self.chat else "completions"
        ask |= {"messages": [{"role": "user", "content": prompt}]} if self.chat else {"prompt": prompt}
        answer = self._post(place, ask)
        try:
            choices = answer["choices"]
            texts = [str(c["message"]["content"] if self.chat else c["text"]) for c in choices]
        except (KeyError, TypeError):
            raise BadInput(f"{self.address}/{place}: the answer has no choices; is it OpenAI-compatible?") from None
        usage: dict[str, Any] = answer.get("usage") or {}
        self.spent.read += int(usage.get("prompt_tokens", 0))
        self.spent.written += int(usage.get("completion_tokens", 0))
        return texts

    def next_words(self, prefixes: Sequence[str], k: int) -> list[list[str]]:
        return [[] for _ in prefixes]

    def surprise(self, texts: Sequence[str]) -> Tensor | None:
        return None

    def _post(self, place: str, ask: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(f"{self.address}/{place}", json.dumps(ask).encode(), headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
                return dict(json.loads(answer.read()))
        except (urllib.error.URLError, TimeoutError, ValueError) as error:
            raise BadInput(f"{self.address}/{place}: no answer ({error}); check the address and the key") from None


def writer(name: str, *, device: str = "cpu") -> Writer | None:
    """A writer by what the user typed: "none", "smollm2" (packaged), an address "URL#MODEL", a folder or hub id."""
    if name == "none":
        return None
    if name.startswith(("http://", "https://")):
        address, _, model = name.partition("#")
        if not model:
            raise BadInput(f"{name}: name the model after a #, as in http://localhost:8000/v1#qwen")
        return Endpoint(address, model)
    return LocalWriter(smollm() if name == "smollm2" else name, device=device)


def _nucleus(logits: Tensor, generator: torch.Generator, mass: float = 0.95) -> Tensor:
    """One token per row from the smallest set of likeliest ones that holds `mass`, `(n,)`."""
    values, order = logits.softmax(-1).topk(min(200, logits.shape[-1]), dim=-1)
    values = torch.where(values.cumsum(-1) - values < mass * values.sum(-1, keepdim=True), values, 0.0)
    drawn = torch.multinomial(values.cpu(), 1, generator=generator).to(order.device)
    return order.gather(1, drawn).squeeze(1)
