// One plot: axes, lines and points, zoom, a cross-hair, and the same numbers as a table.
//
// plot({id, what, reading, interval, x: {label, kind: linear | log, whole, low, high, format}, y: {…}, height,
//       series: () => [{run or null, name, kind: line | step | points, points: [[x, y, low, high]…],
//                       symbol, radius, opacity, whiskers, dash, band, tell}],
//       under: (view) => …, over: (view) => …, right: (width) => margin, describe: () => text, square: both axes have the same ends,
//       dodge: points of several configurations stand side by side, not on each other})
// Returns a <figure>. It redraws when its width, its zoom or the configurations shown change.
let plots = 0;
const kMargin = {top: 10, right: 14, bottom: 42, left: 56};
const kTableRows = 2000;
const kBandsShown = 3;  // more would cover each other

function plot(spec) {
  const id = 'plot' + ++plots;
  spec.interval = spec.interval || 'interval';
  const button = (label, name, click) => h('button', {type: 'button', 'aria-label': `${name}: ${spec.what}`, onclick: click}, label);
  const zoomIn = button('+', 'Zoom in', () => zoomed(zoom.scaleBy, 1.8));
  const zoomOut = button('−', 'Zoom out', () => zoomed(zoom.scaleBy, 1 / 1.8));
  const whole = button('Whole', 'Show the whole plot', () => zoomed(zoom.transform, d3.zoomIdentity));
  const numbers = h('details', {ontoggle: () => fillTable()}, h('summary', {}, 'The numbers as a table'));
  const none = h('p', {class: 'none'});
  const hidden = h('p', {class: 'small hint', hidden: true},
    `Shaded: ${spec.interval}, drawn for up to ${kBandsShown} configurations; point at a line to read it.`);
  const svg = d3.create('svg').attr('class', 'plot').attr('role', 'img').attr('tabindex', 0)
    .attr('aria-labelledby', `${id}-title`).attr('aria-describedby', `${id}-desc`);
  svg.append('title').attr('id', `${id}-title`).text(spec.what);
  const description = svg.append('desc').attr('id', `${id}-desc`);
  const clip = svg.append('clipPath').attr('id', `${id}-clip`).append('rect').attr('x', -1).attr('y', -6);
  const inner = svg.append('g').attr('transform', `translate(${kMargin.left},${kMargin.top})`);
  const axes = inner.append('g');
  const body = inner.append('g').attr('clip-path', `url(#${id}-clip)`);
  const front = inner.append('g');
  const hover = inner.append('g').attr('clip-path', `url(#${id}-clip)`);
  // Stays through redraws: a gesture ends when its element goes.
  const target = inner.append('rect').attr('class', 'catch');
  const place = h('div', {}, none, h('div', {class: 'small'}, spec.y.label), svg.node(), hidden);
  const figure = h('figure', {'data-plot': spec.id},
    h('figcaption', {}, h('span', {class: 'what'}, spec.what), h('span', {class: 'tools'}, zoomIn, zoomOut, whole)),
    spec.reading ? h('p', {class: 'reading'}, spec.reading) : null, place, numbers);

  let transform = d3.zoomIdentity;
  let hair = null;
  // Scrolling the page must not zoom: a wheel zooms with Ctrl (so does a pinch on a touchpad), fingers in twos.
  const zoom = d3.zoom().scaleExtent([1, 40])
    .filter(() => {
      const event = d3.event;
      if (event.type === 'wheel') return event.ctrlKey;
      if (event.type.startsWith('touch')) return event.touches.length > 1;
      return !event.button && (event.type !== 'mousedown' || transform.k > 1);
    })
    .on('zoom', () => {
      if (d3.event.transform.toString() === transform.toString()) return;
      transform = d3.event.transform;
      later();
    });
  const zoomed = (how, value) => target.call(how, value);
  const listed = () => spec.series().filter((one) => one.run === null || shown.has(one.run));

  function fillTable() {
    if (!numbers.open) return;
    numbers.querySelectorAll('.scroll').forEach((old) => old.remove());
    const yText = spec.y.format || text;
    const rows = listed().flatMap((one) => one.points.map((p) => [one.name, (spec.x.format || text)(p[0]), yText(p[1]),
      hasInterval(p) ? `${yText(p[2])} to ${yText(p[3])}` : null]));
    numbers.append(scrollable(`${spec.what}: numbers`, table(
      ['Configuration', {text: spec.x.label, n: true}, {text: spec.y.label, n: true}, {text: spec.interval, n: true}],
      rows.slice(0, kTableRows), rows.length > kTableRows ? {caption: `The first ${kTableRows} of ${rows.length} points.`} : {})));
  }

  function drawAxes(x, y, X, w, height) {
    axes.selectAll('*').remove();
    const grid = axes.append('g').attr('class', 'grid');
    const frame = axes.append('g').attr('class', 'axis');
    frame.append('line').attr('x2', w).attr('y1', height).attr('y2', height);
    for (const t of y.ticks(y.from(height), y.from(0), Math.max(3, Math.floor(height / 45)))) {
      grid.append('line').attr('x2', w).attr('y1', y.to(t)).attr('y2', y.to(t));
      frame.append('text').attr('x', -8).attr('y', y.to(t) + 4).attr('text-anchor', 'end').text((spec.y.format || y.format)(t));
    }
    const [from, to] = [x.from(transform.invertX(0)), x.from(transform.invertX(w))];
    for (const t of x.ticks(from, to, Math.max(3, Math.floor(w / 80)))) {
      frame.append('line').attr('x1', X(t)).attr('x2', X(t)).attr('y1', height).attr('y2', height + 4);
      frame.append('text').attr('x', X(t)).attr('y', height + 18).attr('text-anchor', 'middle').text((spec.x.format || x.format)(t));
    }
    frame.append('text').attr('x', w).attr('y', height + 36).attr('text-anchor', 'end').text(spec.x.label);
  }

  function draw() {
    const list = listed();
    const points = list.flatMap((one) => one.points).filter(hasPlace);
    none.hidden = points.length > 0;
    none.textContent = shown.size ? 'Nothing to draw for these configurations.' : 'Choose a configuration above.';
    svg.style('display', points.length ? null : 'none');
    if (!points.length) return;
    const width = Math.max(place.clientWidth || 640, 240);
    const flat = spec.y.kind === 'log' && points.every((p) => p[1] === 0);  // nothing to see above 0
    const outer = flat ? 160 : Math.round(Math.min(spec.height || 320, Math.max(230, width * 0.62)));
    const w = width - kMargin.left - (spec.right ? spec.right(width) : kMargin.right);
    const height = outer - kMargin.top - kMargin.bottom;
    const across = points.map((p) => p[0]);
    const up = points.flatMap((p) => (hasInterval(p) ? p.slice(1, 4) : [p[1]]));
    const x = scaleFor(spec.x, spec.square ? [...across, ...up] : across, 0, w);
    const y = scaleFor(spec.y, spec.square ? [...across, ...up] : up, height, 0);
    const X = (v) => transform.applyX(x.to(v));
    svg.attr('viewBox', `0 0 ${width} ${outer}`);
    description.text(`${spec.y.label} against ${spec.x.label} for ${list.map((one) => one.name).join(', ')}. ` +
      `${spec.describe ? spec.describe() + ' ' : ''}Arrow keys move along the plot; the table below it has the numbers.`);
    clip.attr('width', w + 2).attr('height', height + 12);
    target.attr('width', w).attr('height', height);
    zoom.extent([[0, 0], [w, height]]).translateExtent([[0, 0], [w, height]]);
    drawAxes(x, y, X, w, height);
    body.selectAll('*').remove();
    front.selectAll('*').remove();
    hover.selectAll('*').remove();
    const view = {spec, list, x, y, X, Y: y.to, transform, w, h: height, body, front, hover, box: () => svg.node().getBoundingClientRect()};
    if (spec.under) spec.under(view);
    const banded = list.filter((one) => one.kind !== 'points' && one.band !== false && one.points.some(hasInterval));
    const bands = banded.length <= kBandsShown;
    hidden.hidden = bands;
    const lines = list.filter((one) => one.kind !== 'points' && one.points.length);
    const solid = lines.filter((one) => !one.dash);
    [solid, ...lines.filter((one) => one.dash).map((one) => [one])].forEach((group) => stretchesOf(group).forEach((stretches, i) => { group[i].stretches = stretches; }));
    if (spec.dodge) list.filter((one) => one.whiskers).forEach((one, i, all) => { one.dodge = 7 * (i - (all.length - 1) / 2); });
    list.forEach((one) => (one.kind === 'points' ? drawPoints(body, one, X, y.to) : drawLine(body, one, X, y.to, bands && banded.includes(one))));
    if (solid.length > 1) solid.forEach((one, i) => one.marked !== false && drawMarks(body, one, i, solid.length, X, y.to, w));
    if (spec.over) spec.over(view);
    hair = crossHair(view);
    zoomOut.disabled = whole.disabled = transform.k <= 1;
    zoomIn.disabled = transform.k >= 40;
    fillTable();
  }

  let waiting = false;
  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }
  target.call(zoom).style('touch-action', 'pan-y')  // one finger scrolls the page
    .on('pointermove pointerdown', () => hair && hair.at(d3.event, ...d3.mouse(target.node())))
    .on('pointerleave', () => hair && hair.clear());
  svg.on('keydown', () => {
    const by = {ArrowRight: 1, ArrowLeft: -1}[d3.event.key];
    if (!by || !hair) return;
    d3.event.preventDefault();
    hair.move(by);
  }).on('blur', () => hair && hair.clear());
  redraws.push(draw);
  let drawnWidth = 0;
  new ResizeObserver(() => {
    if (Math.abs(place.clientWidth - drawnWidth) < 2) return;
    drawnWidth = place.clientWidth;
    draw();
  }).observe(place);
  // Other data (a metric chosen): from the start.
  figure.restart = () => { transform = d3.zoomIdentity; target.property('__zoom', transform); draw(); };
  return figure;
}
