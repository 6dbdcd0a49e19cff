// The cross-hair of a plot and the small box that tells values: for a pointer, a finger and the arrow keys.
const tip = document.getElementById('tip');

// items: [run or null, name, value]; at the pointer, or at the top of `box` where a key was pressed.
function showTip(event, box, title, items) {
  tip.replaceChildren(h('b', {}, title), ...items.map(([run, name, value]) => h('span', {class: 'item'},
    h('span', {}, run === null ? null : swatch(run), name), h('span', {}, value))));
  tip.hidden = false;
  const width = tip.offsetWidth;
  const left = event ? event.pageX : box.left + window.scrollX + box.width / 2;
  const top = event ? event.pageY : box.top + window.scrollY + 20;
  const most = document.documentElement.clientWidth + window.scrollX - width - 6;
  tip.style.left = Math.max(6, Math.min(left + 14 > most ? left - width - 14 : left + 14, most)) + 'px';
  tip.style.top = top + 14 + 'px';
}
const hideTip = () => { tip.hidden = true; };

// Watches one drawing of a plot. view: {spec, list, X, Y, x, transform, w, h, hover, box}
function crossHair(view) {
  const {spec, X, Y} = view;
  const xText = spec.x.format || text;
  const yText = spec.y.format || text;
  const lines = view.list.filter((one) => one.kind !== 'points' && one.points.length);
  const marks = view.list.filter((one) => one.kind === 'points')
    .flatMap((one) => one.points.filter(hasPlace).map((p) => ({one, p, px: X(p[0]) + (one.dodge || 0), py: Y(p[1])})))
    .filter((mark) => mark.px >= 0 && mark.px <= view.w).sort((a, b) => a.px - b.px);
  const places = lines.length ? lines[0].points.filter(hasPlace).map((p) => p[0]) : marks;
  let current = -1;

  const clear = () => { view.hover.selectAll('*').remove(); hideTip(); };

  function at(event, px, py) {
    const squared = (mark) => (mark.px - px) ** 2 + (mark.py - py) ** 2;
    const near = marks[d3.scan(marks, (a, b) => squared(a) - squared(b))];
    if (near && squared(near) < 22 ** 2) point(event, near);
    else if (lines.length) along(event, view.x.from(view.transform.invertX(px)));
    else clear();
  }

  function point(event, mark) {
    clear();
    view.hover.append('path').attr('class', 'halo').attr('d', `M${mark.px},${mark.py}${kSymbols.ring(7)}`);
    const items = [[null, spec.x.label, xText(mark.p[0])], [null, spec.y.label, yText(mark.p[1])]];
    if (mark.one.whiskers && hasInterval(mark.p)) items.push([null, spec.interval, `${yText(mark.p[2])} to ${yText(mark.p[3])}`]);
    if (mark.one.tell) items.push(...mark.one.tell(mark.p));
    showTip(event, view.box(), mark.one.name, items);
  }

  function nearest(one, value) {
    const i = d3.bisector((p) => p[0]).left(one.points, value);
    const a = one.points[i - 1];
    const b = one.points[i];
    if (one.kind === 'step') return b && b[0] === value ? b : a || b;
    if (!a || !b) return a || b;
    return Math.abs(X(a[0]) - X(value)) < Math.abs(X(b[0]) - X(value)) ? a : b;
  }

  function along(event, value) {
    clear();
    const found = lines.map((one) => ({one, p: nearest(one, value)})).filter((f) => f.p && hasPlace(f.p));
    if (!found.length) return;
    const steps = found[0].one.kind === 'step';
    const away = (f) => Math.abs(X(f.p[0]) - X(value));
    const reach = Math.max(d3.min(found, away) + 0.5, 12);
    const here = steps ? found : found.filter((f) => away(f) <= reach);
    const px = steps ? X(value) : X(here[0].p[0]);
    view.hover.append('line').attr('class', 'cross').attr('y2', view.h).attr('x1', px).attr('x2', px);
    here.forEach((f) => view.hover.append('circle').attr('r', 3.5).attr('cx', px).attr('cy', Y(f.p[1])).style('fill', strokeOf(f.one)));
    here.sort((a, b) => b.p[1] - a.p[1]);
    showTip(event, view.box(), `${spec.x.label}: ${xText(steps ? Math.floor(value) : here[0].p[0])}`,
      here.slice(0, 12).map((f) => [f.one.run, f.one.name,
        yText(f.p[1]) + (hasInterval(f.p) ? ` (${yText(f.p[2])} to ${yText(f.p[3])})` : '')]));
  }

  function move(by) {
    if (!places.length) return;
    current = Math.max(0, Math.min(places.length - 1, current + by));
    if (lines.length) along(null, places[current]);
    else point(null, places[current]);
  }
  return {at, move, clear};
}
