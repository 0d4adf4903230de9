"""A chat model as the engine meets it: token batches in, logits out, replies for people.

A batch's inputs are `(n, 2, L)` whole numbers: the token ids and, beside them, 1 where the adversary may change the
token (the user's words) and 0 elsewhere (the template, the answer, the padding). Its targets are `(n, L)`: the ids of
the answer's tokens in their places and `IGNORED` elsewhere. Rows are padded on the right: in a causal model nothing
that counts can see the padding.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.errors import BadInput
from sparring.game import Batch
from sparring.language.packaged import quiet, transformers
from sparring.typed import integers

IGNORED = -100
"""The target of a position that is not part of the answer, as in `transformers`."""

Row = tuple[list[int], list[int], list[int]]
"""The ids of one exchange, 1 where a token is movable, and the targets."""

_MARK = "\u2063user\u2063"


@dataclass(frozen=True)
class Exchange:
    """One question and the answer that is wanted; `movable` where an adversary may change the question."""

    prompt: str
    answer: str
    movable: bool = False


class Talker(nn.Module):
    """A causal model of `transformers` as a defender: `(n, 2, L)` ids or `(n, L, d + 1)` embeddings to logits.

    The last channel of embedded inputs says which tokens the adversary may move (see `embed`).
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def table(self) -> Tensor:
        """The token embeddings, `(vocabulary, d)`."""
        return cast(Any, self.model).get_input_embeddings().weight

    def embed(self, x: Tensor) -> Tensor:
        """Ids `(n, 2, L)` to embeddings `(n, L, d + 1)`, with gradient to the table."""
        return torch.cat([F.embedding(x[:, 0], self.table), x[:, 1].unsqueeze(-1).to(self.table.dtype)], dim=-1)

    def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        """Logits `(n, L, vocabulary)`; `shift` `(n, L, d + 1)` is added to the embeddings first."""
        embedded = x[..., :-1] if x.is_floating_point() else F.embedding(x[:, 0], self.table)
        embedded = embedded if shift is None else embedded + shift[..., :-1]
        return self.model(inputs_embeds=embedded, use_cache=False).logits


def answer_loss(outputs: Tensor, target: Tensor) -> Tensor:
    """Payoff: mean negative log-likelihood of the answer's tokens, `(n,)`, from logits `(n, L, v)` and targets."""
    at = target[:, 1:] != IGNORED
    losses = F.cross_entropy(outputs[:, :-1][at], target[:, 1:][at], reduction="none")
    rows = at.nonzero()[:, 0]
    total = losses.new_zeros(len(target)).index_add(0, rows, losses)
    return total / at.sum(1).clamp_min(1)


def answered_wrongly(outputs: Tensor, target: Tensor) -> Tensor:
    """Criterion: True where greedy decoding would not give the answer to the last token (its end included), `(n,)`.

    While every token so far was the answer's own, greedy decoding sees what this single pass sees; so the row is
    right here exactly where decoding gives the answer.
    """
    guess = outputs[:, :-1].argmax(-1)
    return ((guess != target[:, 1:]) & (target[:, 1:] != IGNORED)).any(1)


