"""The settings of the seismic system; every default is explained where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from sparring.systems.seismic.plan import CriticPlan, Plan, PotentialPlan


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True)
class Config:
    """Which model and start, what troubles the data, and how the adversarial inversion plays."""

    model: str = field(
        default="faulted",
        metadata=_help(
            "layered, folded, faulted, anomaly, salt: generated from the seed; marmousi, marmousi2, overthrust: your "
            "copies (--data, SPARRING_DATA or the cache)"
        ),
    )
    profile: Literal["ci", "small", "medium", "full"] = field(
        default="small", metadata=_help("cells, shots and samples; small is 50 x 78 cells of 40 m, 6 shots")
    )
    start: Literal["smoothed", "linear", "1-D", "constant"] = field(
        default="linear", metadata=_help("what is known before; constant (2,500 m/s) is the poorest")
    )
    noise: float | None = field(default=None, metadata=_help("signal over white noise in dB; null: none"))
    cut: Annotated[float, Field(gt=0)] | None = field(
        default=None, metadata=_help("Hz below which the source is silent; null: none")
    )
    epochs: Annotated[int, Field(ge=1)] = field(default=40, metadata=_help("passes over all shots, for every method"))
    batch: Annotated[int, Field(ge=1)] = field(default=3, metadata=_help("shots a step; must divide their number"))
    stages: tuple[float, ...] = field(
        default=(2.5, 4.0, 7.0, 100.0), metadata=_help("upper ends in Hz of the frequency continuation's stages")
    )
    critic: CriticPlan = field(default_factory=CriticPlan)
    potential: PotentialPlan = field(default_factory=PotentialPlan)
    hybrid: Annotated[float, Field(gt=0)] = field(
        default=0.3, metadata=_help("norm of the critic's adjoint source against W1's in the hybrid")
    )

    def plans(self) -> dict[str, Plan]:
        """The methods that are compared, at equal wave solves; the last one is the hardened one."""
        base = Plan("l2", epochs=self.epochs, batch=self.batch)
        hybrid = replace(self.critic, weight=self.hybrid)
        return {
            "L2": base,
            "L2 multiscale": replace(base, stages=self.stages),
            "W1 multiscale": replace(base, misfit="w1", stages=self.stages),
            "critic, raw (published)": replace(base, misfit="none", critic=replace(self.critic, integrate=False)),
            "critic, integrated": replace(base, misfit="none", critic=self.critic),
            "W1 + critic": replace(base, misfit="w1", critic=hybrid, stages=self.stages),
            "potential": replace(base, misfit="potential", potential=self.potential, stages=self.stages),
        }


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"epochs": 20},
    "paper": {"model": "marmousi2", "profile": "full", "start": "smoothed", "epochs": 300, "batch": 5},
}
"""quick: a generated model, every method, minutes on one core. paper: full size, hours."""
