"""Real video files whose frames show their own number, for tests."""

import fractions
from pathlib import Path

import av
import numpy as np


def numbered_frames(count: int, height: int = 64, width: int = 96) -> np.ndarray:
    """Returns frames that show their own number as eight black or white bars."""
    bits = (np.arange(count)[:, None] >> np.arange(8)) & 1
    bars = np.repeat(bits * 200 + 28, -(-width // 8), axis=1)[:, :width]
    return np.broadcast_to(bars[:, None, :, None], (count, height, width, 3)).astype(np.uint8)


def frame_numbers(frames: np.ndarray) -> list[int]:
    centres = ((np.arange(8) + 0.5) * frames.shape[2] / 8).astype(int)
    bits = frames[:, frames.shape[1] // 2, centres].mean(-1) > 128
    return (bits << np.arange(8)).sum(1).tolist()


def write_video(
    path: Path,
    frames: np.ndarray,
    rate: float | str = 30,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times_s: list[float] | None = None,
    rotation: int = 0,
    pixel_aspect: tuple[int, int] = (1, 1),
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fractions.Fraction(rate).limit_denominator(1001))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.options = options or {}
        if pixel_aspect != (1, 1):
            stream.codec_context.sample_aspect_ratio = fractions.Fraction(*pixel_aspect)
        if times_s is not None:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times_s is not None:
                frame.pts, frame.time_base = round(times_s[i] * 1000), fractions.Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_lossless(path: Path, frames: np.ndarray) -> Path:
    """A video whose every frame is coded by itself, so that damage does not spread."""
    return write_video(path, frames, codec="ffv1", pixels="yuv444p", options={"g": "1"})


def reference_rule(count: int, rate: float, fps: float) -> list[int]:
    """The reference implementation's loop, word for word in floating point."""
    kept, counter = [], 0.0
    for index in range(count):
        counter += 1
        if counter >= rate / fps:
            counter -= rate / fps
            kept.append(index)
    return kept


def overwrite_packets(path: Path, positions: list[int]) -> None:
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content, offset = bytearray(path.read_bytes()), 0
    for i, packet in enumerate(packets):
        offset = content.index(packet, offset) + len(packet)
        if i in positions:
            content[offset - len(packet) : offset] = b"\xff" * len(packet)
    path.write_bytes(content)


def write_sound(path: Path, cover: np.ndarray | None = None) -> Path:
    """A second of silence, in the usual format of the suffix; perhaps with a cover picture."""
    codecs = {".mp3": "libmp3lame", ".flac": "flac", ".m4a": "aac", ".mp4": "aac", ".aac": "aac"}
    codecs |= {".aiff": "pcm_s16be"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codecs.get(path.suffix, "pcm_s16le"), rate=44100)
        picture = None
        if cover is not None:
            picture = container.add_stream("mjpeg", rate=1)
            picture.height, picture.width, picture.pix_fmt = *cover.shape[:2], "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            image = av.VideoFrame.from_ndarray(cover, format="rgb24")
            container.mux([*picture.encode(image), *picture.encode()])
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 2 * 44100), np.int16), format="s16", layout="stereo"
        )
        frame.sample_rate, frame.pts = 44100, 0
        resampler = av.AudioResampler(stream.format, stream.layout, frame_size=stream.frame_size)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode())
    return path
