"""FFmpeg's filters for pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av import VideoFrame


def filter_graph(
    frame: VideoFrame, filters: list[tuple[str, str]]
) -> Callable[[VideoFrame], VideoFrame]:
    """A function that sends pictures through FFmpeg's filters.

    Args:
      frame: a picture of the same size, pixel format and unit of times.
      filters: names and arguments.
    """
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format.name,
        time_base=frame.time_base,
    )
    nodes = [graph.add(name, arguments) for name, arguments in filters]
    graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()

    def filtered(frame: VideoFrame) -> VideoFrame:
        graph.push(frame)
        return graph.pull()

    return filtered
