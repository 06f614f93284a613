"""The stages as one list of records: a name, a pure function of one frame, and what becomes of it where it fails.

A stage takes what is known of the face so far and what is seen of it, and gives more of it with the figures by which
`verdicts` judges. `mapping` runs it over the frames of a chunk; a photo is a chunk of one.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.energies.normals import NormalsSeen, learned_normals, normals_seen
from jaxface.energies.scene import FineTerms, with_value
from jaxface.mapping import FrameMap, frame_map
from jaxface.morphable.linear import face_shape
from jaxface.network_view import inclined, look, told
from jaxface.rendering.appearance import fill_outside
from jaxface.rendering.camera import cropped, face_crop, face_extent
from jaxface.rendering.clay import relight
from jaxface.stages import coarse, detail, fine, medium, regress
from jaxface.state import Shared, State, View, as_floats, observed, shading_residuals
from jaxface.types import CoarseFit, Crop, DetailMesh, FineMaps, LearnedNormals, Pose, TextureMaps
from jaxface.verdicts import Figures, Verdict, deformation_figures, face_figures, holds, judge, phase_figures


class Stage(NamedTuple):
    """`run(state, view, shared)` gives the state after and figures; where these do not keep the limits of
    `verdicts.LIMITS[name]`, `otherwise(before, after)` is taken instead."""

    name: str
    run: Callable[[State, View, Shared], tuple[State, Figures]]
    otherwise: Callable[[State, State], State] = lambda before, after: before


def step(state: State, view: View, *, shared: Shared, stage: Stage) -> tuple[State, Verdict]:
    """One stage on one frame, judged."""
    after, figures = stage.run(state, view, shared)
    verdict = judge(stage.name, figures)
    kept = holds(stage.name, verdict)
    return jax.tree.map(lambda a, b: jnp.where(kept, a, b), after, stage.otherwise(state, after)), verdict


def mapped(stage: Stage) -> FrameMap:
    """A stage, ready for chunks of frames: `mapped(stage)(states, views, shared=shared)`."""
    return frame_map(step, stage=stage)


def _regress(state: State, view: View, shared: Shared) -> tuple[State, Figures]:
    """The network's own face, where its coefficients are the model's."""
    model = shared.templates.model
    seen = cast(tuple[Pose, Array, Array], view.regression)  # all of it is there: else this stage is not run
    fit = regress.run(*seen, view.landmarks, model=model, camera=view.camera, weights=shared.preset.coarse)
    _, face_px = face_extent(fit.vertices_mm, fit.pose, view.camera, model=model)
    return state._replace(fit=fit), face_figures(fit, face_px=face_px)


def _fit(state: State, view: View, shared: Shared) -> tuple[State, Figures]:
    """The fit to landmarks, from a network's pose if there is one; a network's own face that holds stays as it is."""
    model = shared.templates.model
    start = coarse.initial_pose(view.landmarks, model=model)
    if view.regression is not None:
        begin = regress.start_pose(view.regression.pose, view.landmarks, model=model)
        seen = functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(leaf)) for leaf in begin])
        start = jax.tree.map(lambda theirs, ours: jnp.where(seen, theirs, ours), begin, start)
    fit = coarse.run(view.landmarks, model=model, camera=view.camera, weights=shared.preset.coarse, start=start)
    if state.fit is not None:
        fit = jax.tree.map(lambda theirs, ours: jnp.where(state.fit.finite, theirs, ours), state.fit, fit)
    _, face_px = face_extent(fit.vertices_mm, fit.pose, view.camera, model=model)
    return state._replace(fit=fit, shape_mm=fit.vertices_mm), face_figures(fit, face_px=face_px)


def _fit_shading(state: State, view: View, shared: Shared) -> tuple[State, Figures]:
    """The coarse fit gone on with the skin's shading."""
    before = state.fit
    fit, figures = _fit_skin(before, view, shared)
    residuals = shading_residuals([(each.vertices_mm, each.pose) for each in (before, fit)], view, shared)
    state = state._replace(fit=fit, shape_mm=fit.vertices_mm, shading_residuals=residuals)
    return state, figures | _compared(residuals)


def _fit_normals(state: State, view: View, shared: Shared) -> tuple[State, Figures]:
    """The coarse fit gone on with the normals that the network sees, beside the shading."""
    before = state.fit
    inputs, height_px, said = look(before.vertices_mm, before.pose, view, shared)
    seen = normals_seen(said, height_px)
    fit, figures = _fit_skin(before, view, shared, seen=seen)
    figures |= {"skin_share": jnp.mean(inputs.covered * said.skin)}
    figures |= inclined(before.vertices_mm, fit.vertices_mm, (before.pose, fit.pose), seen, view, shared)
    return state._replace(fit=fit, shape_mm=fit.vertices_mm, seen=seen), figures


