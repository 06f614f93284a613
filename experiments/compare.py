"""Meshes of many methods side by side in one pose and light, and how far each is from a scan.

    python experiments/compare.py [PHOTO ...] [--methods=NAME:PATH,NAME:PATH ...] [--scan=PATH]

Without arguments about 3 minutes at 256 pixels on 2 cores. After Fig. 9 of Jin et al. (2021): a row for each face, a
column for each method, all in clay. {} in a path stands for the face's name, which is the photo's without its suffix;
without photos, whatever files fit it:

    python experiments/compare.py anna.jpg ben.jpg --methods=ours:out/{}/mesh.glb,other:their/{}.obj --scan=scans/{}.ply

Meshes (OBJ, PLY, STL, OFF, GLB) may have any pose, place and size: their landmarks bring them to the photo's face, or
to the front without photos. Landmarks are read from a file of the mesh's name beside it (.pp, .txt, .csv, .npy, .json),
else known for meshes that jaxface wrote, else found by MediaPipe on pictures of the mesh. With scans, a second row
shows each method's errors on them under --protocol.

Without --methods these are our own coarse, medium and fine shapes with both presets; and without photos too, of a
public-domain portrait, and of rendered faces of known shape, whose true surface is the scan. Expected there: with the
default preset the fine shape's error is not above the coarse one's, and below that of the paper's weights.

Writes compare.md, .json and .png into --output_dir.
"""

import numpy as np
from absl import app, flags
from common import panels, portraits, report, runner
from figure_study import lineup, mesh_files, own_shapes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from jaxface.detection.mediapipe_mesh import MediaPipeDetector
from jaxface.evaluation.evaluate import Evaluation, evaluate
from jaxface.evaluation.protocols import PROTOCOLS, Protocol
from jaxface.export.error_map import COLOUR_MAP, LIMIT_MM
from jaxface.types import FaceError, MorphableModel

METHODS = flags.DEFINE_list("methods", [], "name:path of each method's meshes, {} for the face; default: our stages")
SCAN = flags.DEFINE_string("scan", None, "path of the scans, {} for the face")
PROTOCOL = flags.DEFINE_enum("protocol", "micc-deng2019", list(PROTOCOLS), "how distances from the scans are measured")
FLAGS = runner.Flags(size=(512, 128), cases=(2, 1), fewest=0)

_SCAN = "scan"  # title of its column


def rows_of_files(
    methods: dict[str, str], scan: str | None, photos: dict[str, np.ndarray], model: MorphableModel, *, size: int
) -> tuple[dict[str, lineup.Row], dict[str, str]]:
    """A row for each face; and why meshes are missing. Raises FaceError where nothing can be shown."""
    rows, missing, patterns = {}, {}, methods | ({_SCAN: scan} if scan else {})
    detect = MediaPipeDetector()
    for name in list(photos) or mesh_files.faces_of(list(methods.values())):
        surfaces, stand, photo = {}, lineup.frontal_stand(size=size), photos.get(name)
        for method, pattern in patterns.items():
            try:
                surfaces[method] = mesh_files.read_face(pattern.replace(mesh_files.HOLE, name), detect=detect)
            except FaceError as error:
                missing[f"{name}, {method}"] = str(error)
        try:
            stand = stand if photo is None else lineup.photo_stand(photo, model, size=size)
        except FaceError as error:
            photo, missing[f"{name}, photo"] = None, str(error)
        rows[name] = lineup.Row(stand, photo, surfaces, surfaces.pop(_SCAN, None))
    if not any(row.surfaces for row in rows.values()):
        raise FaceError(f"No mesh can be shown: {next(iter(missing.values()))}")
    return rows, missing


def own_rows(photos: dict[str, np.ndarray], setup: runner.Setup, *, cases: int, levels: int) -> dict[str, lineup.Row]:
    """Our own shapes of the photos, then of rendered faces. Raises FaceError without a face."""
    rows = {}
    for name, image in photos.items():
        with portraits.named(name):
            rows[name] = own_shapes.make_row(image, setup.model, size=setup.size)
    shared = dict(size=setup.size, seed=setup.seed, levels=levels)
    return rows | own_shapes.rendered_rows(setup.model, count=cases, **shared)


