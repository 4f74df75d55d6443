"""Sound that is encoded anew, with all channels that the new codec can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from colorization.films.source import decoded

if TYPE_CHECKING:
    from av import AudioFrame, AudioLayout, AudioStream, Packet
    from av.container import OutputContainer

# Sound becomes AAC, or Opus in WebM, of so many bits a second for each channel.
_BITS_PER_CHANNEL = 96_000
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
# Layouts that have a number of their own in AAC (ISO/IEC 14496-3, table 1.19) and Opus (RFC 7845,
# 5.1.1.2), so that all players know them; from few channels to many.
_AAC_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1")
_OPUS_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")


def new_layout(layout: AudioLayout, held: tuple[str, ...]) -> tuple[str, str]:
    """The layout that takes all channels of another one, or most of them.

    Args:
      layout: that of the source.
      held: the names of those that the new codec holds, from few channels to many.

    Returns:
      One of `held`, and what is mixed or left out, in a few words; empty if nothing is.
    """
    import av

    count = layout.nb_channels
    if count <= 2:
        return held[max(count, 1) - 1], ""
    enough = [name for name in held if av.AudioLayout(name).nb_channels >= count]
    if _is_unordered(layout):
        named = enough[0] if enough else held[-1]
        kept = av.AudioLayout(named).nb_channels
        return named, "" if enough else f"the first {kept} of {count} channels"
    for name in enough:
        if _places(layout) <= _places(av.AudioLayout(name)):
            return name, ""
    named = enough[0] if enough else held[-1]
    return named, f"{layout.name} mixed to {named}"


def _is_unordered(layout: AudioLayout) -> bool:
    """Whether nothing tells which channel is where."""
    return any(channel.name == "NONE" for channel in layout.channels)


def _places(layout: AudioLayout) -> set[str]:
    """The loudspeakers of a layout; those at the sides count as those at the back if alone."""
    names = {channel.name for channel in layout.channels}
    if not names & {"BL", "BR"}:
        names = {{"SL": "BL", "SR": "BR"}.get(name, name) for name in names}
    return names


class SoundEncoder:
    """A track of sound that is decoded and encoded anew; gaps become silence."""

    def __init__(self, result: OutputContainer, track: AudioStream, name: str, as_opus: bool):
        """Adds the track to the result; `name` is that of its old codec."""
        codec, new_name = ("libopus", "opus") if as_opus else ("aac", "aac")
        rate = track.rate if track.rate in _AAC_RATES and not as_opus else 48000
        layout, mixed = new_layout(track.layout, _OPUS_LAYOUTS if as_opus else _AAC_LAYOUTS)
        self._name = name
        self._changes = [f"sound {name} as {new_name}", *([mixed] if mixed else [])]
        self.track = result.add_stream(codec, rate=rate, layout=layout)
        self.track.bit_rate = _BITS_PER_CHANNEL * self.track.layout.nb_channels
        self._graph: Callable | None = None
        self._kind: tuple | None = None
        self._damaged: list[str] = []
        self._next = 0

    @property
    def change(self) -> str:
        """What has become of the sound so far, in a few words."""
        if not self._damaged:
            return ", ".join(self._changes)
        if self._kind is None:
            return f"no sound {self._name} ({self._damaged[0]})"
        return ", ".join([*self._changes, f"{len(self._damaged):,} times damaged"])

    def packets(self, packet: Packet) -> Iterator[Packet]:
        """What becomes of a packet; an empty one ends the track."""
        for frame in decoded([packet], self._damaged):
            kind = frame.sample_rate, frame.layout.nb_channels, frame.format.name
            if kind != self._kind:
                yield from self._encoded(self._graph, None)
                self._kind, self._graph = kind, self._resampler(frame)
            yield from self._encoded(self._graph, frame)
        if not packet.size:
            yield from self._encoded(self._graph, None)
            yield from self.track.encode(None)

    def _encoded(self, graph: Callable | None, frame: AudioFrame | None) -> Iterator[Packet]:
        if graph is not None:
            for resampled in graph(frame):
                # Where a film was put together, its parts may overlap.
                resampled.pts = max(resampled.pts or 0, self._next)
                self._next = resampled.pts + resampled.samples
                yield from self.track.encode(resampled)

    def _resampler(self, frame: AudioFrame) -> Callable[[AudioFrame | None], Iterable[AudioFrame]]:
        import av

        context = self.track.codec_context
        graph = av.filter.Graph()
        source = graph.add(
            "abuffer",
            sample_rate=str(frame.sample_rate),
            sample_fmt=frame.format.name,
            channel_layout=frame.layout.name,
            time_base=str(frame.time_base),
        )
        ordered = []
        if _is_unordered(frame.layout):
            count = min(frame.layout.nb_channels, context.layout.nb_channels)
            same = (f"c{number}=c{number}" for number in range(count))
            ordered = [graph.add("pan", "|".join([context.layout.name, *same]))]
        steady = graph.add("aresample", "async=1")
        wanted = graph.add(
            "aformat",
            sample_fmts=context.format.name,
            sample_rates=str(context.sample_rate),
            channel_layouts=context.layout.name,
        )
        graph.link_nodes(source, *ordered, steady, wanted, graph.add("abuffersink")).configure()

        def resampled(frame: AudioFrame | None) -> Iterator[AudioFrame]:
            graph.push(frame)
            while True:
                try:
                    yield graph.pull()
                except (BlockingIOError, EOFError):
                    return

        return resampled