def _fit_skin(
    before: CoarseFit, view: View, shared: Shared, *, seen: NormalsSeen | None = None
) -> tuple[CoarseFit, Figures]:
    """A fit gone on with the skin, and its figures beside those of the fit before."""
    templates = shared.templates
    fit = coarse.fit_skin(
        before, view.landmarks, as_floats(view.window), view.crop, model=templates.model, patches=templates.patches,
        camera=view.camera, weights=shared.preset.coarse, seen=seen,
    )  # fmt: skip
    _, face_px = face_extent(before.vertices_mm, before.pose, view.camera, model=templates.model)
    figures = face_figures(fit, face_px=face_px)
    return fit, figures | {"residual_before_px": before.residual_px, "face_px": face_px}


def _deform(state: State, view: View, shared: Shared) -> tuple[State, Figures]:
    """The medium stage, judged by what the network saw where it looked, else by the shading."""
    templates, fit = shared.templates, state.fit
    deformed = medium.run(
        fit, view.landmarks, model=templates.model, template=templates.medium, camera=view.camera,
        weights=shared.preset.medium,
    )  # fmt: skip
    figures = deformation_figures(deformed, fit.vertices_mm, triangles=templates.model.triangles)
    after = state._replace(shape_mm=deformed.vertices_mm)
    if state.seen is not None:
        poses = fit.pose, fit.pose
        return after, figures | inclined(fit.vertices_mm, deformed.vertices_mm, poses, state.seen, view, shared)
    shapes = [(each.vertices_mm, fit.pose) for each in (fit, deformed)]
    if state.shading_residuals is None:
        residuals = shading_residuals(shapes, view, shared)
    else:  # the coarse shape's is known
        residuals = jnp.concatenate([state.shading_residuals[1:], shading_residuals(shapes[1:], view, shared)])
    return after, figures | _compared(residuals)


def _learn(state: State, view: View, shared: Shared) -> tuple[State, Figures]:
    """What the network says of the medium surface, by its look at the coarse one if it had one, for a surface that
    follows it already misleads it. Nothing, if that cannot be used."""
    if state.seen is None:
        inputs, _, said = look(state.shape_mm, state.fit.pose, view, shared)
    else:
        inputs = observed(state.shape_mm, state.fit.pose, view, shared)
        said = learned_normals(state.seen, fill_outside(inputs.height_px, inputs.covered))
    finite = functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(leaf)) for leaf in said])
    figures = {"counts": view.counts, "finite": finite, "skin_share": jnp.mean(inputs.covered * said.skin)}
    figures |= told(inputs, said)
    usable = holds(NORMALS.name, judge(NORMALS.name, figures))
    ones = jnp.ones_like(inputs.covered)
    nothing = LearnedNormals(jnp.zeros_like(said.slope_change), jnp.pi * ones, ones)
    said = jax.tree.map(lambda ours, none: jnp.where(usable, ours, none), said, nothing)
    scene = fine.led_scene(inputs, said)
    return state._replace(normals=said, scene=scene, phase1_height_px=scene.initial_height_px), figures


def _light(state: State, view: View, shared: Shared) -> tuple[State, Figures]:
    """Light, albedo and highlights, on the medium surface or on the one that the network led."""
    inputs = observed(state.shape_mm, state.fit.pose, view, shared)
    scene = fine.light_and_albedo(inputs, _fine_terms(shared), moved=state.scene)
    if state.scene is None:
        state = state._replace(phase1_height_px=scene.initial_height_px)
    state = state._replace(scene=scene)
    return state, {"counts": view.counts, "finite": scene.finite, "skin_share": jnp.mean(scene.mask > 0.5)}


def _phase1(state: State, view: View, shared: Shared) -> tuple[State, Figures]:
    scene = fine.solve(state.scene, _fine_terms(shared).phase1)
    height_px = fine.shown_height(scene)
    return state._replace(scene=scene, phase1_height_px=height_px), phase_figures(scene, height_px)


def _phase2(state: State, view: View, shared: Shared) -> tuple[State, Figures]:
    scene = fine.solve(state.scene, _fine_terms(shared).phase2)
    return state._replace(scene=scene), phase_figures(scene, fine.shown_height(scene))


def _led(shared: Shared) -> bool:
    return shared.network is not None and shared.preset.learned_normals is not None


def _fine_terms(shared: Shared) -> FineTerms:
    """Of Eqs. 4 to 9, as what leads the surface wants them."""
    return cast(FineTerms, shared.preset.learned_normals) if _led(shared) else shared.preset.fine


def _displace(state: State, view: View, shared: Shared) -> tuple[State, Figures]:
    """Detail on the mesh."""
    maps = fine_maps(state)
    mesh = detail_mesh(maps, state, view, shared)
    change_px = jnp.max(jnp.abs(maps.height_px - maps.medium_height_px))
    return state._replace(mesh=mesh), {"largest_mm": jnp.max(jnp.abs(mesh.displacement_mm)), "change_px": change_px}


def _not_inclined(before: State, after: State) -> State:
    return before._replace(seen=after.seen)


def _unshaded(before: State, after: State) -> State:
    return before._replace(shading_residuals=after.shading_residuals[::-1])


