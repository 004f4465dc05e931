"""Two half pictures that a camcorder took one after the other, made one. No TensorFlow."""

from collections.abc import Iterator

import av


class Deinterlacer:
    """Sends frames through FFmpeg's yadif, which makes one whole frame of each that says it is
    interlaced, passes the others on as they are, and holds one back."""

    def __init__(self):
        self._graph: av.filter.Graph | None = None
        self._kind: tuple | None = None

    def through(self, frames: Iterator[av.VideoFrame | None]) -> Iterator[av.VideoFrame | None]:
        """The frames, with the times that they had. None, a missing frame, keeps its place."""
        for frame in frames:
            if frame is None:
                yield from self._flushed()
                yield None
                continue
            kind = (frame.format.name, frame.width, frame.height, frame.time_base)
            if kind != self._kind:
                yield from self._flushed()
            if self._kind is None:
                self._start(kind)
            if self._graph is None:
                yield frame
            else:
                self._graph.vpush(frame)
                yield from self._ready()
        yield from self._flushed()

    def _start(self, kind: tuple) -> None:
        self._kind = kind
        format, width, height, time_base = kind
        if not format.startswith("yuv"):  # nothing else is interlaced, and yadif would convert it
            return
        graph = av.filter.Graph()
        source = graph.add_buffer(width=width, height=height, format=format, time_base=time_base)
        graph.link_nodes(source, graph.add("yadif", "deint=interlaced"), graph.add("buffersink")).configure()
        self._graph = graph

    def _ready(self) -> list[av.VideoFrame]:
        frames = []
        while True:
            try:
                frames.append(self._graph.vpull())
            except (av.error.BlockingIOError, av.error.EOFError):
                return frames

    def _flushed(self) -> list[av.VideoFrame]:
        frames = []
        if self._graph is not None:
            self._graph.vpush(None)
            frames = self._ready()
        self._graph = self._kind = None
        return frames
