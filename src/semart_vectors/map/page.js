"use strict";
// What is told of the paintings is only ever set as text: no markup is made of it.
const byId = (id) => document.getElementById(id);
const known = JSON.parse(byId("known").textContent);
const {x, y, group, groups} = known;
const rows = [...x.keys()];
const canvas = byId("map"), paper = canvas.getContext("2d");

function element(name, text, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(text);
  return made;
}

// --- which are shown -------------------------------------------------------------------------------------

const hidden = new Set();
let shown = rows.map(() => true);
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
let texts;

function choose() {
  const wanted = plain(byId("find").value.trim());
  if (wanted) texts ??= rows.map((row) =>
    plain([known.title[row], known.author[row], ...Object.values(known.details[row])].join("\n")));
  shown = rows.map((row) => !hidden.has(group[row]) && (!wanted || texts[row].includes(wanted)));
  const count = shown.filter(Boolean).length;
  byId("found").textContent = count < rows.length ? `${count.toLocaleString("en")} shown` : "";
  draw();
}

byId("find").oninput = choose;
byId("find").form.onsubmit = (event) => {
  event.preventDefault();
  const first = shown.indexOf(true);
  if (byId("find").value && first >= 0) select(first);
};
if (groups.length > 1) groups.forEach(({name, colour, count}, number) => {
  const button = element("button", "", {title: name, ariaPressed: "true"});
  const dot = element("i", "");
  dot.style.background = colour;
  button.append(dot, element("bdi", name), element("span", count.toLocaleString("en")));
  button.onclick = () => {
    if (!hidden.delete(number)) hidden.add(number);
    button.ariaPressed = String(!hidden.has(number));
    choose();
  };
  byId("groups").append(button);
});

// --- where they stand ------------------------------------------------------------------------------------

const smallest = (numbers) => numbers.reduce((a, b) => Math.min(a, b), Infinity);
const largest = (numbers) => numbers.reduce((a, b) => Math.max(a, b), -Infinity);
const [west, east, south, north] = rows.length ? [smallest(x), largest(x), smallest(y), largest(y)] : [0, 0, 0, 0];
const CLOSEST = 240, AS_PICTURES = 18, MOST_PICTURES = 2500, SAMPLE = 200;
// The side of each painting's share of the map, and how far its nearest stands from it: the median of some.
const [across, up] = [east - west, north - south];
const share = Math.max(Math.sqrt(across * up / rows.length), (across + up) / rows.length) || 1;
const sample = rows.filter((row) => row % Math.ceil(rows.length / SAMPLE) === 0);
const nearest = (row) => rows.reduce(
  (least, each) => each === row ? least : Math.min(least, Math.hypot(x[each] - x[row], y[each] - y[row])), Infinity);
const median = sample.map(nearest).sort((a, b) => a - b)[sample.length >> 1];
const step = rows.length > 1 && Math.max(median, share / 50) || 1;
const view = {x: 0, y: 0, scale: 1};
let wide = 0, high = 0, least = 1, whole = true;

const placeX = (row) => wide / 2 + (x[row] - view.x) * view.scale;
const placeY = (row) => high / 2 - (y[row] - view.y) * view.scale;
const side = () => Math.min(160, 0.6 * share * view.scale);

function showAll() {
  const margin = Math.min(48, wide / 8, high / 8);
  const fit = Math.min((wide - 2 * margin) / across, (high - 2 * margin) / up, CLOSEST / step);
  Object.assign(view, {x: (west + east) / 2, y: (south + north) / 2, scale: fit});
  least = fit / 2;
  whole = true;
  draw();
}

function zoom(factor, atX = wide / 2, atY = high / 2) {
  point();
  const scale = Math.max(least, Math.min(view.scale * factor, Math.max(CLOSEST / step, 2 * least)));
  const kept = 1 / view.scale - 1 / scale;  // the point below the pointer stays there
  view.x += (atX - wide / 2) * kept;
  view.y -= (atY - high / 2) * kept;
  view.scale = scale;
  whole = false;
  draw();
}

function at(pointX, pointY) {
  let best, reach = Math.max(12, 0.6 * side());
  for (const row of rows) {
    const far = shown[row] ? Math.hypot(placeX(row) - pointX, placeY(row) - pointY) : Infinity;
    if (far < reach) [best, reach] = [row, far];
  }
  return best;
}

// --- drawing ---------------------------------------------------------------------------------------------

const loaded = new Map();
let selected, pointed, due = false;

const address = (row) => `data:image/webp;base64,${known.picture[row]}`;

function picture(row) {
  let image = loaded.get(row);
  if (!image) {
    image = Object.assign(new Image(), {src: address(row), onload: draw});
    if (loaded.size >= 2 * MOST_PICTURES) loaded.delete(loaded.keys().next().value);
    loaded.set(row, image);
  }
  return image;
}

