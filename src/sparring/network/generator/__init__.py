"""The embedded data: seeded traffic with CICFlowMeter features, whose test days differ from the training days."""

from sparring.network.generator.days import Days, generate

__all__ = ["Days", "generate"]
