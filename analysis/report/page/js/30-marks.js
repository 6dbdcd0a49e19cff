// Drawing one series into a plot: a line with its band, or points.
const kSymbols = {
  dot: (r) => `m${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
  ring: (r) => `m${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
  cross: (r) => `m${-r},${-r}l${2 * r},${2 * r}m${-2 * r},0l${2 * r},${-2 * r}`,
};

const hasPlace = (p) => p[0] !== null && p[1] !== null;
const hasInterval = (p) => typeof p[2] === 'number' && typeof p[3] === 'number';
const strokeOf = (one) => (one.run === null ? 'var(--faint)' : colour(one.run));

function drawLine(body, one, X, Y, banded) {
  const curve = one.kind === 'step' ? d3.curveStepAfter : d3.curveLinear;
  if (banded) {
    body.append('path').attr('class', 'band').style('fill', strokeOf(one))
      .attr('d', d3.area().x((p) => X(p[0])).y0((p) => Y(p[2])).y1((p) => Y(p[3])).curve(curve)(one.points.filter(hasInterval)));
  }
  const line = d3.line().defined(hasPlace).x((p) => X(p[0])).y((p) => Y(p[1])).curve(curve);
  body.append('path').attr('class', 'line').style('stroke', strokeOf(one)).attr('d', line(one.points))
    .attr('stroke-dasharray', one.dash || (one.run === null ? '4 4' : dash(one.run)));
  if (one.kind !== 'step' && one.dots !== false && one.points.length < 40) drawPoints(body, {...one, radius: 2.5, whiskers: false}, X, Y);
}

// One path a series: thousands of elements would be slow on a phone.
function drawPoints(body, one, X, Y) {
  const stroked = one.symbol === 'cross' || one.symbol === 'ring';
  const shape = kSymbols[one.symbol || 'dot'](one.radius || 3);
  const points = one.points.filter(hasPlace);
  if (one.whiskers) {
    body.append('path').attr('class', 'whisker').attr('fill', 'none').style('stroke', strokeOf(one))
      .attr('d', points.filter(hasInterval).map((p) => `M${X(p[0])},${Y(p[2])}V${Y(p[3])}`).join(''));
  }
  body.append('path').style('opacity', one.opacity || 1)
    .style('fill', stroked ? 'none' : strokeOf(one)).style('stroke', stroked ? strokeOf(one) : 'none')
    .attr('stroke-width', stroked ? 2 : null)
    .attr('d', points.map((p) => `M${X(p[0]).toFixed(1)},${Y(p[1]).toFixed(1)}${shape}`).join(''));
}
