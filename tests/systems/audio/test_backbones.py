import numpy as np
import pytest
import torch
from tests.systems.audio.small import tone

from sparring.errors import BadInput
from sparring.systems.audio.backbones import Backbone, hearing
from sparring.systems.audio.store import Hearing

transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'sparring[ssl]'")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A randomly initialised wav2vec 2.0 of two layers in a local folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8, 8, 8),
        conv_stride=(5, 8, 8), conv_kernel=(10, 8, 8), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    transformers.Wav2Vec2Model(config).save_pretrained(str(tmp_path / "tiny"))
    return tmp_path / "tiny"


def test_frames_of_the_chosen_layer_are_cached(tiny):
    one, other = Backbone(tiny, 1), Backbone(tiny, 2)
    frames = one.cached(tone(1.0))
    assert frames.shape[0] == 17
    assert (frames[-1] == 1).all()
    assert torch.equal(frames, one.cached(tone(1.0)))
    assert torch.allclose(frames, one(tone(1.0)), atol=1e-2)
    assert not torch.allclose(frames, other(tone(1.0)), atol=1e-2)
    assert hearing(one.hearing)(tone(1.0)).shape == frames.shape


def test_what_is_no_backbone_is_named(tiny, tmp_path):
    with pytest.raises(BadInput, match=r"no config\.json"):
        Backbone(tmp_path / "none", 0)
    with pytest.raises(BadInput, match="hidden states 0 to 2"):
        Backbone(tiny, 7)
    with pytest.raises(BadInput, match="not the backbone"):
        hearing(Hearing("wavlm", str(tiny), 1, 17))
    assert np.isfinite(hearing(Hearing())(tone(0.5)).numpy()).all()
