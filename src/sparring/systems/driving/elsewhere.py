"""A second simulator: the ego driven by another one's vehicle physics, in the same scenes against the same attacks.

What an attack does to a policy must not hang on one bicycle model. Here the ego's body belongs to highway-env or to
MetaDrive; route, traffic, attacker and the judging of crashes stay as they are, so that any driver, any attacker and
the Gymnasium facade work unchanged: `Simulator(..., dynamics=Elsewhere(body))`. One episode at a time.
"""

from __future__ import annotations

import importlib.util
import math
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from sparring.errors import BadInput
from sparring.systems.driving.episodes import Outcome, drive
from sparring.systems.driving.policy import Driver
from sparring.systems.driving.scenes import DT, Scenes
from sparring.systems.driving.simulator import BRAKE, THRUST, Simulator, StepwiseAttack
from sparring.typed import numbers

SETTLING = 30
"""Physics steps that MetaDrive's vehicle stands before it drives."""
Pose = tuple[float, float, float, float]
"""x, y (m), heading (rad, anticlockwise), speed (m/s)."""


class Body(Protocol):
    """One vehicle of another simulator."""

    def place(self, pose: Pose) -> None:
        """Put it somewhere, rolling freely."""
        ...

    def step(self, accel: float, curvature: float) -> Pose:
        """Ask for an acceleration (m/s²) and a curvature (1/m) for `DT`; where that has brought it."""
        ...


class Elsewhere:
    """A body as the `dynamics` of a simulator of one episode."""

    def __init__(self, body: Body) -> None:
        self.body, self._placed = body, False

    def __call__(self, pose: Tensor, accel: Tensor, curvature: Tensor) -> Tensor:
        if len(pose) != 1:
            raise ValueError(f"another simulator's vehicle drives one episode at a time, not {len(pose)}")
        if not self._placed:
            x, y, heading, speed = numbers(pose[0])
            self.body.place((x, y, heading, speed))
            self._placed = True
        return torch.tensor([self.body.step(float(accel), float(curvature))], dtype=pose.dtype)


class HighwayCar:
    """highway-env's vehicle: a bicycle without tyres, within the limits of its continuous actions (5 m/s², 45°)."""

    def __init__(self) -> None:
        from highway_env.vehicle.kinematics import Vehicle  # pyright: ignore

        self._make = cast(Callable[..., Any], Vehicle)
        self._car: Any = None

    def place(self, pose: Pose) -> None:
        """A fresh vehicle there."""
        x, y, heading, speed = pose
        self._car = self._make(None, [x, y], heading, speed)

    def step(self, accel: float, curvature: float) -> Pose:
        """Two of its steps of 0.05 s; it does not roll backwards."""
        car, half = self._car, DT / 2
        slip = math.asin(max(-0.7, min(0.7, curvature * car.LENGTH / 2)))
        turn = max(-math.pi / 4, min(math.pi / 4, math.atan(2 * math.tan(slip))))
        for _ in range(2):
            car.act({"steering": turn, "acceleration": max(-5.0, min(5.0, accel), -car.speed / half)})
            car.step(half)
        x, y = car.position
        return float(x), float(y), float(car.heading), float(car.speed)


