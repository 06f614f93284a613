"""What can be installed, its licence and where it lies: plain facts, so that listing them needs no JAX (host side)."""

import difflib
import os
import pathlib
from typing import NamedTuple

DEFAULT = "default"  # the embedded model: always there


class Download(NamedTuple):
    """An archive on the web; `sha256` is of the `folder` inside it."""

    url: str
    file_name: str
    sha256: str
    folder: str


class Entry(NamedTuple):
    """One face model or network.

    `is_open` tells whether anyone may use it for anything; `open_rank` is the order of preference among the open
    models, 0 the first, None for all others. `source` says what `--from` takes. `reader` is the module whose `read`
    turns that into a `SourceModel`, or a network's with `params_from_checkpoint`. `parts` are the choices of `--part`.
    `sha256` is of the published file, where that is one that we know.
    """

    name: str
    title: str
    kind: str  # "model" or "network"
    licence: str
    is_open: bool
    url: str
    adds: str
    source: str
    reader: str = ""
    parts: tuple[str, ...] = ()
    open_rank: int | None = None
    download: Download | None = None
    sha256: str = ""


ENTRIES = (
    Entry(
        name=DEFAULT,
        title="the embedded model",
        kind="model",
        licence="Apache-2.0",
        is_open=True,
        url="comes with jaxface",
        adds="A whole head with eyes, teeth and tongue; 80 identity components, ARKit's 52 expressions.",
        source="nothing: it is part of jaxface",
    ),
    Entry(
        name="ict",
        title="ICT-FaceKit, light (USC Institute for Creative Technologies)",
        kind="model",
        licence="MIT",
        is_open=True,
        url="https://github.com/ICT-VGL/ICT-FaceKit",
        adds="A whole head with eyes and teeth; 100 identity components and 53 expressions as in ARKit.",
        source="the folder FaceXModel, or a .zip or .tar archive that holds it",
        reader="jaxface.models.readers.ict",
        parts=("head", "face", "all"),
        open_rank=0,
        download=Download(
            url="https://github.com/ICT-VGL/ICT-FaceKit/archive/refs/heads/master.zip",
            file_name="ICT-FaceKit.zip",
            sha256="26595cfc96f5516713db635db4d3a120f1d60170301a18f8f2627fa33ee01ec0",
            folder="FaceXModel",
        ),
    ),
    Entry(
        name="gnm",
        title="GNM Head 3 (Google)",
        kind="model",
        licence="Apache-2.0",
        is_open=True,
        url="https://github.com/google/GNM (gnm/shape/data/versions/v3_0/gnm_head.npz)",
        adds="A whole head with eyeballs and several hundred components, those of teeth and tongue left out.",
        source="gnm_head.npz",
        reader="jaxface.models.readers.gnm",
        open_rank=1,
        sha256="61d78bbfb4ad8e0b38495804a4caef3214d3df00f8c3f68761e63b41ce3747eb",
    ),
    Entry(
        name="bfm2009",
        title="Basel Face Model 2009 (University of Basel)",
        kind="model",
        licence="academic use only (no redistribution)",
        is_open=False,
        url="https://faces.dmi.unibas.ch/bfm/ (registration)",
        adds="199 identity components and mean skin colours; the model most papers compare with.",
        source="01_MorphableModel.mat, or face3d's BFM.mat, which has expressions too",
        reader="jaxface.models.readers.bfm2009",
    ),
    Entry(
        name="bfm2017",
        title="Basel Face Model 2017 or 2019 (University of Basel)",
        kind="model",
        licence="academic use only (no redistribution)",
        is_open=False,
        url="https://faces.dmi.unibas.ch/bfm/bfm2017.html (registration)",
        adds="199 identity and 100 expression components and mean skin colours.",
        source="model2017-1_bfm_nomouth.h5, model2017-1_face12_nomouth.h5 or a model2019 file",
        reader="jaxface.models.readers.bfm2017",
    ),
    Entry(
        name="deep3d",
        title="Deep3DFaceReconstruction's model, from the Basel Face Model 2009",
        kind="model",
        licence="academic use only (derives from BFM 2009: no redistribution)",
        is_open=False,
        url="https://github.com/sicxu/Deep3DFaceRecon_pytorch (built there from BFM 2009)",
        adds="80 identity and 64 expression components, the numbers of Jin et al. (2021).",
        source="BFM_model_front.mat, or a folder, .zip or .tar with it or with what the authors build it from",
        reader="jaxface.models.readers.deep3d",
    ),
    Entry(
        name="3ddfa_v2",
        title="3DDFA_V2's model, from the Basel Face Model 2009",
        kind="model",
        licence="academic use only (the code is MIT, the model derives from BFM 2009: no redistribution)",
        is_open=False,
        url="https://github.com/cleardusk/3DDFA_V2 (configs/bfm_noneck_v3.pkl)",
        adds="40 identity and 10 expression components, those that the network 3ddfa regresses.",
        source="the folder configs, or bfm_noneck_v3.pkl with param_mean_std_62d_120x120.pkl beside it",
        reader="jaxface.models.readers.tddfa",
    ),
    Entry(
        name="flame",
        title="FLAME 2020 or 2023 (Max Planck Institute for Intelligent Systems)",
        kind="model",
        licence="see its licence file (in the zip; it differs by release)",
        is_open=False,
        url="https://flame.is.tue.mpg.de (registration)",
        adds="A whole head whose jaw turns: 300 identity and 100 expression components.",
        source="generic_model.pkl, female_model.pkl, male_model.pkl or flame2023.pkl, or the same as .npz",
        reader="jaxface.models.readers.flame",
    ),
    Entry(
        name="3ddfa",
        title="3DDFA_V2's MobileNet-V1 (Jianzhu Guo)",
        kind="network",
        licence="MIT",
        is_open=True,
        url="https://github.com/cleardusk/3DDFA_V2 (weights/*.pth and configs/param_mean_std_62d_120x120.pkl)",
        adds="Regresses pose, identity and expression from the picture, as Jin et al. (2021) do.",
        source="a folder with one *.pth and param_mean_std_62d_120x120.pkl, or that *.pth beside the .pkl",
        reader="jaxface.networks.mobilenet",
    ),
    Entry(
        name="bisenet",
        title="BiSeNet for face parsing, 19 classes (zll)",
        kind="network",
        licence="MIT code, data non-commercial (trained on a research set for non-commercial use)",
        is_open=False,
        url="https://github.com/zllrunning/face-parsing.PyTorch (79999_iter.pth)",
        adds="Labels skin, brows, lips, hair and glasses pixel by pixel.",
        source="79999_iter.pth",
        reader="jaxface.networks.bisenet",
    ),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}


