"""The components of the page that people colour photos on; `actions` holds their listeners."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr
from gradio.data_classes import ListFiles
from pydantic import model_validator

from colorization.server.actions import Actions
from colorization.server.brush import brush
from colorization.server.jobs import MAX_SATURATION, Models
from colorization.server.sessions import Sessions

# Number of jobs at the same time: enough for short ones not to wait for long ones. Those of large
# photos wait for memory.
_JOBS_AT_ONCE = 4
_JOBS_WAITING = 200
_JOB_LIMITS: dict[str, Any] = {"concurrency_id": "colour", "concurrency_limit": _JOBS_AT_ONCE}
# Listeners get unchecked values (`preprocess=False`) and check them, because Gradio would open
# files to do so.
_PRIVATE: dict[str, Any] = {"api_visibility": "private", "preprocess": False}

# On wide screens, photos and settings are at the left and the result at the right. On narrow ones
# the result is in between.
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


# A page at another address than the server knows does not work; this script explains it.
HEAD = """<script>
{
  const here = location.origin + location.pathname.replace(/\\/$/, "");
  const root = window.gradio_config.root;
  if (root !== here) {
    const cover = document.createElement("div");
    cover.id = "elsewhere";
    cover.style.cssText = "position: fixed; inset: 0; z-index: 9999; padding: 3rem; " +
      "background: Canvas; color: CanvasText; font: 1.1rem system-ui";
    cover.textContent = `This page is set up for ${root}. ` +
      `If a proxy shows it here, start it with --public_url ${here}`;
    document.documentElement.append(cover);
  }
}
</script>"""


# A browser's tab keeps its name, which `Actions.come_back` gives it, when the page is reloaded: by
# hand, after losing the connection, or because a phone needed the memory.
_TAB = '() => sessionStorage.getItem("tab")'
_NAME_TAB = '(name) => sessionStorage.setItem("tab", name)'
# A stroke waits for the answer to the one before, and another photo may be in view then.
_PAINTED = '() => document.querySelector("#brush .stage").painted()'


def theme() -> gr.themes.Base:
    """Colours and fonts of the page."""
    # Gradio's own theme loads its fonts from Google.
    return gr.themes.Default(
        primary_hue="teal",
        neutral_hue="zinc",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        # White letters need shades as dark as these.
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
    actions = Actions(models, sessions, examples)
    with gr.Blocks(title="Let there be colour", analytics_enabled=False, fill_width=True) as page:
        gr.Markdown("# Let there be colour")
        with gr.Row(elem_id="layout"):
            with gr.Column(min_width=280):
                photos, examples_field = _photo_inputs(examples)
            with gr.Column(min_width=280, elem_id="result"):
                outputs = _result()
            with gr.Column(min_width=280):
                settings = _settings(models)
        inputs = [photos, *settings]
        _colour_on_change(actions, inputs, outputs)
        _paint_on_input(actions, outputs)
        _add_api(actions, inputs)
        examples_field.click(actions.try_example, examples_field, photos, **_PRIVATE)
        tab = gr.Textbox(visible=False)
        loaded = page.load(
            actions.come_back, tab, [tab, *inputs], js=_TAB, show_progress="hidden", **_PRIVATE
        )
        loaded.then(lambda name: None, tab, js=_NAME_TAB, **_PRIVATE)
        # Only pages with an unload event keep the heartbeat that `Sessions.visit` needs.
        page.unload(lambda: None)
    # Listeners without a limit of their own are quick and need none.
    page.queue(max_size=_JOBS_WAITING, default_concurrency_limit=None, api_open=False)
    return page


def require_sense(page: gr.Blocks, function: object, values: object) -> None:
    """Checks values from a client before Gradio does, which would log a traceback for wrong ones.

    Args:
      page: as `build_page` gives it.
      function: number or name of the listener.
      values: its arguments, as a list or by name.

    Raises:
      ValueError: there is no such function, or it takes other values.
    """
    matches = [
        listener for listener in page.fns.values() if function in (listener._id, listener.api_name)
    ]
    if not matches or not isinstance(values, list | dict):
        raise ValueError(function)
    inputs = matches[0].inputs
    if isinstance(values, dict):
        names = list(inspect.signature(matches[0].fn).parameters)[: len(inputs)]
        values = [values.get(name) for name in names]
    if len(values) < len(inputs):
        raise ValueError(values)
    for component, value in zip(inputs, values, strict=False):
        model = getattr(component, "data_model", None)
        if value is not None and model is not None:
            model.model_validate(value, context={"validate_meta": True})


class _OneOrMoreFiles(ListFiles):
    """Files; a program may send a single one without a list around it."""

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value


def _photo_inputs(examples: Sequence[str]) -> tuple[gr.File, gr.Dataset]:
    """The field to drop photos on, and the examples below it."""
    photos = gr.File(label="Photos", file_count="multiple", height=170, elem_id="photos")
    photos.data_model = _OneOrMoreFiles
    examples_field = gr.Dataset(
        components=[gr.Image(visible=False)],
        samples=[[example] for example in examples],
        label="Or try one of these",
        type="index",
        visible=bool(examples),
        elem_id="examples",
    )
    return photos, examples_field


class _Result(NamedTuple):
    """Components for results: a picture beside its gray photo, one to paint on, and a strip."""

    slider: gr.ImageSlider
    brush: gr.HTML
    download: gr.DownloadButton
    strokes: gr.DownloadButton
    archive: gr.DownloadButton
    strip: gr.Gallery


def _result() -> _Result:
    with gr.Tab("Compare"):
        slider = gr.ImageSlider(
            label="Gray and coloured",
            interactive=False,
            max_height=560,
            buttons=["fullscreen"],
            elem_id="slider",
        )
    with gr.Tab("Say what colour it was", elem_id="paint"):
        gr.Markdown("Paint over a thing in its colour; all of it follows.")
        painted = brush(elem_id="brush")
        strokes = gr.DownloadButton("Download the strokes", visible=False, elem_id="strokes")
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
    return _Result(slider, painted, download, strokes, archive, strip)


def _settings(models: Models) -> tuple[gr.Dropdown, gr.Slider, gr.Image]:
    """The fields for model, saturation and style photo."""
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


def _colour_on_change(actions: Actions, inputs: Sequence[Any], outputs: _Result) -> None:
    """Recolours when a photo or setting changes; a click in the strip shows that picture."""
    photos, model, saturation, style = inputs
    result_fields = [outputs.slider, outputs.brush, outputs.download, outputs.strokes]
    gr.on(
        [photos.change, model.change, saturation.release, style.change],
        actions.colour,
        list(inputs),
        list(outputs),
        trigger_mode="always_last",
        show_progress_on=outputs.slider,
        **_JOB_LIMITS,
        **_PRIVATE,
    )
    model.change(actions.offer_style, model, style, show_progress="hidden", **_PRIVATE)
    outputs.strip.select(actions.choose, None, result_fields, **_PRIVATE)


def _paint_on_input(actions: Actions, outputs: _Result) -> None:
    """Recolours after each stroke, first the preview and then the picture at full size."""
    painting: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
    outputs.brush.input(
        actions.paint,
        outputs.brush,
        [outputs.slider, outputs.brush, outputs.download, outputs.strip],
        js=_PAINTED,
        concurrency_id="paint",
        concurrency_limit=_JOBS_AT_ONCE,
        **painting,
        **_PRIVATE,
    ).success(
        actions.finish_painting,
        None,
        [outputs.download, outputs.strokes, outputs.archive],
        **painting,
        **_JOB_LIMITS,
        **_PRIVATE,
    )


def _add_api(actions: Actions, inputs: Sequence[Any]) -> None:
    """Adds the API call `/colorize`, behind an invisible button."""
    button = gr.Button(visible=False)
    hints = gr.JSON(visible=False, label="hints")
    pictures = gr.File(visible=False, file_count="multiple", label="pictures")
    problems = gr.JSON(visible=False, label="problems")
    button.click(
        actions.colorize,
        [*inputs, hints],
        [pictures, problems],
        api_name="colorize",
        api_description="Colours photos at their full size.",
        preprocess=False,
        **_JOB_LIMITS,
    )
