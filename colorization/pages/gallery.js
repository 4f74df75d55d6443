"use strict";

const byId = id => document.getElementById(id);
const sheet = byId("sheet"), order = byId("order"), filter = byId("filter");
const viewer = byId("viewer"), frame = byId("frame"), split = byId("split");
const sides = document.querySelectorAll("[data-side]");

// Without case and accents, however those are encoded.
const plain = text => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

const entries = Array.from(sheet.children, (item, place) => ({
  item, place,
  name: item.querySelector("h2").title,
  key: plain(item.querySelector("h2").title),
  rmse: parseFloat(item.dataset.rmse),
  psnr: parseFloat(item.dataset.psnr),
  link: kind => item.querySelector(`.${kind} a`),
}));
let shown = entries;

// Sorting and filtering

function arrange() {
  const [figure, sign] = order.value.split(" ");
  const wanted = plain(filter.value.trim());
  // Pictures without the figure come last either way.
  const sorted = [...entries].sort((a, b) => isNaN(a[figure]) - isNaN(b[figure])
    || sign * (a[figure] - b[figure]) || a.place - b.place);
  if (sorted.some((entry, index) => entry.item !== sheet.children[index])) {
    const items = new DocumentFragment();
    for (const entry of sorted) items.append(entry.item);
    sheet.append(items);
  }
  shown = sorted.filter(entry => !(entry.item.hidden = !entry.key.includes(wanted)));
  byId("count").textContent = wanted && `${shown.length} of ${entries.length}`;
  byId("sorting").textContent = `pictures, sorted by ${order.selectedOptions[0].label}`;
}

order.addEventListener("change", arrange);
filter.addEventListener("input", arrange);
arrange();

// One tab stop for each picture; the viewer has the rest.
for (const link of sheet.querySelectorAll("figure:not(.predicted) a")) link.tabIndex = -1;

// Full size: the prediction to the right of a divider, what it is compared with to the left

let current, preferred = "gray";

const side = entry => [preferred, "gray", "unhinted", "truth"].find(kind => entry.link(kind));

function draw(layer, link) {
  const image = new Image();
  const thumbnail = link?.querySelector("img");
  image.className = layer;
  image.draggable = false;
  if (link) {
    image.alt = thumbnail?.alt ?? "";
    if (thumbnail) image.style.backgroundImage = `url("${thumbnail.src}")`;
    image.onload = () => {
      image.style.backgroundImage = "";
      frame.style.setProperty("--shape", image.naturalWidth / image.naturalHeight);
    };
    // Of a format that the browser does not know, for instance TIFF.
    image.onerror = () => {
      image.onerror = null;
      if (thumbnail) image.src = thumbnail.src;
    };
    image.src = link.href;
  }
  frame.querySelector(`.${layer}`).replaceWith(image);
}

function drawSide() {
  const kind = side(current);
  draw("before", kind && current.link(kind));
  frame.classList.toggle("single", !kind);
  split.hidden = !kind;
  for (const button of sides) {
    button.hidden = !current.link(button.dataset.side);
    button.setAttribute("aria-pressed", button.dataset.side === kind);
  }
  divide();
}

function divide() {
  const kind = side(current), share = Math.round(split.value);
  if (!kind) return;
  frame.style.setProperty("--split", `${split.value}%`);
  const label = Array.from(sides).find(button => button.dataset.side === kind).textContent.toLowerCase();
  split.setAttribute("aria-label", `Divider between ${label} and predicted`);
  split.setAttribute("aria-valuetext", `${share}% ${label}, ${100 - share}% predicted`);
}

function show(entry) {
  current = entry;
  const link = entry.link("predicted");
  // Until the picture itself is there to tell.
  frame.style.setProperty("--shape", getComputedStyle(entry.item).getPropertyValue("--shape"));
  draw("after", link);
  drawSide();
  const about = [`${shown.indexOf(entry) + 1} of ${shown.length}`];
  for (const figure of entry.item.querySelectorAll(".figures span")) about.push(figure.textContent.replaceAll(" ", "\u00a0"));
  if (!link.querySelector("img")) about.push("cannot be read");
  byId("viewer-name").textContent = entry.name;
  byId("viewer-about").textContent = about.join(" · ");
  byId("alone").href = link.href;
  for (const step of [1, -1]) new Image().src = neighbour(step).link("predicted").href;
}

const neighbour = step => shown.at((shown.indexOf(current) + step) % shown.length);

function compareWith(kind) {
  if (current.link(kind)) {
    preferred = kind;
    drawSide();
  }
}

sheet.addEventListener("click", event => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const kind = link.closest("figure").className;
  if (kind !== "predicted") preferred = kind;
  split.value = kind === "predicted" ? 50 : 100;
  show(entries.find(entry => entry.item.contains(link)));
  viewer.showModal();
});

viewer.addEventListener("close", () => {
  current.item.scrollIntoView({ block: "nearest" });
  current.link("predicted").focus({ preventScroll: true });
});
byId("stage").addEventListener("click", event => {
  if (event.target === event.currentTarget) viewer.close();
});
byId("close").addEventListener("click", () => viewer.close());
byId("next").addEventListener("click", () => show(neighbour(1)));
byId("previous").addEventListener("click", () => show(neighbour(-1)));
for (const button of sides) {
  button.addEventListener("click", () => compareWith(button.dataset.side));
}

document.addEventListener("keydown", event => {
  if (!viewer.open || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step && event.target !== split) {
    event.preventDefault();
    show(neighbour(step));
  } else if (event.key === "t") {
    compareWith(side(current) === "truth" ? "gray" : "truth");
  }
});

split.addEventListener("input", divide);
// Whoever drags the slider goes on with the arrow keys; who tabs to it moves it with them.
split.addEventListener("pointerup", () => byId("next").focus());

function drag(event) {
  const { left, width } = frame.getBoundingClientRect();
  split.value = 100 * (event.clientX - left) / width;
  divide();
}
frame.addEventListener("pointerdown", event => {
  if (event.button !== 0 || split.hidden) return;
  frame.setPointerCapture(event.pointerId);
  drag(event);
});
frame.addEventListener("pointermove", event => {
  if (frame.hasPointerCapture(event.pointerId)) drag(event);
});