def _nothing_seen(before: State, after: State) -> State:
    plain = fine.plain_scene(after.scene)
    if before.scene is not None:  # the surface that the network led stays
        plain = with_value(plain._replace(mask=before.scene.mask), before.scene.height_px, name="height_px")
    return after._replace(scene=plain)


def _nothing_regressed(before: State, after: State) -> State:
    return after._replace(fit=after.fit._replace(finite=jnp.array(False)))


def _as_found(before: State, after: State) -> State:
    return after


REGRESSION = Stage("regression", _regress, _nothing_regressed)
COARSE = Stage("coarse", _fit, _as_found)
COARSE_SHADING = Stage("coarse shading", _fit_shading, _unshaded)
COARSE_NORMALS = Stage("coarse normals", _fit_normals, _not_inclined)
MEDIUM = Stage("medium", _deform)
NORMALS = Stage("learned normals", _learn, _as_found)
LIGHT = Stage("light and albedo", _light, _nothing_seen)
PHASE1 = Stage("fine phase 1", _phase1)
PHASE2 = Stage("fine phase 2", _phase2)
DETAIL = Stage("detail", _displace, _as_found)


def cut_out(state: State, view: View, *, shared: Shared, size: int) -> Crop:
    """The square crop of `size` pixels a side that holds the face as it appears."""
    return face_crop(state.shape_mm, state.fit.pose, view.camera, model=shared.templates.model, size=size)


def shape_stages(shared: Shared) -> tuple[Stage, ...]:
    """What follows the fit to landmarks, once the crop is cut."""
    first = (COARSE_SHADING,) if shared.preset.coarse_shading else ()
    return (*first, COARSE_NORMALS, MEDIUM) if _led(shared) else (*first, MEDIUM)


def surface_stages(shared: Shared) -> tuple[Stage, ...]:
    """From a shape to a detailed mesh; one that a network leads moves before light and colours are found on it."""
    return (NORMALS, PHASE1, PHASE2, LIGHT, DETAIL) if _led(shared) else (LIGHT, PHASE1, PHASE2, DETAIL)


def compile_all(views: View, shared: Shared, *, size: int, wanted: Callable[[], bool]) -> None:
    """Compiles what follows for photos without networks, in the order of need, while it is `wanted`."""
    crop, state = frame_map(cut_out, size=size), State()
    window: Any = jax.ShapeDtypeStruct((len(views.counts), size, size, 3), jnp.float32)
    for stage in (COARSE, *shape_stages(shared), *surface_stages(shared)):
        if not wanted():
            return
        state, _ = mapped(stage).ahead(state, views, shared=shared)
        if stage is COARSE:
            views = views._replace(crop=crop.ahead(state, views, shared=shared), window=window)
    frame_map(finish).ahead(state, views, shared=shared)


def fine_maps(state: State) -> FineMaps:
    """The scene's maps."""
    maps = fine.make_maps(state.scene, phase1_height_px=state.phase1_height_px)
    return maps if state.normals is None else maps._replace(spread=state.normals.spread)


@jax.jit
def detail_mesh(maps: FineMaps, state: State, view: View, shared: Shared) -> DetailMesh:
    """The medium shape with the detail of a height map."""
    templates = shared.templates
    crop_pose, crop_camera = cropped(state.fit.pose, view.camera, view.crop)
    return detail.run(state.shape_mm, maps, crop_pose, crop_camera, model=templates.model, template=templates.detail)


class Extras(NamedTuple):
    """What a photo's record holds beside the state: maps, the first phase's mesh, textures, the face under a new light,
    and the identity alone."""

    maps: FineMaps
    phase1_mm: Float[Array, "fine_vertices 3"]
    textures: TextureMaps
    relit: Float[Array, "size size 3"]
    neutral_mm: Float[Array, "vertices 3"]


def finish(state: State, view: View, *, shared: Shared) -> Extras:
    """From the last state to what is kept of a photo."""
    templates, maps = shared.templates, fine_maps(state)
    model = templates.model
    phase1 = detail_mesh(maps._replace(height_px=maps.phase1_height_px), state, view, shared)
    neutral_mm = face_shape(state.fit.identity, jnp.zeros_like(state.fit.expression), model=model)
    textures = texture(state, maps, view, shared)
    relit = relight(maps.albedo, maps.normals_image, maps.mask, background=as_floats(view.window))
    return Extras(maps, phase1.vertices_mm, textures, relit, neutral_mm)


def texture(state: State, maps: FineMaps, view: View, shared: Shared) -> TextureMaps:
    """What the picture tells of the whole texture."""
    crop_pose, crop_camera = cropped(state.fit.pose, view.camera, view.crop)
    template, model = shared.templates.detail, shared.templates.model
    return detail.bake(state.shape_mm, state.mesh, maps, crop_pose, crop_camera, model=model, template=template)


def _compared(residuals: Float[Array, "2"]) -> Figures:
    return {"shading_residual_before": residuals[0], "shading_residual": residuals[1]}
