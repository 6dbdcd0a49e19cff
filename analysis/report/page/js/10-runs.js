// The configurations: their colours and marks, and which of them plots draw.
const runs = data.runs;
const kDashes = [null, '7 4', '2 4'];
const kMostShown = 8;

const colour = (run) => `var(--c${run % 8})`;
const dash = (run) => kDashes[Math.floor(run / 8) % 3];
// Beside the colour, for whom it says nothing: outlines in a box of 2 by 2 around 0, 0.
const kMarks = [
  [[-1, -1], [1, -1], [1, 1], [-1, 1]], [[0, -1.3], [1.25, 1], [-1.25, 1]], [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]], [[0, 1.3], [1.25, -1], [-1.25, -1]],
  [[-0.5, -1.3], [0.5, -1.3], [0.5, -0.5], [1.3, -0.5], [1.3, 0.5], [0.5, 0.5], [0.5, 1.3], [-0.5, 1.3], [-0.5, 0.5], [-1.3, 0.5], [-1.3, -0.5], [-0.5, -0.5]],
  [[-1.3, 0], [1, -1.25], [1, 1.25]], [[-0.75, -1.2], [0.75, -1.2], [1.4, 0], [0.75, 1.2], [-0.75, 1.2], [-1.4, 0]], [[1.3, 0], [-1, -1.25], [-1, 1.25]],
];
const markOf = (run, x, y, radius) => 'M' + kMarks[run % 8].map(([a, b]) => `${(x + a * radius).toFixed(1)},${(y + b * radius).toFixed(1)}`).join('L') + 'z';

function swatch(run) {
  const svg = d3.create('svg').attr('class', 'swatch').attr('viewBox', '0 0 26 10').attr('aria-hidden', 'true');
  svg.append('line').attr('x1', 1).attr('x2', 25).attr('y1', 5).attr('y2', 5).attr('stroke-width', 3)
    .style('stroke', colour(run)).attr('stroke-dasharray', dash(run));
  svg.append('path').attr('d', markOf(run, 13, 5, 3.4)).style('fill', colour(run));
  return svg.node();
}

// Those that differ first: lines of bit-equal runs lie on top of each other.
function firstShown() {
  if (runs.length <= kMostShown) return runs.map((_, i) => i);
  const order = runs.map((_, i) => i);
  order.sort((a, b) => (runs[a].equality === 'bit-equal') - (runs[b].equality === 'bit-equal') || a - b);
  return order.slice(0, kMostShown);
}

const shown = new Set(firstShown());
const redraws = [];  // called after every change of what is shown
const redrawAll = () => redraws.forEach((redraw) => redraw());

function picker() {
  const status = h('span', {class: 'small count', role: 'status'});
  const chips = runs.map((run, i) => h('button', {
    class: 'chip', type: 'button', title: run.plan + ' (double click: only this one)',
    onclick: () => { if (!shown.delete(i)) shown.add(i); changed(); },
    ondblclick: () => { shown.clear(); shown.add(i); changed(); },
  }, swatch(i), run.name));
  const all = (yes) => () => { shown.clear(); if (yes) runs.forEach((_, i) => shown.add(i)); changed(); };
  const mark = () => {
    chips.forEach((chip, i) => chip.setAttribute('aria-pressed', shown.has(i)));
    status.textContent = `${shown.size} of ${runs.length} drawn`;
  };
  const changed = () => { mark(); redrawAll(); };
  mark();
  return h('div', {class: 'picker', role: 'group', 'aria-label': 'Configurations drawn in the plots'},
    h('div', {class: 'row'}, runs.length > kMostShown ? status : null, chips,
      runs.length > 2 ? h('button', {class: 'chip plain', type: 'button', onclick: all(true)}, 'all') : null,
      runs.length > 2 ? h('button', {class: 'chip plain', type: 'button', onclick: all(false)}, 'none') : null));
}
