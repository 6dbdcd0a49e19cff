// In which order the collective adds: coloured bands over the message, a small tree for each colour.
const treeColour = (tree) => (tree < 0 ? 'var(--faint)' : `var(--t${tree % 8})`);
const kTreesDrawn = 24;
// A, B, … Z, then numbers: a colour alone would not tell whose band it is.
const treeName = (used, tree) => (tree < 0 ? '' : used.indexOf(tree) < 26 ? String.fromCharCode(65 + used.indexOf(tree)) : String(used.indexOf(tree) + 1));
const treesOf = (map) => [...new Set(map.messages.flatMap((message) => message.bands.map((band) => band[2])))].sort((a, b) => a - b);

// "((1+2)+3)+0" -> nested pairs; null where it is no such text.
function parseTree(source) {
  let at = 0;
  function operand() {
    if (source[at] === '(') {
      ++at;
      const inside = sum();
      if (inside === null || source[at] !== ')') return null;
      ++at;
      return inside;
    }
    const digits = /^\d+/.exec(source.slice(at, at + 4));
    if (!digits) return null;
    at += digits[0].length;
    return digits[0];
  }
  function sum() {
    const left = operand();
    if (left === null || source[at] !== '+') return left;
    ++at;
    const right = operand();
    return right === null ? null : [left, right];
  }
  const tree = sum();
  return at === source.length ? tree : null;
}

function drawTree(source) {
  const parsed = parseTree(source);
  if (!parsed) return null;
  const root = d3.hierarchy(parsed, (node) => (Array.isArray(node) ? node : null));
  const leaves = root.leaves().length;
  if (leaves > 16) return null;
  const width = Math.max(44, leaves * 20);
  const height = 16 + root.height * 15;
  d3.cluster().size([width - 14, height - 18])(root);
  const svg = d3.create('svg').attr('viewBox', `0 0 ${width} ${height}`).attr('width', width).attr('height', height)
    .attr('role', 'img').attr('aria-label', 'sum ' + source);
  // Upside down: partials on top, the sum at the bottom.
  const y = (node) => height - 4 - node.y;
  root.links().forEach(({source: a, target: b}) => svg.append('path')
    .attr('d', `M${a.x + 7},${y(a)}V${(y(a) + y(b) + 6) / 2}H${b.x + 7}V${y(b) + (b.children ? 0 : 2)}`));
  root.leaves().forEach((leaf) => svg.append('text').attr('x', leaf.x + 7).attr('y', 11).attr('text-anchor', 'middle').text(leaf.data));
  return svg.node();
}

// Neighbouring sizes that are added alike, in one row.
function alike(messages) {
  const pattern = (one) => [one.operation, one.dtype, ...one.bands.map(([, end, tree]) => `${Math.round((200 * end) / one.count)}:${tree}`)].join();
  const groups = [];
  for (const one of messages) {
    const last = groups[groups.length - 1];
    if (last && pattern(last[0]) === pattern(one)) last.push(one);
    else groups.push([one]);
  }
  return groups;
}

