"""How a prediction is compared with a scan: each choice a field, each published protocol a preset. Millimetres.

Figures of two protocols never belong in one column; the text that each result carries tells them apart.

All protocols: the crop picks the scan's vertices that are judged (vertices that no triangle uses are left out, if the
scan has triangles); the prediction is brought to the scan by its landmarks, then by ICP over those vertices; errors are
unsigned and in the scan's millimetres. What the published texts leave open, and what is chosen here:

micc-deng2019  Deng et al. (2019), the protocol of Jin et al. (2021) Table 1, who average the shapes of a video's frames
    first (whoever calls does that). Known: 95 mm round the nose tip, part of the forehead removed, ICP with isotropic
    scale, per-vertex point-to-plane, RMSE per mesh. Open:
    forehead_cut_mm    where the forehead is cut: here 30 mm above the outer eye corners, square to the line from mouth
                       to eyes; None for no cut.
    start_landmarks    how ICP starts: nose tip, eye and mouth corners, those that both sides have.
    icp, kept, tolerance, num_iterations  which ICP: point to plane, the farthest tenth of the pairs dropped.
    distance           whose plane: that of the nearest predicted vertex; "point_to_surface" is the exact distance.
    overlap_only       whether scan points beyond the prediction's open border count: they do. (Genova et al. 2018 judge
                       the overlap only, and take one scale for all scans, which no preset here does.)
    scale              Jin et al. do not say; Deng et al. fit it for each mesh.
micc-ganfit  Gecer et al. (2019), evaluation code. Mean distance to the closest place on the surface, scan to prediction
    and prediction to scan, each after its own similarity ICP that ends when the mean falls by less than 0.001 mm; the
    figure is the mean of both. Each side is masked 95 mm round its own nose tip (60 mm for subject 28), and the lower
    figure of the two frontal scans counts (whoever calls does that).
    Departs: their scans are registered to their template, so that ICP starts from pairs of equal index; raw scans have
    none, and ICP starts from landmarks. They measure one direction in the prediction's unit; here both are in the
    scan's millimetres.
now  Sanyal et al. (2019), evaluation code. Similarity from seven landmarks, then the scale, rotation and translation
    that minimise the distances of the cropped scan's vertices to the predicted surface; those distances are judged.
    The figure is the median; the published ones are over the distances of all images together.
    Departs: Gauss-Newton with new nearest places each round, instead of their dog-leg solver on the same sum of
    squares; no mirrored start. `scale="rigid"` is the metrical variant: prediction in millimetres, scale never fitted.
realy  Not offered: its region masks, its 85 keypoints and its scans' scales come only with its data set, without which
    a copy of its non-rigid step could not be checked.
"""

import dataclasses
from typing import Literal, get_args

from jaxface.evaluation.alignment import Icp
from jaxface.evaluation.surfaces import EYE_CORNERS, MOUTH_CORNERS, NOSE_TIP, NOW_SEVEN
from jaxface.types import FaceError

Scale = Literal["similarity", "rigid"]
Crop = Literal["nose_tip", "now"]
Distance = Literal["point_to_plane", "point_to_surface"]
Figure = Literal["rmse_mm", "mean_mm", "median_mm"]

_NO_REALY = (
    "The protocol realy is not offered: its region masks, keypoints and scales come only with its data set, without "
    "which a copy of its non-rigid step could not be checked; take {}."
)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Every choice of a comparison; change some with `dataclasses.replace`, and the text says so.

    `scale`: whether the prediction's size is fitted. `crop`, `crop_radius_mm`, `forehead_cut_mm`: what of the scan is
    judged (the radius is of "nose_tip" only). `start_landmarks`: rows of iBUG's 68 for the first alignment, of which
    `fewest_landmarks` must be known on both sides. `icp`, `kept`, `tolerance`, `tolerance_mean_mm`, `num_iterations`:
    see `alignment.align`. `distance`: to the plane of the nearest vertex, or to the surface. `overlap_only`: points
    nearest to the prediction's open border are not judged. `both_directions`: the headline is the mean of scan to
    prediction and of prediction to scan, each aligned for itself; the other figures are of scan to prediction.
    `headline`: which figure is the protocol's one.
    """

    name: str
    scale: Scale = "similarity"
    crop: Crop = "nose_tip"
    crop_radius_mm: float = 95.0
    forehead_cut_mm: float | None = None
    start_landmarks: tuple[int, ...] = (NOSE_TIP, *EYE_CORNERS, *MOUTH_CORNERS)
    fewest_landmarks: int = 3
    icp: Icp = "point_to_plane"
    kept: float = 1.0
    tolerance: float = 1e-5
    tolerance_mean_mm: float | None = None
    num_iterations: int = 200
    distance: Distance = "point_to_surface"
    overlap_only: bool = False
    both_directions: bool = False
    headline: Figure = "rmse_mm"

    def __post_init__(self):
        """Raises FaceError for a choice that does not exist."""
        kinds = {"scale": Scale, "crop": Crop, "icp": Icp, "distance": Distance, "headline": Figure}
        for field, kind in kinds.items():
            if getattr(self, field) not in get_args(kind):
                choices = ", ".join(get_args(kind))
                raise FaceError(f"{field} must be one of {choices}, not {getattr(self, field)!r}.")
        if not self.crop_radius_mm > 0:
            raise FaceError(f"crop_radius_mm must be positive, not {self.crop_radius_mm}.")
        if not 0 < self.kept <= 1:
            raise FaceError(f"kept is a share of the pairs, above 0 and at most 1, not {self.kept}.")
        if self.num_iterations < 0:
            raise FaceError(f"num_iterations must be 0 or more, not {self.num_iterations}.")
        if not 3 <= self.fewest_landmarks <= len(set(self.start_landmarks)):
            raise FaceError("fewest_landmarks must be 3 or more, and no more than there are start_landmarks.")
        if self.both_directions and (self.crop, self.distance) != ("nose_tip", "point_to_surface"):
            raise FaceError("both_directions goes with crop=nose_tip and distance=point_to_surface only.")

    @property
    def label(self) -> str:
        """The name, and which choices differ from the preset of that name: short, for tables."""
        preset = PROTOCOLS.get(self.name)
        if preset is None:
            return self.name
        changed = [text for text, old in zip(_choices(self), _choices(preset), strict=True) if text != old]
        return f"{self.name} with {', '.join(changed)}" if changed else self.name

    @property
    def text(self) -> str:
        """The label and every choice: what each result carries."""
        return f"{self.label}: {', '.join(_choices(self))}"


def _choices(protocol: Protocol) -> list[str]:
    values = {field.name: getattr(protocol, field.name) for field in dataclasses.fields(Protocol)[1:]}
    values["start_landmarks"] = "+".join(map(str, protocol.start_landmarks))
    return [f"{name}={value}" for name, value in values.items()]


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("micc-deng2019", forehead_cut_mm=30.0, kept=0.9, distance="point_to_plane"),
        Protocol(
            "micc-ganfit",
            icp="point_to_point",
            tolerance_mean_mm=0.001,
            both_directions=True,
            headline="mean_mm",
        ),
        Protocol(
            "now",
            crop="now",
            start_landmarks=NOW_SEVEN,
            fewest_landmarks=len(NOW_SEVEN),
            icp="point_to_surface",
            headline="median_mm",
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """The preset of that name. Raises FaceError for others."""
    known = ", ".join(PROTOCOLS)
    if name == "realy":
        raise FaceError(_NO_REALY.format(known))
    if name not in PROTOCOLS:
        raise FaceError(f"There is no protocol {name!r}; there are {known}.")
    return PROTOCOLS[name]
