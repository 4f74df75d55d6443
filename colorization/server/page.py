"""The page that people colour photos on: what stands on it, and what happens there."""

from __future__ import annotations

import contextlib
import html
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from colorization.server.jobs import (
    MAX_SATURATION,
    Job,
    Models,
    colorize_all,
    named_problems,
    parse_job,
    refusal,
    write_zip,
)
from colorization.server.sessions import Request, Result, Sessions

# So many that a few long jobs do not hold up a short one, so few that large photos fit in memory.
_JOBS_AT_ONCE = 4
_JOBS_WAITING = 200
_JOB_LIMITS: dict[str, Any] = {"concurrency_id": "colour", "concurrency_limit": _JOBS_AT_ONCE}
# Listeners get what the client sends as it is (`preprocess=False`) and check it themselves:
# Gradio would open files to do so.
_PRIVATE: dict[str, Any] = {"api_visibility": "private", "preprocess": False}

# Wide: photos and settings at the left, the result at the right. Narrow: the result in between.
CSS = """
.gradio-container { width: 100%; max-width: 1280px !important; margin: 0 auto !important; }
#examples .container { max-width: 4.5rem; max-height: 4.5rem; }
#strip .grid-wrap { min-height: 0; max-height: 250px; }
footer .divider { display: none; }
@media (min-width: 768px) {
  #layout { display: grid; grid-template: auto 1fr / minmax(0, 2fr) minmax(0, 3fr); }
  #result { grid-area: 1 / 2 / span 2; }
}
"""


def theme() -> gr.themes.Base:
    """Colours and letters of the page."""
    # Gradio's own theme loads its fonts from Google.
    return gr.themes.Default(
        primary_hue="teal",
        neutral_hue="zinc",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        # Dark enough for white letters on it to be read.
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
    )


def build_page(models: Models, sessions: Sessions, examples: Sequence[str]) -> gr.Blocks:
    """The page, ready to be launched.

    Args:
      models: what to colour with.
      sessions: where uploads and results are kept.
      examples: paths of photos to try.
    """
    actions = _Actions(models, sessions, examples)
    with gr.Blocks(title="Let there be colour", analytics_enabled=False, fill_width=True) as page:
        gr.Markdown("# Let there be colour")
        with gr.Row(elem_id="layout"):
            with gr.Column(min_width=280):
                photos, tried = _photo_inputs(examples)
            with gr.Column(min_width=280, elem_id="result"):
                outputs = _result()
            with gr.Column(min_width=280):
                settings = _settings(models)
        inputs = [photos, *settings]
        _colour_on_change(actions, inputs, outputs)
        _add_api(actions, inputs)
        tried.click(actions.try_example, tried, photos, **_PRIVATE)
        page.unload(actions.leave)
    # Listeners without a limit of their own are quick.
    page.queue(max_size=_JOBS_WAITING, default_concurrency_limit=None, api_open=False)
    return page


def _photo_inputs(examples: Sequence[str]) -> tuple[gr.File, gr.Dataset]:
    """Where photos are dropped, and the examples below."""
    photos = gr.File(label="Photos", file_count="multiple", height=170, elem_id="photos")
    tried = gr.Dataset(
        components=[gr.Image(visible=False)],
        samples=[[example] for example in examples],
        label="Or try one of these",
        type="index",
        visible=bool(examples),
        elem_id="examples",
    )
    return photos, tried


def _result() -> tuple[gr.ImageSlider, gr.DownloadButton, gr.DownloadButton, gr.Gallery]:
    """One picture beside its gray photo, buttons to download it and all, and the strip of all."""
    slider = gr.ImageSlider(
        label="Gray and coloured",
        interactive=False,
        max_height=560,
        buttons=["fullscreen"],
        elem_id="slider",
    )
    strip = gr.Gallery(
        label="All photos",
        show_label=False,
        columns=6,
        fit_columns=False,
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        visible=False,
        elem_id="strip",
    )
    with gr.Row():
        download = gr.DownloadButton(
            "Download", variant="primary", visible=False, elem_id="download"
        )
        archive = gr.DownloadButton("Download all (zip)", visible=False, elem_id="download-all")
    return slider, download, archive, strip


def _settings(models: Models) -> tuple[gr.Dropdown, gr.Slider, gr.Image]:
    """Model, saturation and the photo whose style is taken."""
    model = gr.Dropdown(models.names, value=models.default, label="Model", filterable=False)
    saturation = gr.Slider(
        0.1, MAX_SATURATION, 1, step=0.1, label="Saturation", elem_id="saturation"
    )
    style = gr.Image(
        label="Style: colours in the mood of this photo",
        type="filepath",
        sources=["upload"],
        height=170,
        visible=models.default in models.with_style,
        elem_id="style",
    )
    return model, saturation, style