function orders() {
  const {trees, maps} = data.orders;
  if (!maps.length) return;
  const label = (map) => map.runs.map((run) => runs[run].name).join(', ');
  const place = h('div', {});
  const legend = h('ul', {class: 'trees'});
  const facts = h('p', {class: 'small'});
  const numbers = h('details', {}, h('summary', {}, 'The same as a table'));
  const richest = d3.scan(maps, (a, b) => treesOf(b).length - treesOf(a).length || b.messages.length - a.messages.length);
  const choice = h('select', {onchange: () => draw()}, maps.map((map, i) => h('option', {value: i, selected: i === richest}, label(map))));

  function draw() {
    const map = maps[Number(choice.value)];
    const used = treesOf(map);
    const groups = alike(map.messages);
    const size = (one) => (one.bytes ? bytes(one.count * one.bytes) : text(one.count));
    const width = Math.max(place.clientWidth || 640, 260);
    const names = width < 500 ? 116 : 160;
    const line = 24;
    const w = width - names - 6;
    const svg = d3.create('svg').attr('class', 'plot').attr('viewBox', `0 0 ${width} ${groups.length * line + 30}`)
      .attr('role', 'img').attr('aria-label', `Order map of ${label(map)}: ${plural(map.messages.length, 'message size')}, ${plural(used.length, 'tree')}: ` +
        used.map((t) => (t < 0 ? 'several' : trees[t])).join(', '));
    groups.forEach((group, row) => {
      const message = group[0];
      const span = group.length === 1 ? size(message) : `${size(message)} to ${size(group[group.length - 1])}`;
      svg.append('text').attr('x', names - 8).attr('y', row * line + 16).attr('text-anchor', 'end')
        .text(span);
      message.bands.forEach(([begin, end, tree]) => {
        const [left, wide] = [names + (w * begin) / message.count, (w * (end - begin)) / message.count];
        svg.append('rect').attr('x', left).attr('y', row * line + 2).attr('width', Math.max(wide, 0.4)).attr('height', line - 4).style('fill', treeColour(tree))
          .on('pointermove', () => showTip(d3.event, null, tree < 0 ? 'several trees, too fine to draw' : trees[tree], [
            [null, 'message', group.length === 1 ? span : `${span}, ${group.length} sizes`],
            [null, 'elements', `${text(begin)} to ${text(end - 1)} of ${text(message.count)}` + (group.length > 1 ? ' (of the smallest)' : '')],
            [null, 'sum', `${message.operation}, ${message.dtype}`],
            [null, 'how', [message.algorithm, message.protocol, message.channels && message.channels + ' channels'].filter(Boolean).join(', ') || 'not known'],
            [null, 'known from', message.source]]))
          .on('pointerleave', hideTip);
        if (wide > 18) svg.append('text').attr('class', 'band-name').attr('x', left + wide / 2).attr('y', row * line + 16).attr('text-anchor', 'middle').text(treeName(used, tree));
      });
    });
    svg.append('text').attr('x', names).attr('y', groups.length * line + 18).text('first element');
    svg.append('text').attr('x', width - 6).attr('y', groups.length * line + 18).attr('text-anchor', 'end').text('last');
    place.replaceChildren(svg.node());
    legend.replaceChildren(...used.slice(0, kTreesDrawn).map((tree) => {
      const colourKey = d3.create('svg').attr('width', 34).attr('height', 12).attr('aria-hidden', 'true');
      colourKey.append('rect').attr('width', 34).attr('height', 12).attr('rx', 2).style('fill', treeColour(tree));
      return h('li', {}, tree < 0 ? null : drawTree(trees[tree]), colourKey.node(), h('span', {}, tree < 0 ? null : h('strong', {}, treeName(used, tree) + ' '), h('code', {}, tree < 0 ? 'several, finely mixed' : trees[tree])));
    }));
    const m = map.messages[0];
    facts.textContent = `${m.library} ${m.version}, ${plural(m.ranks, 'rank')}; ${m.source}.` +
      (used.length > 8 ? ' Colours repeat after eight trees.' : '') + (used.length > kTreesDrawn ? ` ${used.length} trees, the first ${kTreesDrawn} are drawn.` : '') +
      (map.all > map.messages.length ? ` ${map.messages.length} of ${map.all} message sizes, evenly chosen.` : '') +
      (m.ranks === 2 ? ' Two shards have one possible order: a + b = b + a. Order cannot explain a difference here.' : '');
    numbers.querySelectorAll('.scroll').forEach((old) => old.remove());
    numbers.append(scrollable('Order map', table(
      [{text: 'elements', n: true}, 'dtype', 'operation', 'algorithm', 'protocol', {text: 'bands', n: true}, 'trees, first bands'],
      map.messages.map((one) => [text(one.count), one.dtype, one.operation, one.algorithm || '–', one.protocol || '–', text(one.segments),
        one.bands.slice(0, 6).map(([begin, end, t]) => `${begin}–${end - 1}: ${t < 0 ? 'several' : trees[t]}`).join('; ') + (one.bands.length > 6 ? '; …' : '')]))));
  }

  section('orders', 'In which order partial sums are added',
    'Every row is a message of the collective, small to large (sizes that are added alike in one row); a colour with a letter is one way of adding the ranks’ partials. Rounding follows the order, so where it changes bits change.',
    maps.length > 1 ? h('div', {class: 'controls'}, h('label', {}, 'Configuration', choice)) : null, place, legend, facts, numbers);
  let width = 0;
  new ResizeObserver(() => { if (Math.abs(place.clientWidth - width) > 2) { width = place.clientWidth; draw(); } }).observe(place);
}