def find(name: str) -> Entry | None:
    """The entry of that name, or None."""
    return BY_NAME.get(name)


def unknown(name: str) -> str:
    """The sentence for a name that is not in the table: the nearest one, and all that are."""
    names = [entry.name for entry in ENTRIES]
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{name!r} is not a known model or network: {hint}There are {', '.join(names)}."


def how_to_install(entry: Entry) -> str:
    """The command that installs it, with what to get first where jaxface may not fetch it itself."""
    if entry.download:
        return f"run `jaxface models install {entry.name}`"
    return f"get {entry.source} from {entry.url} and run `jaxface models install {entry.name} --from=PATH`"


def cache_folder() -> pathlib.Path:
    """$JAXFACE_HOME, else $XDG_CACHE_HOME/jaxface, else ~/.cache/jaxface."""
    if home := os.environ.get("JAXFACE_HOME"):
        return pathlib.Path(home)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "jaxface"


def installed_path(entry: Entry) -> pathlib.Path:
    """Where the entry lies once installed."""
    return cache_folder() / "models" / f"{entry.name}.npz"


def is_installed(entry: Entry) -> bool:
    """Whether a file lies there; `store` tells whether it is sound."""
    return entry.name == DEFAULT or installed_path(entry).is_file()


def preferred() -> Entry:
    """The model that is used where none is named: the best open one installed, else the embedded one."""
    ranked = [entry for entry in ENTRIES if entry.open_rank is not None and is_installed(entry)]
    return min(ranked, key=lambda entry: entry.open_rank or 0, default=ENTRIES[0])
