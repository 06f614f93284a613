"""A tiny data set in MICC's layout, broken where real ones are: made by the tests from a public-domain portrait."""

import pathlib

import matplotlib.cbook
import numpy as np
from face_mask import face_mask
from PIL import Image

from jaxface.io.images import read_image
from jaxface.morphable.linear import landmark_positions
from jaxface.types import IBUG_68

NUM_FRAMES, SIDE = 4, 256


def make(folder: pathlib.Path) -> pathlib.Path:
    """Subject 1 has a scan, a good video, one that cannot be read, and lacks the third; 2 is empty; 3 has a video, but
    a scan without vertices. Landmarks lie in `folder` / landmarks; returns the data set's folder."""
    from micc import build, dataset

    micc, landmarks = folder / "MICC", folder / "landmarks"
    for number in (1, 3):
        (micc / f"subject_{number:02d}/Model/frontal1/obj").mkdir(parents=True)
        (micc / f"subject_{number:02d}/Video").mkdir()
    (micc / "subject_02").mkdir()
    landmarks.mkdir()
    model = face_mask()
    scan, points = np.asarray(model.mean_mm), np.asarray(landmark_positions(model.mean_mm, model=model))
    place = np.array([5.0, -90.0, 640.0])
    build.write_scan(micc / "subject_01/Model/frontal1/obj/110920150452.obj", scan + place, np.asarray(model.triangles))
    np.savetxt(landmarks / "subject_01_frontal1.txt", points[list(IBUG_68)] + place)
    (micc / "subject_03/Model/frontal1/obj/110920150512.obj").write_text("# no vertices\n")
    photo = 255.0 * read_image(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    portrait = Image.fromarray(photo.astype(np.uint8)).crop((60, 0, 460, 400))
    for number in (1, 3):
        video = micc / f"subject_{number:02d}/Video" / f"{dataset.CONDITIONS['outdoor'].upper()}.MJPG"
        frames = [portrait.resize((SIDE, SIDE)).rotate(2.0 * turn) for turn in range(NUM_FRAMES)]
        build.write_video(video, frames, build.FILMINGS["outdoor"])
    (micc / "subject_01/Video/PTZ-Indoor.avi").write_bytes(b"RIFF but no more")
    return micc
