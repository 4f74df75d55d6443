"""Interlaced films: which field of a picture is shown first, and what states it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colorization.films.filters import filter_graph

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.codeccontext import VideoCodecContext

# Codecs whose decoders report for each picture whether it is interlaced, so that the container need
# not.
_PICTURES_STATE_FIELDS = (
    *("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "wmv3", "dvvideo", "prores"),
)
# Codecs of films for computers and phones, whose pictures have no fields.
_WITHOUT_FIELDS = (
    *("vp3", "vp5", "vp6", "vp6f", "vp7", "vp8", "vp9", "av1", "theora", "flv1", "h261", "h263"),
    *("msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "svq1", "svq3", "rv10", "rv20"),
    *("rv30", "rv40", "gif", "apng", "webp", "cinepak", "indeo3", "msrle", "msvideo1", "rpza"),
    *("smc", "qtrle", "flashsv", "flashsv2", "zmbv", "tscc"),
)
# FFmpeg's names of the containers that may state fields.
_STATING_FIELDS = ("mov", "matroska", "mxf", "gxf", "yuv4mpegpipe")
# FFmpeg's numbers for the container's order of fields -> the field that is shown first. As its
# writers and decoders take them, and Matroska (RFC 9559, FieldOrder 9 and 14), the last two are of
# interleaved fields.
_FIELDS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}


def field_order(frame: VideoFrame) -> str | None:
    """The field that is shown first, "tff" or "bff"; None for progressive pictures."""
    if not frame.interlaced_frame:
        return None
    bottom_first = ("select", "eq(interlace_type,BOTTOMFIRST)")
    try:
        filter_graph(frame, [bottom_first])(frame)
    except BlockingIOError:
        # The filter has dropped the picture, because it does not begin with the bottom field.
        return "tff"
    return "bff"


def stated_fields(context: VideoCodecContext) -> str | None:
    """The container's order of fields, "tff" or "bff", for codecs whose pictures state none.

    None for other codecs, for progressive pictures, and from PyAV before 18.1, which knows none.
    """
    if context.name in _PICTURES_STATE_FIELDS:
        return None
    return _FIELDS.get(int(getattr(context, "field_order", 0)))


def may_lose_fields(container: str, context: VideoCodecContext) -> bool:
    """Whether a film may be interlaced without being known to be, because PyAV is too old.

    Args:
      container: FFmpeg's name of the film's container.
      context: the decoder of its pictures.
    """
    codecs = (*_PICTURES_STATE_FIELDS, *_WITHOUT_FIELDS)
    is_stated = container in _STATING_FIELDS and context.codec.canonical_name not in codecs
    return is_stated and not hasattr(context, "field_order")
