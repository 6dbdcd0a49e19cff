// Drawing one series into a plot: a line with its band, or points.
const kSymbols = {
  dot: (r) => `m${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
  ring: (r) => `m${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
  cross: (r) => `m${-r},${-r}l${2 * r},${2 * r}m${-2 * r},0l${2 * r},${-2 * r}`,
};

const hasPlace = (p) => p[0] !== null && p[1] !== null;
const hasInterval = (p) => typeof p[2] === 'number' && typeof p[3] === 'number';
const strokeOf = (one) => (one.run === null ? 'var(--faint)' : colour(one.run));

// Where lines lie on each other none may hide the others: there each has dashes of its own, in turn. A line becomes
// stretches {points, nth, of}, `of` lines being the same there; of steps, points are corners.
function stretchesOf(lines) {
  const places = [...new Set(lines.flatMap((one) => (one.kind === 'step' ? one.points.filter(hasPlace).map((p) => p[0]) : [])))].sort((a, b) => a - b);
  const pieces = lines.map((one) => (one.kind === 'step' ? stepPieces(one, places) : linePieces(one)));
  const owners = new Map();  // of a piece: which lines have it
  const keyOf = (piece) => piece.flat().join();
  pieces.forEach((list, i) => list.forEach((piece) => owners.set(keyOf(piece), [...(owners.get(keyOf(piece)) || []), i])));
  return pieces.map((list, i) => {
    const stretches = [];
    let last = null;
    for (const piece of list) {
      const all = owners.get(keyOf(piece));
      const joins = last && last.owners === all.join() && last.points[last.points.length - 1].join() === piece[0].join();
      if (joins) last.points.push(piece[1]);
      else stretches.push(last = {owners: all.join(), points: [...piece], nth: all.indexOf(i), of: all.length});
    }
    return stretches;
  });
}

function linePieces(one) {
  return one.points.slice(1).map((p, i) => [one.points[i], p]).filter(([a, b]) => hasPlace(a) && hasPlace(b)).map(([a, b]) => [a.slice(0, 2), b.slice(0, 2)]);
}

function stepPieces(one, places) {
  const points = one.points.filter(hasPlace);
  const pieces = [];
  points.forEach((p, i) => {
    const next = points[i + 1];
    if (!next) return;
    const within = [...places.filter((x) => x > p[0] && x < next[0]), next[0]];
    let x = p[0];
    for (const to of within) { pieces.push([[x, p[1]], [to, p[1]]]); x = to; }
    if (next[1] !== p[1]) pieces.push([[x, p[1]], [x, next[1]]]);
  });
  return pieces;
}

const kStripe = 9;  // pixels of a dash where lines are the same
const kMarkEvery = 110;

function drawLine(body, one, X, Y, banded) {
  const curve = one.kind === 'step' ? d3.curveStepAfter : d3.curveLinear;
  if (banded) {
    body.append('path').attr('class', 'band').style('fill', strokeOf(one))
      .attr('d', d3.area().x((p) => X(p[0])).y0((p) => Y(p[2])).y1((p) => Y(p[3])).curve(curve)(one.points.filter(hasInterval)));
  }
  const own = one.dash || (one.run === null ? '4 4' : dash(one.run));
  const corners = d3.line().x((p) => X(p[0])).y((p) => Y(p[1]));
  for (const {points, nth, of} of one.stretches || []) {
    body.append('path').attr('class', 'line' + (of > 1 ? ' shared' : '')).style('stroke', strokeOf(one)).attr('d', corners(points))
      .attr('stroke-dasharray', of > 1 ? `${kStripe} ${kStripe * (of - 1)}` : own).attr('stroke-dashoffset', of > 1 ? -kStripe * nth : null);
  }
  if (one.kind !== 'step' && one.dots !== false && one.points.length < 40) drawPoints(body, {...one, radius: 2, whiskers: false}, X, Y);
}

// A few marks on each line, at places that no other line has; of lines between points, on points.
function drawMarks(body, one, nth, of, X, Y, width) {
  const points = one.points.filter(hasPlace);
  if (one.dash || one.run === null || !points.length) return;
  const every = Math.max(kMarkEvery, 24 * of);
  const [from, to] = [Math.max(0, X(points[0][0])), Math.min(width, X(points[points.length - 1][0]))];
  const places = d3.range((every * (nth + 0.5)) / of, width, every).filter((px) => px >= from && px <= to);
  if (!places.length) places.push(from + ((to - from) * (nth + 0.5)) / of);
  const at = (px) => {
    const i = d3.bisector((p) => X(p[0])).right(points, px) - 1;
    const before = points[Math.max(0, i)];
    if (one.kind === 'step') return [px, Y(before[1])];
    const after = points[Math.min(points.length - 1, i + 1)];
    const p = Math.abs(X(after[0]) - px) < Math.abs(X(before[0]) - px) ? after : before;
    return [X(p[0]), Y(p[1])];
  };
  body.append('path').attr('class', 'mark').style('fill', strokeOf(one)).attr('d', places.map(at).map(([x, y]) => markOf(one.run, x, y, 4)).join(''));
}

// One path a series: thousands of elements would be slow on a phone.
function drawPoints(body, one, X, Y) {
  const stroked = one.symbol === 'cross' || one.symbol === 'ring';
  const shape = kSymbols[one.symbol === 'run' ? 'dot' : one.symbol || 'dot'](one.radius || 3);
  const x = (p) => X(p[0]) + (one.dodge || 0);
  const points = one.points.filter(hasPlace);
  if (one.whiskers) {
    body.append('path').attr('class', 'whisker').attr('fill', 'none').style('stroke', strokeOf(one))
      .attr('d', points.filter(hasInterval).map((p) => `M${x(p)},${Y(p[2])}V${Y(p[3])}`).join(''));
  }
  body.append('path').style('opacity', one.opacity || 1)
    .style('fill', stroked ? 'none' : strokeOf(one)).style('stroke', stroked ? strokeOf(one) : 'none')
    .attr('stroke-width', stroked ? 2 : null)
    .attr('d', points.map((p) => (one.symbol === 'run' ? markOf(one.run, x(p), Y(p[1]), one.radius) : `M${x(p).toFixed(1)},${Y(p[1]).toFixed(1)}${shape}`)).join(''));
}