def judge(rows: dict[str, lineup.Row], protocol: Protocol) -> tuple[dict[str, dict[str, Evaluation]], dict[str, str]]:
    """Errors on the scans by face and method; and why some are missing."""
    found, missing = {}, {}
    for name, row in rows.items():
        for method, surface in row.surfaces.items() if row.scan is not None else ():
            try:
                found.setdefault(name, {})[method] = evaluate(surface, row.scan, protocol=protocol)
            except FaceError as error:
                missing[f"{name}, {method}, errors"] = str(error)
    return found, missing


def draw(rows: dict[str, lineup.Row], found: dict[str, dict[str, Evaluation]]) -> Figure:
    """A row for each face and, where it has a scan, one below it with the errors."""
    shown, captions = {}, {}
    for name, row in rows.items():
        shown[name] = lineup.pictures(row)
        if name in found:
            below = f"{name}, errors"
            shown[below] = {method: lineup.error_picture(row, each) for method, each in found[name].items()}
            captions[below] = {method: f"{each.headline_mm:.2f} mm" for method, each in found[name].items()}
    figure = panels.grid(shown, captions=captions)
    if found:
        figure.set_figheight(figure.get_figheight() + 0.9)
        scale = ScalarMappable(Normalize(0.0, LIMIT_MM), COLOUR_MAP)
        bar = figure.colorbar(scale, ax=figure.axes, extend="max", location="bottom", shrink=0.4, aspect=40)
        bar.set_label("distance of the scan's points, mm (grey: not judged)", fontsize=8)
    return figure


def table(found: dict[str, dict[str, Evaluation]], methods: list[str], protocol: Protocol) -> list[str]:
    """Markdown: a line for each face and their mean over the faces that all methods have, with the protocol."""
    cells = [["face", *methods]]
    for name, of in found.items():
        cells.append([name, *(f"{of[m].headline_mm:.3f}" if m in of else "-" for m in methods)])
    shared = [of for of in found.values() if all(m in of for m in methods)]
    if len(shared) > 1:
        means = (np.mean([of[m].headline_mm for of in shared]) for m in methods)
        cells.append([f"mean of {len(shared)}", *(f"{mean:.3f}" for mean in means)])
    return [f"{protocol.headline} on the scan, protocol {protocol.text}.", "", *report.format_table(cells), ""]


def main(arguments: list[str]) -> None:
    """Rows, errors, files."""
    paths, protocol, missing = arguments[1:], PROTOCOLS[PROTOCOL.value], {}
    with runner.sentences():
        setup, methods = FLAGS.setup(), mesh_files.parse_methods(METHODS.value)
        photos = portraits.load(paths) if paths or not methods else {}
        if methods:
            rows, missing = rows_of_files(methods, SCAN.value, photos, setup.model, size=setup.size)
        elif SCAN.value is not None:
            raise FaceError("--scan goes with --methods: name the meshes that are compared with it.")
        else:
            photos = photos if paths else dict(list(photos.items())[:1])
            cases = 0 if paths else FLAGS.cases
            rows = own_rows(photos, setup, cases=cases, levels=0 if FLAGS.smoke else 1)
        found, without = judge(rows, protocol)
        figure = draw(rows, found)
    settings = {"model": FLAGS.model_name, "size": setup.size, "faces": list(rows)}
    names = list(dict.fromkeys(method for row in rows.values() for method in row.surfaces))
    lines = report.head("Methods side by side", settings)
    lines += table(found, names, protocol) if found else []
    missing |= without
    lines += report.listed("Missing", missing)
    figures = {
        name: {method: {"headline_mm": each.headline_mm, **each.figures} for method, each in of.items()}
        for name, of in found.items()
    }
    record = {"settings": settings, "methods": names, "missing": missing}
    record |= {"protocol": protocol.text, "faces": figures} if found else {}
    report.write(FLAGS.output_dir, "compare", lines, record, figure)


if __name__ == "__main__":
    app.run(main)
