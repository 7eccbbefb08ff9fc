// The plot and its tools are Bokeh's. This script adds the panel, the legend, and pictures in place of dots.
// Titles and all other metadata are only ever set as text, never as markup.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const {title, author, group, groups, details, neighbours, cosines} = data;
const rows = [...title.keys()];
Bokeh.logger.set_level("warn");  // set_log_level would log that to the console
const [{model: plot, canvas_view}] = (await Bokeh.embed.embed_item(data.plot, "plot")).roots;
const model = (name) => plot.document.get_model_by_name(name);
const source = model("images"), {x, y, w, h, picture} = source.data, {x_range, y_range} = plot;
const element = (name, attributes, ...children) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
};

// The view: the scale is the same in both directions, also after the window is resized.
const [west, east, south, north] = data.bounds;
const middle = ({start, end}) => (start + end) / 2;
let scale, whole = true;
function lookAt(atX, atY, pixels) {
  const [right, up] = [plot.inner_width / pixels / 2, plot.inner_height / pixels / 2];
  x_range.setv({start: atX - right, end: atX + right});
  y_range.setv({start: atY - up, end: atY + up});
}
function fit(everything = whole) {
  const {inner_width: wide, inner_height: high} = plot, margin = Math.min(48, wide / 8, high / 8);
  const all = Math.min((wide - 2 * margin) / (east - west), (high - 2 * margin) / (north - south), data.max_zoom);
  const now = [middle(x_range), middle(y_range), scale], everywhere = [(west + east) / 2, (south + north) / 2, all];
  x_range.setv({min_interval: wide / data.max_zoom, max_interval: 2 * wide / all});  // limits for Bokeh's wheel zoom
  y_range.setv({min_interval: high / data.max_zoom, max_interval: 2 * high / all});
  lookAt(...everything ? everywhere : now);
  whole = everything;
}
function move(right, up, nearer = 1) {
  const pixels = Math.min(data.max_zoom, Math.max(plot.inner_width / x_range.max_interval, scale * nearer));
  // Zoom towards the selected image, if there is one; never leave all images behind.
  const towards = (at, range) => at === undefined ? middle(range) : at + (middle(range) - at) * scale / pixels;
  const within = (at, least, most) => Math.min(most, Math.max(least, at));
  lookAt(within(towards(x[selected], x_range) + right / scale, west, east),
    within(towards(y[selected], y_range) + up / scale, south, north), pixels);
}
for (const name of ["inner_width", "inner_height"]) plot.properties[name].change.connect(() => fit());
for (const range of [x_range, y_range]) for (const end of ["start", "end"]) range.properties[end].change.connect(() => {
  scale = plot.inner_width / (x_range.end - x_range.start);
  whole = false;
  byId("tip").hidden = true;
  clearTimeout(soon);
  soon = setTimeout(fill, 60);
});

// Pictures replace dots where there is room, as soon as not too many images are in view.
const SIDES = [36, 48, 72, 108, 160];
let shown = rows.map(() => true), highlighted = [], placed = [], selected, side, soon;
function fill() {
  const before = side;
  side = SIDES.findLast((each) => each < 0.6 * data.spacing * scale) ?? SIDES[0];
  const long = (column) => column.map((each) => each * side);  // w and h are fractions of the longer side
  if (side !== before) source.data = {...source.data, w: long(w), h: long(h)};
  const within = (at, {start, end}) => Math.abs(at - (start + end) / 2) < 0.75 * (end - start);
  const seen = rows.filter((row) => shown[row] && within(x[row], x_range) && within(y[row], y_range));
  const apart = (a, b) => Math.abs(x[a] - x[b]) * scale > side * (w[a] + w[b]) / 2 + 6
    || Math.abs(y[a] - y[b]) * scale > side * (h[a] + h[b]) / 2 + 6;
  placed = [];
  for (const row of seen.length > data.max_in_view ? highlighted : [...highlighted, ...seen])
    if (shown[row] && placed.every((other) => apart(row, other))) placed.push(row);
  model("pictured").indices = placed;
  const of = (column) => placed.map((row) => column[row]);
  const alpha = placed.map((row) => !highlighted.length || highlighted.includes(row) ? 1 : 0.3);
  model("pictures").data = {x: of(x), y: of(y), w: long(of(w)), h: long(of(h)), picture: of(picture), alpha};
  const only = (column) => placed.includes(selected) ? [column[selected]] : [];
  model("chosen").data = {x: only(x), y: only(y), w: long(only(w)), h: long(only(h))};
}

// Filter: images of the groups that are not hidden whose texts contain all the words.
const hidden = new Set(), plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
let texts;
function choose() {
  const wanted = plain(byId("find").value).split(/\s+/).filter(Boolean);
  if (wanted.length) texts ??= rows.map((row) => plain([title[row], author[row], ...Object.values(details[row])].join("\n")));
  shown = rows.map((row) => !hidden.has(group[row]) && wanted.every((word) => texts[row].includes(word)));
  const count = shown.filter(Boolean).length;
  byId("found").textContent = count < rows.length ? `${count.toLocaleString("en")} shown` : "";
  model("hidden").visible = count < rows.length;
  model("visible").booleans = shown;
  select(shown[selected] ? selected : undefined);
}
byId("find").oninput = choose;
byId("find").form.onsubmit = (event) => {  // Enter selects the next one
  event.preventDefault();
  const next = shown.indexOf(true, (selected ?? -1) + 1);
  select(next < 0 ? rows.find((row) => shown[row]) : next);
};
if (groups.length > 1) byId("groups").append(...groups.map(({name, colour, count}, number) => {
  const dot = element("i", {style: `background: ${colour}`}), counted = element("span", {}, count.toLocaleString("en"));
  const button = element("button", {title: name, ariaPressed: "true"}, dot, element("bdi", {}, name), counted);
  button.onclick = () => {
    if (!hidden.delete(number)) hidden.add(number);
    button.ariaPressed = String(!hidden.has(number));
    choose();
  };
  return button;
}));

