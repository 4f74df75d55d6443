"use strict";

const byId = id => document.getElementById(id);
const sheet = byId("sheet"), order = byId("order"), filter = byId("filter");
const viewer = byId("viewer"), frame = byId("frame"), split = byId("split");
const sides = document.querySelectorAll("[data-side]");

// Without case and accents, however those are encoded.
const plain = text => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

const counted = number => number.toLocaleString("en");

// Pictures: the first portion is in the page; of further ones there are lines of facts, from which
// items are built when they are shown

const first = Array.from(sheet.children);
const form = byId("form")?.content.firstElementChild;
const further = JSON.parse(byId("further")?.textContent ?? '{"layouts": [], "photos": []}');
byId("further")?.remove();

const entries = [
  ...first.map(item => ({
    item,
    name: item.querySelector("h2").title,
    rmse: parseFloat(item.dataset.rmse),
    psnr: parseFloat(item.dataset.psnr),
  })),
  ...further.photos.map(facts => ({
    facts,
    name: facts[0],
    rmse: facts[3] ?? NaN,
    psnr: facts[4] ?? NaN,
  })),
];
entries.forEach((entry, place) => { entry.place = place; });

const itemOf = entry => entry.item ??= build(...entry.facts);
const linkOf = (entry, kind) => itemOf(entry).querySelector(`.${kind} a`);

function build(name, thumbnail, layout, rmse, psnr, address) {
  const [shape, views] = further.layouts[layout];
  // In the document of the form, which loads no pictures, until it is shown.
  const item = form.cloneNode(true);
  item.className = `shape-${shape} views-${Object.keys(views).length}`;
  const heading = item.querySelector("h2"), folder = heading.querySelector("span");
  const base = name.lastIndexOf("/") + 1;
  heading.title = name;
  folder.nextSibling.textContent = name.slice(base);
  if (base) folder.textContent = name.slice(0, base);
  else folder.remove();
  const figures = item.querySelector(".figures");
  fillFigure(item, "rmse", figures.firstElementChild, rmse);
  fillFigure(item, "psnr", figures.lastElementChild, psnr);
  if (!figures.childElementCount) figures.remove();
  address ??= name.split("/").map(encodeURIComponent).join("/");
  for (const figure of item.querySelectorAll("figure")) {
    const kind = figure.className;
    if (kind in views) fillView(figure, views[kind], `${kind}/${address}`, thumbnail, name);
    else figure.remove();
  }
  return withOneTabStop(item);
}

function fillFigure(item, key, figure, value) {
  if (value == null) {
    figure.remove();
    delete item.dataset[key];
    return;
  }
  const number = figure.querySelector("b");
  number.textContent = number.textContent.replace("0.0", value < 1e9 ? value.toFixed(1) : "∞");
  item.dataset[key] = value;
}

function fillView(figure, [ending, width, height], address, thumbnail, name) {
  const link = figure.querySelector("a"), image = link.querySelector("img");
  const about = `${figure.querySelector("figcaption").textContent.toLowerCase()}: ${name}`;
  link.href = address;
  if (ending) {
    image.src = `thumbnails/${figure.className}/${thumbnail}${ending}`;
    Object.assign(image, { alt: about, width, height });
  } else {
    link.textContent = "cannot be read";
    const note = document.createElement("span");
    note.setAttribute("role", "img");
    note.setAttribute("aria-label", `${about} (cannot be read)`);
    note.append(...link.childNodes);
    link.append(note);
  }
}

// For each picture; the viewer has the rest.
function withOneTabStop(item) {
  for (const link of item.querySelectorAll("figure:not(.predicted) a")) link.tabIndex = -1;
  return item;
}
first.forEach(withOneTabStop);

// Sorting, filtering and turning pages

const portion = first.length || 1;
let sorted, shown, page, visible = [];

function sort() {
  const [figure, sign] = order.value.split(" ");
  // Pictures without the figure come last either way.
  sorted = [...entries].sort((a, b) => isNaN(a[figure]) - isNaN(b[figure])
    || sign * (a[figure] - b[figure]) || a.place - b.place);
  search();
}

function search() {
  const wanted = plain(filter.value.trim());
  const isWanted = entry => (entry.key ??= plain(entry.name)).includes(wanted);
  shown = wanted ? sorted.filter(isWanted) : sorted;
  byId("count").textContent = wanted && `${counted(shown.length)} of ${counted(entries.length)}`;
  turnTo(0);
}

function turnTo(number) {
  const before = visible, pages = Math.ceil(shown.length / portion) || 1;
  page = Math.min(Math.max(number, 0), pages - 1);
  visible = shown.slice(page * portion, (page + 1) * portion);
  const items = visible.map(itemOf), present = Array.from(sheet.children);
  if (items.length !== present.length || items.some((item, index) => item !== present[index])) {
    sheet.replaceChildren(...items);
  }
  // Items that can be built again need not be kept.
  const kept = new Set(visible);
  for (const entry of before) if (entry.facts && !kept.has(entry)) entry.item = null;
  byId("pager").hidden = pages === 1;
  byId("page").max = pages;
  byId("page").value = page + 1;
  byId("pages").textContent = counted(pages);
  byId("page-before").disabled = page === 0;
  byId("page-after").disabled = page === pages - 1;
  const which = pages > 1 ? `, page ${page + 1} of ${pages}` : "";
  byId("sorting").textContent = `pictures, sorted by ${order.selectedOptions[0].label}${which}`;
}

order.addEventListener("change", sort);
filter.addEventListener("input", search);
sort();

function leafTo(number) {
  turnTo(number);
  sheet.scrollIntoView();
}
byId("page-before").addEventListener("click", () => leafTo(page - 1));
byId("page-after").addEventListener("click", () => leafTo(page + 1));
byId("page").addEventListener("change", event => leafTo(Math.round(event.target.value) - 1));

// Full size: the prediction to the right of a divider, what it is compared with to the left

let current, preferred = "gray";

const side = entry => [preferred, "gray", "unhinted", "truth"].find(kind => linkOf(entry, kind));

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
  draw("before", kind && linkOf(current, kind));
  frame.classList.toggle("single", !kind);
  split.hidden = !kind;
  for (const button of sides) {
    button.hidden = !linkOf(current, button.dataset.side);
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
  const link = linkOf(entry, "predicted"), place = shown.indexOf(entry);
  if (!visible.includes(entry)) turnTo(Math.floor(place / portion));
  // Until the picture itself is there to tell.
  frame.style.setProperty("--shape", getComputedStyle(entry.item).getPropertyValue("--shape"));
  draw("after", link);
  drawSide();
  const about = [`${counted(place + 1)} of ${counted(shown.length)}`];
  for (const figure of entry.item.querySelectorAll(".figures span")) about.push(figure.textContent.replaceAll(" ", "\u00a0"));
  if (!link.querySelector("img")) about.push("cannot be read");
  byId("viewer-name").textContent = entry.name;
  byId("viewer-about").textContent = about.join(" · ");
  byId("alone").href = link.href;
  for (const step of [1, -1]) new Image().src = linkOf(neighbour(step), "predicted").href;
}

const neighbour = step => shown.at((shown.indexOf(current) + step) % shown.length);

function compareWith(kind) {
  if (linkOf(current, kind)) {
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
  show(visible.find(entry => entry.item.contains(link)));
  viewer.showModal();
});

viewer.addEventListener("close", () => {
  current.item.scrollIntoView({ block: "nearest" });
  linkOf(current, "predicted").focus({ preventScroll: true });
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
