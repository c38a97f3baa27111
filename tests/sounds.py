"""Sounds for tests, made on the spot: tones, noises and clicks, as samples and as files of any format."""

import io
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def tone(seconds, hertz=440.0, rate=RATE, level=0.5):
    """Return a tone, (n,) float32."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def noise(seconds, rate=RATE, level=0.2, seed=0):
    """Return white noise, (n,) float32."""
    return np.random.default_rng(seed).normal(0, level, round(seconds * rate)).clip(-1, 1).astype(np.float32)


def clicks(seconds, rate=RATE, every=0.25):
    """Return a click every so many seconds, (n,) float32."""
    made = np.zeros(round(seconds * rate), np.float32)
    for start in range(0, len(made) - 200, round(every * rate)):
        made[start : start + 200] = np.linspace(0.9, 0, 200) * np.where(np.arange(200) % 20 < 10, 1, -1)
    return made


def packed(samples, rate=RATE, kind="WAV", subtype=None):
    """Return samples, (n,) or (n, channels), as the bytes of a sound file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def m4a(samples, rate=44_100):
    """Return samples, (n,), as the bytes of an M4A file (AAC)."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        container.metadata["title"] = "A tone"
        container.metadata["artist"] = "Nobody"
        stream = container.add_stream("aac", rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return buffer.getvalue()


def write(folder: Path, rate=RATE, **sounds) -> Path:
    """Write sounds as WAV files by their names into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, samples in sounds.items():
        (folder / f"{name}.wav").write_bytes(packed(samples, rate))
    return folder