// The selected image, and the panel that describes it.
const shownAs = (row, alt) => picture[row] ? Object.assign(new Image(), {src: picture[row], alt})
  : element("span", {className: "none"}, "no picture");
function select(row) {
  if (row !== undefined && row !== selected) describe(row);
  selected = row;
  byId("shown").hidden = row === undefined;
  byId("hint").hidden = row !== undefined;
  byId("tip").hidden = true;  // it would cover what is highlighted now
  const near = (neighbours[row] ?? []).filter((each) => shown[each]), of = (column) => near.map((each) => column[each]);
  source.selected.indices = highlighted = row === undefined ? [] : [row, ...near];  // Bokeh fades all others
  model("lines").data = {x0: near.map(() => x[row]), y0: near.map(() => y[row]), x1: of(x), y1: of(y)};
  fill();
}
function describe(row) {
  const out = (at, {start, end}) => at < start || at > end;
  if (out(x[row], x_range) || out(y[row], y_range)) lookAt(x[row], y[row], scale);
  const image = shownAs(row, title[row]);
  image.onload = () => { image.style.width = `${2 * image.naturalWidth}px`; };  // larger would be blurred
  byId("picture").replaceChildren(image);
  byId("name").textContent = title[row];
  byId("author").textContent = author[row];
  byId("details").replaceChildren(...Object.entries(details[row]).flatMap(
    ([name, value]) => [element("dt", {}, name), element("dd", {dir: "auto"}, value)]));
  byId("neighbours").replaceChildren(...neighbours[row].map((each, place) => {
    const caption = [title[each], author[each]].filter(Boolean).join(", "), cosine = cosines[row][place].toFixed(3);
    const words = {title: caption, ariaLabel: `${caption}: ${cosine}`};
    const onclick = () => {
      select(each);
      byId("name").focus({preventScroll: true});
    };
    return element("button", {...words, onclick}, shownAs(each, ""), cosine);
  }));
  document.querySelector("aside").scrollTop = 0;
  byId("map").scrollIntoView();  // on a narrow screen the page scrolls instead: below the map there is room for the title
}

// Hits of Bokeh's tools: a picture is above the dots, and never above another picture.
const topmost = (hits) => hits.find((row) => placed.includes(row)) ?? hits.at(-1);
source.selected.properties.indices.change.connect(() => {
  if (source.selected.indices !== highlighted) select(topmost(source.selected.indices));
});
source.inspect.connect(() => {
  const row = topmost([...source.selection_manager.inspectors.values()].flatMap(({indices}) => indices));
  const tip = byId("tip");
  tip.hidden = row === undefined || row === selected;
  if (tip.hidden) return;
  const words = [element("b", {dir: "auto"}, title[row]), element("div", {dir: "auto"}, author[row])];
  if (groups.length > 1) words.push(element("div", {dir: "auto", className: "soft"}, groups[group[row]].name));
  tip.replaceChildren(shownAs(row, ""), element("div", {}, ...words));
  const [left, top] = [(x[row] - x_range.start) * scale, (y_range.end - y[row]) * scale];
  const gap = 12 + (placed.includes(row) ? side * w[row] / 2 : 0);  // beside the picture, towards the middle of the map
  Object.assign(tip.style, {left: `${left}px`, top: `${top}px`});
  const aside = left < plot.inner_width / 2 ? `${gap}px` : `calc(-100% - ${gap}px)`;
  tip.style.translate = `${aside} -${100 * top / plot.inner_height}%`;
});

// Keys, buttons, and colours for light and dark.
const MOVES = {ArrowLeft: [-80, 0], ArrowRight: [80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80],
  "+": [0, 0, 1.5], "=": [0, 0, 1.5], "-": [0, 0, 1 / 1.5]};
const press = (key) => MOVES[key] ? move(...MOVES[key]) : key === "0" ? fit(true) : key === "Escape" && select();
byId("map").onkeydown = ({key, ctrlKey, metaKey, altKey}) => ctrlKey || metaKey || altKey || press(key);
for (const button of document.querySelectorAll("#zoom button")) button.onclick = () => press(button.value);
canvas_view.events_el.tabIndex = -1;  // the map around it takes the keys and shows the focus
canvas_view.events_el.style.outline = "none";
function colour() {
  const style = getComputedStyle(document.documentElement);
  const [ink, ground, empty] = ["--ink", "--ground", "--empty"].map((name) => ({value: style.getPropertyValue(name)}));
  const [dots, frames, links, frame] = ["dots", "frames", "links", "chosen frame"].map(model);
  dots.selection_glyph.line_color = frames.selection_glyph.line_color = links.glyph.line_color = ink;
  frame.glyph.line_color = ink;
  frames.nonselection_glyph.fill_color = ground;  // or the dots below would show through
  frames.glyph.fill_color = frames.selection_glyph.fill_color = empty;
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
colour();
fit();
