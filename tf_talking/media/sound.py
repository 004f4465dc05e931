"""The sound that goes with pictures, written anew so that it stands where it stood beside them. No
TensorFlow."""

import contextlib
import fractions
import itertools
import os
import pathlib
from collections.abc import Iterator

import av
import numpy as np

from tf_talking.media.containers import Timeline, open_container
from tf_talking.media.decoding import start_of_pictures

_RATES = (44100, 48000)  # kept; every other one becomes the latter
_BITS_PER_CHANNEL = 96000
_GAP = 0.03  # seconds that the file's times may differ from the length of the samples before them


class Sound:
    """The sound of a file on its way into a container, as AAC. Use as a context manager.

    A best effort: what can not be had is silent, and `problem` says why.

    Attributes:
      found: whether `result` has sound.
      problem: what is wrong with the sound, one line; None: nothing.
    """

    def __init__(self, path: str | os.PathLike, result: av.container.OutputContainer):
        """Adds a stream to `result`, which must not have been written to, if there is sound.

        Args:
          path: file with pictures and sound; where its first picture stands, ours begins.
          result: see above.
        """
        self.found, self.problem = False, None
        self._path, self._result = pathlib.Path(path), result
        self._sources = contextlib.ExitStack()
        self._written, self._rate = 0, _RATES[-1]  # samples; samples a second
        try:
            self._chunks = self._first_that_decodes()
            if self.found:
                self._start = start_of_pictures(self._path)
                self._add_stream()
        except (ValueError, av.error.FFmpegError) as error:
            self.found, self.problem = False, str(error)
        if self.found:
            self._items = self._placed()
            self._advance()
        else:
            self._sources.close()

    def _add_stream(self) -> None:
        context = self._audio.codec_context
        if context.sample_rate in _RATES:
            self._rate = context.sample_rate
        self._layout = "mono" if context.channels == 1 else "stereo"
        self._stream = self._result.add_stream("aac", rate=self._rate, layout=self._layout)
        self._stream.bit_rate = _BITS_PER_CHANNEL * (1 if self._layout == "mono" else 2)

    def _first_that_decodes(self) -> Iterator[av.AudioFrame]:
        """Frames of the first stream that can be decoded; sets `found` and `_audio`."""
        number = 0
        while True:
            source = self._sources.enter_context(open_container(self._path))
            played = source.streams.best("audio")  # by players; then the others
            streams = sorted(source.streams.audio, key=lambda stream: stream is not played)
            if number >= len(streams):
                return iter(())
            self._audio, number = streams[number], number + 1
            if self._audio.codec_context is not None:
                frames = self._decoded(source)
                first = next(frames, None)
                if first is not None:
                    self.found, self.problem = True, None
                    return itertools.chain([first], frames)
            self.problem = f"sound of {self._path}: in a format that can not be decoded"

    def _decoded(self, source: av.container.InputContainer) -> Iterator[av.AudioFrame]:
        """Frames; what is damaged is passed over, its place stays silent."""
        broken = None
        try:
            for packet in source.demux(self._audio):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    broken = error.strerror
                    continue
                broken = None if packet.size else broken
                yield from frames
        except av.error.FFmpegError as error:
            broken = error.strerror
        if broken:
            self.problem = f"sound of {self._path}: broke off after {self._written / self._rate:.1f} s: {broken}"

    def _placed(self) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the first sample, from the first picture on; float32 [channels, samples])."""
        timeline, resampler = Timeline(), _Resampler(self._layout, self._rate)
        fed, place = None, 0  # seconds: where the frames so far end; samples: where the next stand
        for frame in self._chunks:
            duration = frame.samples / frame.sample_rate
            seconds = timeline.place(frame.time, duration) - self._start
            if fed is None or abs(seconds - fed) > _GAP:
                for samples in resampler.flushed():
                    yield place, samples
                    place += samples.shape[1]
                fed, place = seconds, round(seconds * self._rate)
            fed += duration
            for samples in resampler.resampled(frame):
                yield place, samples
                place += samples.shape[1]
        for samples in resampler.flushed():
            yield place, samples
            place += samples.shape[1]

    def write_until(self, seconds: float) -> None:
        """Writes what stands before that time, from the first picture on."""
        end = round(seconds * self._rate) if self.found else 0
        while self._written < end and self._next is not None:
            place, samples = self._next
            if place > self._written:  # a gap
                silent = min(place, end) - self._written
                self._encode(np.zeros((samples.shape[0], min(silent, self._rate)), np.float32))
                continue
            samples = samples[:, self._written - place :]
            if samples.shape[1] > end - self._written:
                self._encode(samples[:, : end - self._written])
                return
            if samples.shape[1]:
                self._encode(samples)
            self._advance()

    def _advance(self) -> None:
        try:
            self._next: tuple[int, np.ndarray] | None = next(self._items, None)
        except (ValueError, av.error.FFmpegError) as error:  # the pictures are not lost for it
            self._next = None
            self.problem = f"sound of {self._path}: {error}"

    def _encode(self, samples: np.ndarray) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self._layout)
        frame.sample_rate, frame.time_base = self._rate, fractions.Fraction(1, self._rate)
        frame.pts = self._written
        self._written += samples.shape[1]
        self._result.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Writes what the encoder holds back."""
        if self.found:
            self._result.mux(self._stream.encode(None))

    def __enter__(self) -> "Sound":
        return self

    def __exit__(self, *error) -> None:
        self._sources.close()


class _Resampler:
    """Frames of any kind, also one that changes -> float32 [channels, samples] of one kind."""

    def __init__(self, layout: str, rate: int):
        self._layout, self._rate = layout, rate
        self._kind: tuple | None = None
        self._resampler: av.AudioResampler | None = None

    def resampled(self, frame: av.AudioFrame) -> Iterator[np.ndarray]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            yield from self.flushed()
            self._kind = kind
            self._resampler = av.AudioResampler("fltp", self._layout, self._rate)
        frame.pts = None  # the place is known; the resampler would fill gaps
        for part in self._resampler.resample(frame):
            yield part.to_ndarray()

    def flushed(self) -> Iterator[np.ndarray]:
        if self._resampler is not None:
            for part in self._resampler.resample(None):
                yield part.to_ndarray()
        self._kind = self._resampler = None