def _colour_on_change(actions: _Actions, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Colours anew when a photo or a setting changes; a click in the strip shows that picture."""
    photos, model, saturation, style = inputs
    slider, download, _, strip = outputs
    gr.on(
        [photos.change, model.change, saturation.release, style.change],
        actions.colour,
        list(inputs),
        list(outputs),
        trigger_mode="always_last",
        show_progress_on=slider,
        **_JOB_LIMITS,
        **_PRIVATE,
    )
    model.change(actions.offer_style, model, style, show_progress="hidden", **_PRIVATE)
    strip.select(actions.choose, None, [slider, download], **_PRIVATE)


def _add_api(actions: _Actions, inputs: Sequence[Any]) -> None:
    """What programs call: `/colorize`, behind a button that nobody sees."""
    button = gr.Button(visible=False)
    pictures = gr.File(visible=False, file_count="multiple", label="pictures")
    problems = gr.JSON(visible=False, label="problems")
    button.click(
        actions.colorize,
        list(inputs),
        [pictures, problems],
        api_name="colorize",
        api_description="Colours photos at their full size.",
        preprocess=False,
        **_JOB_LIMITS,
    )


class _Actions:
    """What happens on the page. The arguments are what clients send, of any type."""

    def __init__(self, models: Models, sessions: Sessions, examples: Sequence[str]):
        self._models = models
        self._sessions = sessions
        self._examples = examples

    def colour(
        self,
        photos: Any,
        model: Any,
        saturation: Any,
        style: Any,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[Any]:
        """Colours photos, showing each that is done; without photos, empties the page."""
        if not photos:
            self.leave(request)
            yield None, *(gr.update(value=None, visible=False) for _ in range(3))
            return
        job = parse_job(self._models, self._sessions, photos, model, saturation, style)
        shown = None
        with self._begin(request, job) as begun:
            for finished, problems in colorize_all(job, begun, progress):
                archive = None
                if finished and len(begun.results) > 1:
                    archive = write_zip(begun.results, begun.folder / "coloured.zip")
                # Later results leave alone what may be looked at already.
                shown = _show(begun.results[0]) if shown is None else (gr.skip(), gr.skip())
                yield *shown, *_offer(begun.results, archive)
                if finished and problems:
                    gr.Warning(html.escape(named_problems(problems), quote=False), duration=None)

    def colorize(
        self,
        photos: Any,
        model: Any,
        saturation: Any,
        style: Any = None,
        request: gr.Request = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[list[str], dict[str, str]]:
        """Colours photos.

        Returns:
          Paths of the pictures; and the names of photos that could not be coloured, with reasons.
        """
        job = parse_job(self._models, self._sessions, photos, model, saturation, style)
        with self._begin(request, job) as begun:
            *_, (_, problems) = colorize_all(job, begun, progress)
        return [str(result.picture) for result in begun.results], problems

    @contextlib.contextmanager
    def _begin(self, request: gr.Request, job: Job) -> Iterator[Request]:
        """A request that stops without a traceback when its session ends."""
        with self._sessions.request(_session(request), job.uploads) as begun:
            try:
                yield begun
            except FileNotFoundError as error:
                if begun.ended:
                    raise refusal("The session has ended.") from error
                raise

    def choose(self, request: gr.Request, chosen: gr.SelectData) -> tuple:
        """Shows the picture of the strip that was clicked."""
        results = self._sessions.latest(_session(request))
        if not isinstance(chosen.index, int) or not 0 <= chosen.index < len(results):
            raise refusal("That picture is no longer here; colour the photo once more.")
        return _show(results[chosen.index])

    def try_example(self, number: Any) -> list[str]:
        """Takes an example as the photo."""
        if not isinstance(number, int) or not 0 <= number < len(self._examples):
            raise refusal("There is no such example.")
        return [self._examples[number]]

    def offer_style(self, model: Any) -> Any:
        """Asks for a style where the model can take one."""
        return gr.update(visible=model in self._models.with_style)

    def leave(self, request: gr.Request) -> None:
        """Removes what a visitor sent and got."""
        self._sessions.end(_session(request))


def _show(result: Result) -> tuple:
    """Values of the slider and of the button below it."""
    picture = result.picture
    button = gr.update(value=str(picture), label=f"Download {picture.name}", visible=True)
    return (str(result.before), str(result.after)), button


def _offer(results: Sequence[Result], archive: Path | None) -> tuple:
    """Values of the button to download all pictures, and of the strip of several."""
    many = len(results) > 1
    return (
        gr.update(value=archive and str(archive), visible=archive is not None),
        gr.update(value=[str(one.after) for one in results] if many else None, visible=many),
    )


def _session(request: gr.Request) -> str:
    return request.session_hash or secrets.token_urlsafe()
