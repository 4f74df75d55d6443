// Strokes are kept as lines, not as pixels, so that each can be taken away again and little has to
// be sent. All lengths are shares: x of the picture's width, y of its height, and the width of a
// stroke of the picture's longer side.
const find = (selector) => element.querySelector(selector);
const [picture, canvas, palette, anyColour, width, take, shown] = [
  "img", "canvas", ".palette", "input[type=color]", "input[type=range]", ".take", ".shown",
].map(find);
const context = canvas.getContext("2d");

let strokes = [];
let former = []; // what `strokes` was before each change, for undo
let current = null; // the stroke under the finger
let photo = null; // whose strokes these are
const drawn = new Map(); // photo -> strokes, of all that were painted on
const unsent = new Set(); // those of them that have changed since `painted` was called
let colour;

function choose(button, chosen) {
  colour = chosen;
  for (const other of palette.children) {
    other.setAttribute("aria-checked", other === button);
  }
  setTaking(false);
}

function setTaking(on) {
  take.setAttribute("aria-pressed", on);
  canvas.style.cursor = on ? "pointer" : "crosshair";
}

const isTaking = () => take.getAttribute("aria-pressed") === "true";

for (const button of palette.children) {
  button.addEventListener("click", () => choose(button, button.dataset.colour));
}
choose(palette.firstElementChild, palette.firstElementChild.dataset.colour);

function change(next) {
  former.push(strokes);
  strokes = next;
  send();
}

function send() {
  draw();
  drawn.set(photo, strokes);
  unsent.add(photo);
  trigger("input");
}

find(".stage").painted = () => {
  const photos = [...unsent];
  unsent.clear();
  return Object.fromEntries(photos.map((name) => [name, drawn.get(name)]));
};

// Positions in pixels of the canvas.
const place = ([x, y]) => [x * canvas.width, y * canvas.height];
const thickness = (stroke) => stroke.width * Math.max(canvas.width, canvas.height);

function trace(stroke) {
  const [first, ...others] = stroke.points.map(place);
  context.beginPath();
  context.moveTo(...first);
  // A single point is a line of no length, which round ends make a dot.
  for (const point of others.length ? others : [first]) {
    context.lineTo(...point);
  }
  context.lineWidth = thickness(stroke);
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  context.lineCap = context.lineJoin = "round";
  for (const stroke of shown.checked ? strokes : []) {
    trace(stroke);
    context.strokeStyle = stroke.colour;
    context.stroke();
  }
  if (current) {
    trace(current);
    context.strokeStyle = current.colour;
    context.stroke();
  }
}

function position(event) {
  const box = canvas.getBoundingClientRect();
  const share = (value, size) => Math.round(1e4 * Math.min(1, Math.max(0, value / size))) / 1e4;
  return [share(event.clientX - box.left, box.width), share(event.clientY - box.top, box.height)];
}

function takeAway(point) {
  // The one on top, where several cross.
  for (let number = strokes.length - 1; number >= 0; number--) {
    trace(strokes[number]);
    context.lineWidth = Math.max(context.lineWidth, 12);
    if (context.isPointInStroke(...place(point))) {
      change(strokes.filter((_, other) => other !== number));
      return;
    }
  }
}

canvas.addEventListener("pointerdown", (event) => {
  if (!event.isPrimary || event.button || !photo) {
    return;
  }
  event.preventDefault();
  if (isTaking()) {
    takeAway(position(event));
    return;
  }
  canvas.setPointerCapture(event.pointerId);
  current = { colour, width: width.value / 1000, points: [position(event)] };
  draw();
});

canvas.addEventListener("pointermove", (event) => {
  if (current && event.isPrimary) {
    current.points.push(position(event));
    draw();
  }
});

canvas.addEventListener("pointerup", (event) => {
  if (current && event.isPrimary) {
    const finished = current;
    current = null;
    change([...strokes, finished]);
  }
});

canvas.addEventListener("pointercancel", () => {
  current = null;
  draw();
});

anyColour.addEventListener("input", () => choose(null, anyColour.value));
take.addEventListener("click", () => setTaking(!isTaking()));
shown.addEventListener("change", draw);
find(".clear").addEventListener("click", () => strokes.length && change([]));
find(".undo").addEventListener("click", () => {
  if (former.length) {
    strokes = former.pop();
    send();
  }
});

function show() {
  const value = props.value || {};
  if (!value.photo) {
    drawn.clear();
  }
  if (value.photo !== photo) {
    photo = value.photo ?? null;
    strokes = drawn.get(photo) || value.strokes || [];
    former = [];
    current = null;
  }
  const url = value.picture?.url;
  find(".stage").hidden = !url;
  picture.src = url || "";
  // Its strokes may be older than those here if the photo was coloured anew meanwhile.
  const isOld = drawn.has(photo) && JSON.stringify(strokes) !== JSON.stringify(value.strokes);
  if (isOld && !unsent.has(photo)) {
    send();
  }
}

picture.addEventListener("load", draw);
new ResizeObserver(draw).observe(canvas);
watch("value", show);
show();
