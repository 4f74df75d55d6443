"""Re-encodes sound with as many of its channels as the new codec can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from colorization.films.source import decoded

if TYPE_CHECKING:
    from av import AudioFrame, AudioLayout, AudioStream, Packet
    from av.container import OutputContainer

# Bits per second and channel of AAC, or of Opus in WebM.
_BITS_PER_CHANNEL = 96_000
# Samples per second that AAC knows; others become 48000, as all do in Opus.
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
# FFmpeg's names of the layouts that AAC (ISO/IEC 14496-3, table 1.19) and Opus (RFC 7845, 5.1.1.2)
# give a number, so that all players know them; from few channels to many.
_AAC_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1")
_OPUS_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")


def sound_header(packet: Packet) -> bytes | None:
    """What all packets of a track have in common, where others cannot be copied.

    MP4 takes AAC without its headers, and reads those of E-AC-3. None for sound without headers.
    """
    context = packet.stream.codec_context
    name = context.name if context is not None else ""
    start = bytes(memoryview(packet)[:7]).ljust(7, b"\0")
    if name == "aac" and not context.extradata:
        # All but bits about copyright, a private one and the length (ISO/IEC 14496-3, 1.A.3.2).
        return bytes((start[0], start[1], start[2] & ~2, start[3] & 0xC0, start[6] & 3))
    if name == "eac3":
        # The mark, the codes of rate and blocks, and the version (ETSI TS 102 366, E.1.2).
        return bytes((start[0], start[1], start[4] & 0xF0, start[5] >> 3))
    # The mark, which sound of another codec lacks.
    return start[:2] if name == "ac3" else None


def new_layout(layout: AudioLayout, layouts: tuple[str, ...]) -> tuple[str, str]:
    """The smallest layout of a codec that holds all channels of another one, or most of them.

    Args:
      layout: of the source.
      layouts: names of the new codec's layouts, from few channels to many.

    Returns:
      The name of a layout, and a few words on what is mixed or left out; empty if nothing is.
    """
    import av

    count = layout.nb_channels
    if count <= 2:
        return layouts[max(count, 1) - 1], ""
    large_enough = [name for name in layouts if av.AudioLayout(name).nb_channels >= count]
    nearest = large_enough[0] if large_enough else layouts[-1]
    if _is_unordered(layout):
        kept_channels = av.AudioLayout(nearest).nb_channels
        return nearest, "" if large_enough else f"the first {kept_channels} of {count} channels"
    for name in large_enough:
        if _places(layout) <= _places(av.AudioLayout(name)):
            return name, ""
    return nearest, f"{layout.name} mixed to {nearest}"


def _is_unordered(layout: AudioLayout) -> bool:
    """Whether the positions of the channels are unknown."""
    return any(channel.name == "NONE" for channel in layout.channels)


def _places(layout: AudioLayout) -> set[str]:
    """The loudspeakers of a layout; side speakers count as back speakers if there are no others."""
    names = {channel.name for channel in layout.channels}
    if not names & {"BL", "BR"}:
        names = {{"SL": "BL", "SR": "BR"}.get(name, name) for name in names}
    return names


class SoundEncoder:
    """Decodes and re-encodes a track of sound; gaps become silence."""

    def __init__(
        self,
        result: OutputContainer,
        track: AudioStream,
        old_codec: str,
        as_opus: bool,
        has_times: bool,
    ):
        """Adds the track to the result.

        Args:
          result: the coloured film.
          track: of the source.
          old_codec: name of its codec, for messages.
          as_opus: whether to encode as Opus, else as AAC.
          has_times: False if only the time of the first packet is right.
        """
        codec, new_name = ("libopus", "opus") if as_opus else ("aac", "aac")
        rate = track.rate if track.rate in _AAC_RATES and not as_opus else 48000
        layout, mixing = new_layout(track.layout, _OPUS_LAYOUTS if as_opus else _AAC_LAYOUTS)
        self._old_codec = old_codec
        result_words = "encoded anew" if old_codec == new_name else f"as {new_name}"
        self._changes = [f"sound {old_codec} {result_words}", *([mixing] if mixing else [])]
        self.track = result.add_stream(codec, rate=rate, layout=layout)
        self.track.bit_rate = _BITS_PER_CHANNEL * self.track.layout.nb_channels
        self._graph: Callable | None = None
        self._format: tuple | None = None
        self._damage: list[str] = []
        self._next_pts = 0
        self._has_times = has_times
        # When the next sound begins, in seconds, if that is counted.
        self._next_time: Fraction | None = None

    @property
    def change(self) -> str:
        """What has become of the sound so far, in a few words."""
        if not self._damage:
            return ", ".join(self._changes)
        if self._format is None:
            return f"no sound {self._old_codec} ({self._damage[0]})"
        return ", ".join([*self._changes, f"{len(self._damage):,} times damaged"])

    def packets(self, packet: Packet) -> Iterator[Packet]:
        """The new packets for one of the source; an empty one ends the track."""
        for frame in decoded([packet], self._damage):
            if not self._has_times:
                self._count(frame)
            frame_format = frame.sample_rate, frame.layout.nb_channels, frame.format.name
            if frame_format != self._format:
                yield from self._encoded(None)
                if self._format is not None:
                    self._note_mixing(frame.layout)
                self._format, self._graph = frame_format, self._resampler(frame)
            yield from self._encoded(frame)
        if not packet.size:
            yield from self._encoded(None)
            yield from self.track.encode(None)

    def _count(self, frame: AudioFrame) -> None:
        """Has sound begin where that before it has ended."""
        if self._next_time is None:
            self._next_time = (frame.pts or 0) * frame.time_base
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = round(self._next_time * frame.sample_rate)
        self._next_time += Fraction(frame.samples, frame.sample_rate)

    def _note_mixing(self, layout: AudioLayout) -> None:
        """Adds a change where the sound gets more channels on the way than the new track has."""
        kept = self.track.layout
        change = f"{layout.name} mixed to {kept.name}"
        if layout.nb_channels > kept.nb_channels and change not in self._changes:
            self._changes.append(change)

    def _encoded(self, frame: AudioFrame | None) -> Iterator[Packet]:
        """The packets for some decoded sound, or for what the graph still holds."""
        if self._graph is not None:
            for resampled in self._graph(frame):
                # The parts of a spliced film may overlap.
                resampled.pts = max(resampled.pts or 0, self._next_pts)
                self._next_pts = resampled.pts + resampled.samples
                yield from self.track.encode(resampled)

    def _resampler(self, frame: AudioFrame) -> Callable[[AudioFrame | None], Iterable[AudioFrame]]:
        """A function that converts sound like this to what the encoder takes; None ends it."""
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
        panning = []
        if _is_unordered(frame.layout):
            count = min(frame.layout.nb_channels, context.layout.nb_channels)
            channel_map = (f"c{number}=c{number}" for number in range(count))
            panning = [graph.add("pan", "|".join([context.layout.name, *channel_map]))]
        gap_filler = graph.add("aresample", "async=1")
        converter = graph.add(
            "aformat",
            sample_fmts=context.format.name,
            sample_rates=str(context.sample_rate),
            channel_layouts=context.layout.name,
        )
        graph.link_nodes(
            source, *panning, gap_filler, converter, graph.add("abuffersink")
        ).configure()

        def resampled(frame: AudioFrame | None) -> Iterator[AudioFrame]:
            graph.push(frame)
            while True:
                try:
                    yield graph.pull()
                except (BlockingIOError, EOFError):
                    return

        return resampled
