"""The sound that goes with pictures: copied as far as they go. No TensorFlow."""

import os
import pathlib

import av

from tf_talking.media.video_reader import open_container

_COPIED = ("aac", "mp3", "ac3", "eac3", "alac", "opus")  # what mp4 can hold; the rest becomes AAC


class Sound:
    """The first sound of a file on its way into a container. Use as a context manager.

    Attributes:
      found: whether the file has sound.
    """

    def __init__(self, path: str | os.PathLike, result: av.container.OutputContainer):
        """Adds a stream to `result`, which must not have been written to.

        Raises:
          ValueError: the file can not be read.
        """
        self._path, self._result = pathlib.Path(path), result
        self._source = open_container(self._path)
        self.found = bool(self._source.streams.audio)
        self._items, self._next = iter(()), None
        if not self.found:
            return
        audio = self._source.streams.audio[0]
        self._copied = audio.codec_context.name in _COPIED
        if self._copied:
            self._stream = result.add_stream_from_template(audio, opaque=True)
            self._items = self._source.demux(audio)
        else:
            self._stream = result.add_stream("aac", rate=audio.codec_context.sample_rate)
            self._stream.codec_context.layout = audio.codec_context.layout
            self._items = self._source.decode(audio)

    def write_until(self, seconds: float) -> None:
        """Writes what begins before that time. Raises ValueError naming the file."""
        try:
            while True:
                item = next(self._items, None) if self._next is None else self._next
                if item is None:
                    return
                if item.pts is not None:
                    if float(item.pts * item.time_base) >= seconds:
                        self._next = item
                        return
                    self._write(item)
                self._next = None
        except av.error.FFmpegError as error:
            raise ValueError(f"sound of {self._path}: {error}") from None

    def _write(self, item: av.Packet | av.AudioFrame | None) -> None:
        if self._copied:
            item.stream = self._stream
        self._result.mux(item if self._copied else self._stream.encode(item))

    def finish(self) -> None:
        """Writes what the encoder holds back."""
        if self.found and not self._copied:
            self._write(None)

    def __enter__(self) -> "Sound":
        return self

    def __exit__(self, *error) -> None:
        self._source.close()