function draw() {
  if (!due) requestAnimationFrame(() => { due = false; drawNow(); });
  due = true;
}

function drawNow() {
  const style = getComputedStyle(document.documentElement);
  const [ink, ground, empty, hairline] = ["ink", "ground", "empty", "hairline"].map(
    (name) => style.getPropertyValue(`--${name}`));
  const size = side();
  const within = rows.filter((row) =>
    Math.abs(placeX(row) - wide / 2) < wide / 2 + size && Math.abs(placeY(row) - high / 2) < high / 2 + size);
  const seen = within.filter((row) => shown[row]);
  const pictures = size >= AS_PICTURES && seen.length <= MOST_PICTURES;
  const near = selected === undefined ? [] : known.neighbours[selected].filter((row) => shown[row]);
  const lit = new Set([selected, pointed, ...near]);
  const ratio = devicePixelRatio;
  paper.setTransform(ratio, 0, 0, ratio, 0, 0);
  paper.clearRect(0, 0, wide, high);

  function mark(row) {
    const [left, top, colour] = [placeX(row), placeY(row), groups[group[row]].colour];
    if (!pictures) {
      const radius = Math.max(3, Math.min(6, 150 / Math.sqrt(seen.length)));
      paper.beginPath();
      paper.arc(left, top, radius, 0, 2 * Math.PI);
      paper.fillStyle = colour;
      paper.fill();
      if (lit.has(row)) {
        paper.beginPath();
        paper.arc(left, top, radius + (row === selected ? 5 : 2.5), 0, 2 * Math.PI);
      }
      paper.strokeStyle = lit.has(row) ? ink : ground;
      paper.lineWidth = row === selected ? 3 : lit.has(row) ? 2 : 0.75;
      paper.stroke();
      return;
    }
    const image = known.picture[row] ? picture(row) : {};
    const scale = image.naturalWidth ? size / Math.max(image.naturalWidth, image.naturalHeight) : 0;
    const [w, h] = scale ? [image.naturalWidth * scale, image.naturalHeight * scale] : [size, size];
    const edge = row === selected ? 4 : lit.has(row) ? 3 : groups.length > 1 ? 2 : 0;
    paper.fillStyle = lit.has(row) ? ink : colour;
    paper.fillRect(left - w / 2 - edge, top - h / 2 - edge, w + 2 * edge, h + 2 * edge);
    paper.fillStyle = empty;
    if (scale) paper.drawImage(image, left - w / 2, top - h / 2, w, h);
    else paper.fillRect(left - w / 2, top - h / 2, w, h);
  }

  paper.fillStyle = hairline;  // the others are where they were
  within.forEach((row) => { if (!shown[row]) paper.fillRect(placeX(row) - 1.5, placeY(row) - 1.5, 3, 3); });
  seen.forEach((row) => { if (!lit.has(row)) mark(row); });
  if (selected !== undefined) {  // a veil over all others
    paper.globalAlpha = 0.65;
    paper.fillStyle = ground;
    paper.fillRect(0, 0, wide, high);
    paper.globalAlpha = 1;
  }
  paper.strokeStyle = ink;
  paper.lineWidth = 1;
  paper.beginPath();
  for (const row of near) {
    paper.moveTo(placeX(selected), placeY(selected));
    paper.lineTo(placeX(row), placeY(row));
  }
  paper.stroke();
  [...near].reverse().concat(selected ?? [], pointed ?? []).forEach(mark);
}

// --- the painting that is looked at ----------------------------------------------------------------------

function shownAs(row, alt) {
  if (!known.picture[row]) return element("span", "no picture", {className: "none"});
  return Object.assign(new Image(), {src: address(row), alt});
}

const told = (row) => known.author[row] ? `${known.title[row]}, ${known.author[row]}` : known.title[row];

// The address holds what is looked at, so that a browser's Back goes back.
function select(row) {
  location.hash = row ?? "";
}

function look() {
  const row = /^#\d+$/.test(location.hash) ? Number(location.hash.slice(1)) : undefined;
  selected = row < rows.length ? row : undefined;
  byId("shown").hidden = selected === undefined;
  byId("hint").hidden = selected !== undefined;
  if (selected !== undefined) tell(selected);
  draw();
}