class Chat:
    """A model with its tokenizer and chat template.

    `system` is the system message (None: the template's own). Raises `BadInput` if the tokenizer has no template.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, system: str | None = None) -> None:
        if not tokenizer.chat_template:
            raise BadInput("the tokenizer has no chat template; give an instruct model")
        self.talker, self.tokenizer, self.system = Talker(model), tokenizer, system
        messages = [{"role": "user", "content": _MARK}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        before, mark, after = text.partition(_MARK)
        if not mark:
            raise BadInput("the chat template drops the user's message; give an instruct model")
        self.before, self.after = self.ids(before), self.ids(after)
        self.end = int(tokenizer.eos_token_id)
        self.pad = self.end if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        longest = getattr(getattr(model, "config", None), "max_position_embeddings", None)
        self.longest = int(longest) if isinstance(longest, int) else 2048

    @property
    def model(self) -> Any:
        """The `transformers` model itself."""
        return self.talker.model

    def ids(self, text: str) -> list[int]:
        """Token ids without anything added."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def batch(self, exchanges: Sequence[Exchange]) -> Batch:
        """Exchanges as inputs `(n, 2, L)` and targets `(n, L)`. Raises ValueError for one beyond the model's length."""
        return self.stack([self.row(e) for e in exchanges])

    def stack(self, rows: Sequence[Row]) -> Batch:
        """Rows of (ids, movable, targets) padded to one length."""
        length = max(len(ids) for ids, _, _ in rows)
        if length > self.longest:
            raise ValueError(f"an exchange has {length} tokens, the model takes {self.longest}")
        x = torch.zeros(len(rows), 2, length, dtype=torch.int64)
        x[:, 0] = self.pad
        y = torch.full((len(rows), length), IGNORED)
        for k, (ids, movable, target) in enumerate(rows):
            x[k, 0, : len(ids)], x[k, 1, : len(ids)] = torch.tensor(ids), torch.tensor(movable)
            y[k, : len(ids)] = torch.tensor(target)
        return x, y

    def exchange(self, x: Tensor, y: Tensor) -> Exchange:
        """The exchange that one row of a batch came from, `(2, L)` and `(L,)`."""
        at = [k for k, target in enumerate(integers(y)) if target != IGNORED]
        ids = integers(x[0])
        prompt = self.tokenizer.decode(ids[len(self.before) : at[0] - len(self.after)])
        return Exchange(prompt, self.tokenizer.decode(ids[at[0] : at[-1]]), bool(x[1].any()))

    def row(self, exchange: Exchange) -> Row:
        """An exchange as (ids, movable, targets)."""
        prompt, answer = self.ids(exchange.prompt), [*self.ids(exchange.answer), self.end]
        ids = [*self.before, *prompt, *self.after, *answer]
        movable = [0] * len(ids)
        if exchange.movable:
            movable[len(self.before) : len(self.before) + len(prompt)] = [1] * len(prompt)
        return ids, movable, [IGNORED] * (len(ids) - len(answer)) + answer

    def batches(self, exchanges: Sequence[Exchange], size: int = 64) -> Iterator[tuple[list[int], Batch]]:
        """All exchanges in batches of similar length, each with the places of its rows."""
        rows = [self.row(e) for e in exchanges]
        order = sorted(range(len(rows)), key=lambda k: len(rows[k][0]))
        for start in range(0, len(order), size):
            places = order[start : start + size]
            yield places, self.stack([rows[k] for k in places])

    @torch.no_grad()
    def right(self, exchanges: Sequence[Exchange], size: int = 64) -> Tensor:
        """Whether greedy decoding gives each answer exactly, `(n,)` bool."""
        self.talker.eval()
        out = torch.zeros(len(exchanges), dtype=torch.bool)
        for places, (x, y) in self.batches(exchanges, size):
            out[torch.tensor(places)] = ~answered_wrongly(self.talker(x), y)
        return out

    @torch.no_grad()
    def reply(self, prompts: Sequence[str], *, tokens: int = 24, size: int = 64) -> list[str]:
        """The greedy reply to each prompt, at most `tokens` long."""
        self.talker.eval()
        rows = [[*self.before, *self.ids(p), *self.after] for p in prompts]
        order, out = sorted(range(len(rows)), key=lambda k: len(rows[k])), [""] * len(rows)
        for start in range(0, len(order), size):
            places = order[start : start + size]
            found = self._generate([rows[k] for k in places], tokens)
            for place, text in zip(places, found, strict=True):
                out[place] = text
        return out

    def _generate(self, rows: Sequence[list[int]], tokens: int) -> list[str]:
        length = max(len(r) for r in rows)
        ids = torch.full((len(rows), length), self.pad)
        mask = torch.zeros_like(ids)
        for k, row in enumerate(rows):  # on the left, so that all replies begin in one place
            ids[k, length - len(row) :], mask[k, length - len(row) :] = torch.tensor(row), 1
        with quiet():
            out = self.model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False, num_beams=1,
                eos_token_id=self.end, pad_token_id=self.pad, temperature=None, top_p=None, top_k=None,
            )  # fmt: skip
        texts: list[str] = self.tokenizer.batch_decode(out[:, length:], skip_special_tokens=True)
        return [t.strip() for t in texts]

    def save(self, folder: Path) -> None:
        """An ordinary `transformers` folder (safetensors, config, tokenizer), replaced as a whole."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            with quiet():
                self.model.save_pretrained(part)
                self.tokenizer.save_pretrained(part)
            if folder.exists():
                shutil.rmtree(folder)
            part.chmod(0o755)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    @classmethod
    def load(cls, model: str | Path, system: str | None = None) -> Chat:
        """From a folder or hub id. Raises `BadInput` if there is no chat model in it."""
        library = transformers()
        try:
            with quiet():
                tokenizer = library.AutoTokenizer.from_pretrained(model)
                found = library.AutoModelForCausalLM.from_pretrained(model)
        except (OSError, ValueError) as error:
            first = str(error).splitlines()[0]
            raise BadInput(f"{model}: no causal language model ({first}); give a folder or a hub id") from None
        if len(tokenizer) > found.get_input_embeddings().weight.shape[0]:
            raise BadInput(f"{model}: the tokenizer has {len(tokenizer):,} tokens, more than the model's embeddings")
        return cls(found.float().eval(), tokenizer, system)
