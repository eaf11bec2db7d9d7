"""Speed and memory of reading clips, next to the naive way: decode every frame with OpenCV, then pick.

Makes its own clips with ffmpeg (pans over the photos in examples/photos: 10 s of 854x480 at 25 frames a second, 16
frames wanted of each) and prints one table. Give the machine to it alone:

    python benchmarks/video.py
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # as the command does, before torch is imported

import av
import cv2
import numpy as np

from captioner.models.base import load
from captioner.models.caption import Captioner
from captioner.pipelines.folder.stages import in_threads, prefetch
from captioner.vision.images import Pixels, Transform
from captioner.vision.video import Clip, sample_frames

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "photos"
CORES = os.cpu_count() or 1
SIZE, RATE, SECONDS, FRAMES = (854, 480), 25, 10, 16

KINDS = {
    "as ffmpeg encodes (a key frame every 250)": "",
    "the same with a camera's noise": "noise=alls=6:allf=t",
    "as cameras encode (a key frame a second, no B-frames)": "noise=alls=6:allf=t|-g 25 -bf 0",
}


def make_clip(path: Path, photo: Path, kind: str) -> str:
    """A pan over a photo, H.264 as ffmpeg encodes by default unless the kind says otherwise."""
    noise, _, encoding = KINDS[kind].partition("|")
    width, height = SIZE
    pan = (
        f"scale={2 * width}:{2 * height}:force_original_aspect_ratio=increase,crop={2 * width}:{2 * height},"
        f"zoompan=z='1+0.002*on':x='1.2*on':d={SECONDS * RATE}:s={width}x{height}:fps={RATE}"
    )
    command = ["ffmpeg", "-v", "error", "-loop", "1", "-i", photo, "-vf", ",".join(filter(None, [pan, noise]))]
    command += ["-frames:v", str(SECONDS * RATE), "-c:v", "libx264", "-pix_fmt", "yuv420p", *encoding.split(), path]
    subprocess.run([str(each) for each in command], check=True, stdin=subprocess.DEVNULL)
    return str(path)


def make_long(path: Path, clip: str, times: int) -> str:
    """A clip over and over."""
    command = ["ffmpeg", "-v", "error", "-stream_loop", str(times - 1), "-i", clip, "-c", "copy", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return str(path)


def naive(path: str, transform: Transform) -> Pixels:
    """Decode everything, then pick."""
    capture, frames = cv2.VideoCapture(path), []
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames.append(frame)
    chosen = ((np.arange(FRAMES) + 0.5) * len(frames) / FRAMES).astype(int)
    return np.stack([transform(cv2.cvtColor(frames[place], cv2.COLOR_BGR2RGB)) for place in chosen])


def grabbed(path: str, transform: Transform) -> Pixels:
    """Decode everything, but convert only what is picked."""
    capture, pixels = cv2.VideoCapture(path), []
    chosen = set(((np.arange(FRAMES) + 0.5) * SECONDS * RATE / FRAMES).astype(int).tolist())
    place = 0
    while capture.grab():
        if place in chosen:
            pixels.append(transform(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)))
        place += 1
    return np.stack(pixels)


def ours(path: str, transform: Transform) -> Clip:
    return sample_frames(path, count=FRAMES, transform=transform)


def ordered_parallel_map(paths: Sequence[str], transform: Transform) -> None:
    for _ in in_threads(partial(ours, transform=transform), paths, workers=CORES, waiting=CORES):
        pass


def naive_features(paths: Sequence[str], model: Captioner) -> None:
    for path in paths:
        model.encode(naive(path, model.transform))


def our_features(paths: Sequence[str], model: Captioner) -> None:
    clips = in_threads(partial(ours, transform=model.transform), paths, workers=CORES, waiting=CORES)
    for clip in prefetch(clips):
        model.encode(clip.frames)


def speed(work: Callable[[], object], clips: int, repeats: int = 3) -> float:
    """Clips a second, the median of some repeats."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return clips / sorted(times)[len(times) // 2]


def peak_memory(path: str) -> tuple[float, float]:
    """Peak MB of a process that reads the frames of one clip, and the seconds it takes."""
    code = (
        "import sys, time; from captioner.vision.images import Transform; "
        "from captioner.vision.video import sample_frames; started = time.perf_counter(); "
        f"sample_frames(sys.argv[1], count={FRAMES}, transform=Transform()); print(time.perf_counter() - started)"
    )
    # a process of its own starts it: memory counts from the fork on, and this one's is large
    starter = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    command = [sys.executable, "-c", starter, sys.executable, "-P", "-c", code, path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, memory = map(float, done.stdout.split())
    return memory, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="photos", help="whose CNN works")
    parser.add_argument("--clips", type=int, default=8, help="of each kind")
    parser.add_argument("--minutes", type=int, default=10, help="length of the long clip")
    options = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("This benchmark makes its clips with ffmpeg; install it.")

    def say(what: str, value: str) -> None:
        print(f"{what:<74} {value:>14}", flush=True)

    model = load(options.model, "cpu")
    transform = model.transform
    model.encode(np.zeros((FRAMES, *transform.size, 3), np.uint8))
    print(
        f"{platform.machine()}, {CORES} cores, OpenCV {cv2.__version__}, PyAV {av.__version__}, model {options.model}"
    )
    photos = sorted(EXAMPLES.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as name:
        for number, kind in enumerate(KINDS):
            paths = [
                make_clip(Path(name) / f"{number}-{place}.mp4", photos[place % len(photos)], kind)
                for place in range(options.clips)
            ]
            plain = speed(lambda paths=paths: [naive(path, transform) for path in paths], len(paths))  # type: ignore[misc]
            picked = speed(lambda paths=paths: [grabbed(path, transform) for path in paths], len(paths))  # type: ignore[misc]
            alone = speed(lambda paths=paths: [ours(path, transform) for path in paths], len(paths))  # type: ignore[misc]
            both = speed(partial(ordered_parallel_map, paths, transform), len(paths))
            print(kind)
            say("  every frame decoded by OpenCV, then picked", f"{plain:.1f} clips/s")
            say("  the same, converting only what is picked", f"{picked:.1f} clips/s")
            say("  captioner, one after another", f"{alone:.1f} clips/s")
            say("  captioner, side by side", f"{both:.1f} clips/s")
            say("  captioner / OpenCV", f"{both / plain:.1f} x")
            plain = speed(partial(naive_features, paths, model), len(paths))
            whole = speed(partial(our_features, paths, model), len(paths))
            say("  with the CNN: OpenCV, then the CNN", f"{plain:.1f} clips/s")
            say("  with the CNN: captioner", f"{whole:.1f} clips/s")
            say("  with the CNN: captioner / OpenCV", f"{whole / plain:.1f} x")
        long = make_long(Path(name) / "long.mp4", paths[0], 6 * options.minutes)
        (short_memory, short), (long_memory, whole) = peak_memory(paths[0]), peak_memory(long)
        say(f"{FRAMES} frames of {SECONDS} seconds: peak memory, time", f"{short_memory:.0f} MB, {short:.2f} s")
        say(f"{FRAMES} frames of {options.minutes} minutes: peak memory, time", f"{long_memory:.0f} MB, {whole:.2f} s")
        say("peak memory, ratio", f"{long_memory / short_memory:.2f}")


if __name__ == "__main__":
    main()