class MetaDriveCar:
    """MetaDrive's default vehicle in Bullet: mass, engine, brakes, suspension and tyres that slip.

    Engine and brakes follow the wished acceleration by a controller, as a driver's foot would; steering is the
    geometric angle. MetaDrive has one engine per process: close this one before another is made (`metadrive_car`).
    """

    def __init__(self) -> None:
        _without_assets()
        import logging

        from metadrive.envs.metadrive_env import MetaDriveEnv  # pyright: ignore

        config = {"map": "S", "num_scenarios": 1, "traffic_density": 0.0, "use_render": False,
                  "log_level": logging.ERROR}  # fmt: skip
        self._env = cast(Any, MetaDriveEnv)(config)
        self._env.reset(seed=0)
        self._car: Any = self._env.agent

    def place(self, pose: Pose) -> None:
        """On flat ground there, after a moment in which it settles on its wheels."""
        x, y, heading, speed = pose
        car = self._car
        car.set_pitch(0)
        car.set_roll(0)
        car.set_heading_theta(heading)
        car.set_position([x, y], height=car.HEIGHT / 2)
        car.body.clearForces()
        car.system.resetSuspension()
        for _ in range(SETTLING):
            _still(car, heading, 0.0)
            self._env.engine.step_physics_world()
        car.set_position([x, y])
        car.set_heading_theta(heading)
        _still(car, heading, speed)

    def step(self, accel: float, curvature: float) -> Pose:
        """Five of its physics steps of 0.02 s."""
        car = self._car
        accel = max(-BRAKE, min(THRUST, accel))
        wheelbase = car.FRONT_WHEELBASE + car.REAR_WHEELBASE
        turn = math.degrees(math.atan(curvature * wheelbase)) / car.max_steering
        wish = self.pose()[3]
        for _ in range(5):
            wish = max(0.0, wish + accel * DT / 5)
            car.before_step([max(-1.0, min(1.0, turn)), _pedal(accel, wish - self.pose()[3], car)])
            self._env.engine.step_physics_world()
        return self.pose()

    def pose(self) -> Pose:
        """Where it is now; its speed along its heading."""
        car = self._car
        heading = float(car.heading_theta)
        vx, vy = car.velocity
        forward = float(vx) * math.cos(heading) + float(vy) * math.sin(heading)
        return float(car.position[0]), float(car.position[1]), heading, max(0.0, forward)

    def close(self) -> None:
        """Give the engine back."""
        self._env.close()


BODIES: dict[str, tuple[str, str]] = {
    "highway-env": ("highway_env", "highway-env"),
    "metadrive": ("metadrive", "metadrive-simulator"),
}
"""Name to (module, package) of the simulators that can be asked for."""


@contextmanager
def body(name: str) -> Generator[Body]:
    """A vehicle of the simulator `name`, closed afterwards. Raises `BadInput` for an unknown or uninstalled one."""
    if name not in BODIES:
        raise BadInput(f"--simulator {name}: choose {' or '.join(BODIES)}")
    module, package = BODIES[name]
    if importlib.util.find_spec(module) is None:
        raise BadInput(f"--simulator {name}: it is not installed; pip install {package}")
    if name == "highway-env":
        yield HighwayCar()
        return
    car = MetaDriveCar()
    try:
        yield car
    finally:
        car.close()


def play_elsewhere(
    driver: Driver, scenes: Scenes, rows: Tensor, within: Body, path: Tensor | None = None,
    attack: StepwiseAttack | None = None,
) -> Outcome:  # fmt: skip
    """`episodes.play` with the ego in another simulator's body: scenes `rows` `(B,)`, one after the other."""
    parts: list[Outcome] = []
    for i in range(len(rows)):
        own = None if path is None else path[i : i + 1]
        parts.append(drive(driver, Simulator(scenes, rows[i : i + 1], own, attack, dynamics=Elsewhere(within))))
    return Outcome.joined(parts)


def _still(car: Any, heading: float, speed: float) -> None:
    """Rolling straight ahead, turning in no direction."""
    car.set_velocity([math.cos(heading), math.sin(heading)], speed)
    car.body.setAngularVelocity(car.body.getAngularVelocity() * 0.0)


def _pedal(accel: float, short: float, car: Any) -> float:
    """The pedal from -1 (brake) to 1 (throttle): each wheel's force for the acceleration and for what is short of the
    wished speed (m/s). Bullet's brake is an impulse per physics step."""
    force = car.MASS / 4 * (accel + short / DT)
    if force >= 0:
        return min(1.0, force / float(car.config["max_engine_force"]))
    return max(-1.0, 0.02 * force / float(car.config["max_brake_force"]))


def _without_assets() -> None:
    """MetaDrive downloads pictures at its first reset and fails without a network; its physics needs none. Where they
    are missing it is shown a folder of our own with empty ones, and its package stays as it is."""
    import metadrive.version as versions  # pyright: ignore
    from metadrive.engine.asset_loader import AssetLoader  # pyright: ignore

    loader = cast(Any, AssetLoader)
    if Path(str(loader.asset_path), "version.txt").exists():
        return
    empty = Path(tempfile.mkdtemp(prefix="metadrive-"))
    (empty / "textures" / "grass1").mkdir(parents=True)
    (empty / "textures" / "grass1" / "GroundGrassGreen002_COL_1K.jpg").touch()
    loader.asset_path = type(loader.asset_path)(str(empty))
    cast(Any, versions).asset_version = lambda: cast(Any, versions).VERSION