function tell(row) {
  if (Math.abs(placeX(row) - wide / 2) > wide / 2 || Math.abs(placeY(row) - high / 2) > high / 2) {
    Object.assign(view, {x: x[row], y: y[row]});
    whole = false;
  }
  const image = shownAs(row, known.title[row]);
  image.onload = () => { image.style.width = `${2 * image.naturalWidth}px`; };  // larger it would be a blur
  byId("picture").replaceChildren(image);
  byId("name").textContent = known.title[row];
  byId("author").textContent = known.author[row];
  byId("details").replaceChildren(...Object.entries(known.details[row]).flatMap(
    ([name, value]) => [element("dt", name), element("dd", value, {dir: "auto"})]));
  byId("neighbours").replaceChildren(...known.neighbours[row].map((each, place) => {
    const cosine = known.cosines[row][place].toFixed(3);
    const button = element("button", "", {title: told(each), ariaLabel: `${told(each)}: ${cosine}`});
    button.append(shownAs(each, ""), cosine);
    button.onclick = () => {
      select(each);
      byId("name").focus({preventScroll: true});
    };
    return button;
  }));
  document.querySelector("aside").scrollTop = 0;
}

function point(row) {
  if (row !== pointed) {
    pointed = row;
    byId("tip").hidden = row === undefined;
    canvas.style.cursor = row === undefined ? "" : "pointer";
    if (row !== undefined) {
      const words = element("div", "");
      words.append(element("b", known.title[row], {dir: "auto"}), element("div", known.author[row], {dir: "auto"}));
      if (groups.length > 1) words.append(element("div", groups[group[row]].name, {className: "soft", dir: "auto"}));
      byId("tip").replaceChildren(shownAs(row, ""), words);
    }
    draw();
  }
  if (row === undefined) return;
  const {style, offsetWidth, offsetHeight} = byId("tip");
  const [left, top, gap] = [placeX(row), placeY(row), Math.max(12, side() / 2 + 8)];  // beside it, not over it
  style.left = `${left + gap + offsetWidth < wide ? left + gap : Math.max(0, left - gap - offsetWidth)}px`;
  style.top = `${Math.max(0, Math.min(top - offsetHeight / 2, high - offsetHeight))}px`;
}

// --- pointers, wheel and keys ----------------------------------------------------------------------------

const pressed = new Map();
let moved = 0;

canvas.onpointerdown = (event) => {
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  if (!pressed.size) moved = 0;
  pressed.set(event.pointerId, [event.offsetX, event.offsetY]);
};
canvas.onpointermove = (event) => {
  const {pointerId, offsetX, offsetY} = event, before = pressed.get(pointerId);
  if (!before) {
    if (event.pointerType === "mouse") point(at(offsetX, offsetY));
    return;
  }
  const other = [...pressed].find(([id]) => id !== pointerId)?.[1];
  const [right, down] = [offsetX - before[0], offsetY - before[1]];
  pressed.set(pointerId, [offsetX, offsetY]);
  moved += Math.hypot(right, down);
  if (moved < 5) return;
  point();
  whole = false;
  view.x -= right / pressed.size / view.scale;  // two fingers move the map half each
  view.y += down / pressed.size / view.scale;
  if (other) {
    const between = ([a, b]) => Math.hypot(a - other[0], b - other[1]) || 1;
    zoom(between([offsetX, offsetY]) / between(before), (offsetX + other[0]) / 2, (offsetY + other[1]) / 2);
  }
  draw();
};
canvas.onpointerup = (event) => {
  if (pressed.delete(event.pointerId) && moved < 5) select(at(event.offsetX, event.offsetY));
};
canvas.onpointercancel = (event) => { pressed.delete(event.pointerId); };
canvas.onpointerleave = () => point();
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.03 : 0.0015)), event.offsetX, event.offsetY);
}, {passive: false});

function go(right, up) {
  const [fromX, fromY] = selected === undefined ? [view.x, view.y] : [x[selected], y[selected]];
  let best, least = Infinity;
  for (const row of rows) {
    if (!shown[row] || row === selected) continue;
    const [dx, dy] = [x[row] - fromX, y[row] - fromY];
    const along = dx * right + dy * up, aside = Math.abs(dx * up) + Math.abs(dy * right);
    const far = selected === undefined ? Math.hypot(dx, dy) : along > 0 ? along + 2 * aside : Infinity;
    if (far < least) [best, least] = [row, far];
  }
  if (best !== undefined) select(best);
}

const KEYS = {
  ArrowLeft: () => go(-1, 0), ArrowRight: () => go(1, 0), ArrowUp: () => go(0, 1), ArrowDown: () => go(0, -1),
  "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: showAll, Escape: () => select(),
};
canvas.onkeydown = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
};
byId("nearer").onclick = () => zoom(1.6);
byId("further").onclick = () => zoom(1 / 1.6);
byId("all").onclick = showAll;

new ResizeObserver(() => {
  const first = !wide;
  ({clientWidth: wide, clientHeight: high} = canvas);
  canvas.width = wide * devicePixelRatio;
  canvas.height = high * devicePixelRatio;
  if (whole) showAll();
  if (first) look();
  drawNow();  // at once: a canvas that gets another size is empty
}).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("hashchange", look);
