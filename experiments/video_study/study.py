"""Who plays in which world, and one world from the first frame to the figures."""

import dataclasses
import pathlib
from collections.abc import Callable

import jax.numpy as jnp
from common import ict

from jaxface.tracking.records import Track, TrackSettings
from jaxface.types import MorphableModel
from video_study import judge, report, script
from video_study.film import Actor, Film, default_actor, ict_actor, shoot

STILL_FRAMES = 16
VARIANTS = {"on": {}, "off": {"smooth": 0.0}, "mean": {"fuse": "mean"}}


def cast(worlds: list[str], *, ict_dir: str | None, seed: int) -> tuple[dict[str, Actor], dict[str, str]]:
    """Actors by world, and why some worlds have none. Raises FaceError for data that cannot be read."""
    actors, left_out = {}, {}
    for world in worlds:
        if world == "default":
            actors[world] = default_actor(seed=seed)
            continue
        path = ict.find(ict_dir)
        if path is None:
            left_out[world] = "the data of ICT-FaceKit is missing; name it by --ict_dir."
        else:
            actors[world] = ict_actor(ict.load(path), seed=seed)
    return actors, left_out


def play_world(
    actor: Actor,
    model: MorphableModel,
    folder: pathlib.Path,
    *,
    tracker: Callable[..., Track],
    settings: TrackSettings,
    num_frames: int,
    size: int,
) -> report.World:
    """Shoots a moving and a still clip into `folder`, tracks them in every variant, and judges. Raises FaceError."""
    play = script.speaking(num_frames)
    moving = shoot(actor, play, folder / "moving", size=size)
    still = shoot(actor, script.still(min(num_frames, STILL_FRAMES), script=play), folder / "still", size=size)

    def run(clip: Film, variant: str) -> Track:
        print(f"World {actor.name}, {clip.folder.name} clip: {report.TRACKS[variant]}.", flush=True)
        chosen = dataclasses.replace(settings, **VARIANTS[variant])
        return tracker(clip.folder, folder / f"{clip.folder.name}_{variant}", settings=chosen)

    tracks = {variant: run(moving, variant) for variant in VARIANTS}
    people = judge.people(tracks["on"], model=model)
    people["mean of frames"] = jnp.asarray(tracks["mean"].neutral.vertices_mm, jnp.float32)
    return report.World(
        film=moving,
        tracks=tracks,
        figures=judge.figures(moving, tracks, model=model),
        people=judge.identity_errors(moving, people, model=model),
        still={name: judge.still_figures(still, run(still, name), model=model) for name in ("on", "off")},
        detected_blink_mm=judge.detected_blink(moving),
    )
