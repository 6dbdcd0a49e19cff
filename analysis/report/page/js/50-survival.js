// How long answers stay the same, and every prompt in every configuration.
function survival() {
  if (!data.survival.length) return;
  // A forecast may reach far beyond what was run: drawn as far again.
  const longest = d3.max(data.survival, (one) => d3.max(one.measured, (p) => p[0]));
  const series = () => data.survival.flatMap((one) => {
    const list = [{run: one.run, name: runs[one.run].name, kind: 'step', points: one.measured}];
    // Beyond the longest text the model of the flip law alone speaks.
    const near = one.predicted.filter((p) => p[0] <= 2 * longest);
    const inside = near.filter((p) => !p[4]);
    const beyond = near.filter((p) => p[4]);
    const add = (name, dash, points) => points.length && list.push({run: one.run, name: runs[one.run].name + name, kind: 'line', dash, points, band: false, dots: false});
    add(', predicted', '1 5', inside);
    add(', extrapolated', '1 9', beyond.length ? [...inside.slice(-1), ...beyond] : []);
    return list;
  });
  const end = (one) => one.measured[one.measured.length - 1];
  section('survival', 'How long do answers stay the same?',
    'The share of prompts whose tokens so far are all the reference’s. 100% to the end: scale-out changed no word.',
    plot({
      id: 'survival', what: 'Prompts still identical', height: 340, interval: kInterval, series,
      reading: 'A line that falls early: many answers part soon. Shaded: ' + kInterval + ' over prompts.' +
        (data.survival.some((one) => one.predicted.length) ? ' Dotted: what the flip law predicts from margins alone; thinly dotted: extrapolated, beyond the longest answer.' : ''),
      x: {label: 'tokens generated', kind: 'linear', whole: true}, y: {label: 'share of prompts', kind: 'linear', low: 0, high: 1, format: percent},
      describe: () => data.survival.filter((one) => shown.has(one.run) && one.measured.length).map((one) =>
        `${runs[one.run].name}: ${percent(end(one)[1])} after ${text(end(one)[0])} tokens.`).join(' '),
    }));
}

let pickTokens = null;  // (run, prompt): set by the token section

function promptGrid() {
  const {prompts} = data.first;
  if (!prompts.length) return;
  const longest = d3.max(data.first.runs, (row) => d3.max(row, (cell) => (cell ? cell[2] : 0))) || 1;
  const earliness = (cell) => (cell && cell[0] >= 0 ? 1 - cell[0] / longest : 0);
  const byFlip = prompts.map((_, p) => p);
  byFlip.sort((a, b) => d3.sum(data.first.runs, (row) => earliness(row[b])) - d3.sum(data.first.runs, (row) => earliness(row[a])) || a - b);
  let order = byFlip;
  const place = h('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Every prompt in every configuration'});
  const words = (cell) => (!cell ? 'not compared' : cell[0] >= 0 ? `another token at token ${text(cell[0] + 1)} of ${text(cell[2])}`
    : cell[1] === 1 ? 'bit-equal' : cell[1] === 2 ? 'no difference, but rows are missing on one side' : 'same tokens, other bits');

  function draw() {
    const visible = runs.map((_, i) => i).filter((i) => shown.has(i));
    const names = place.clientWidth < 500 ? 92 : 150;
    const letters = Math.floor(names / 7.2);
    const room = Math.max(place.clientWidth - names - 8, 120);
    const size = Math.max(9, Math.min(22, Math.floor(room / prompts.length)));
    const line = 20;
    const width = names + size * prompts.length + 4;
    const height = visible.length * line + 6;
    const svg = d3.create('svg').attr('viewBox', `0 0 ${width} ${height}`).attr('width', width).attr('height', height)
      .attr('role', 'img').attr('aria-label', 'Prompts by configuration: ' + visible.map((run) =>
        `${runs[run].name}: ${data.first.runs[run].filter((cell) => cell && cell[0] >= 0).length} of ${prompts.length} prompts flip`).join('; '));
    visible.forEach((run, row) => {
      svg.append('text').attr('x', names - 8).attr('y', row * line + 15).attr('text-anchor', 'end')
        .text(runs[run].name.length > letters ? runs[run].name.slice(0, letters - 1) + '…' : runs[run].name);
      order.forEach((prompt, column) => {
        const cell = data.first.runs[run][prompt];
        const kind = !cell ? 'none' : cell[0] >= 0 ? 'flip' : cell[1] === 1 ? 'equal' : 'same';
        svg.append('rect').attr('class', 'grid-cell ' + kind).attr('x', names + column * size).attr('y', row * line + 2)
          .attr('width', size).attr('height', line - 2)
          .style('opacity', kind === 'flip' ? 0.25 + 0.75 * earliness(cell) ** 1.5 : null)
          .on('pointermove', () => showTip(d3.event, null, prompts[prompt], [[run, runs[run].name, words(cell)]]))
          .on('pointerleave', hideTip)
          .on('click', () => { if (pickTokens) pickTokens(run, prompts[prompt]); });
      });
    });
    place.replaceChildren(svg.node());
    place.style.maxWidth = '100%';
  }

  const key = (kind, opacity, words) => {
    const svg = d3.create('svg').attr('width', 14).attr('height', 14).attr('aria-hidden', 'true');
    svg.append('rect').attr('class', 'grid-cell ' + kind).attr('width', 14).attr('height', 14).style('opacity', opacity);
    return h('li', {}, svg.node(), words);
  };
  const choice = h('select', {onchange: () => { order = choice.value === 'file' ? prompts.map((_, p) => p) : byFlip; draw(); }},
    h('option', {value: 'flip'}, 'earliest flips first'), h('option', {value: 'file'}, 'as in the prompts file'));
  const details = h('details', {ontoggle: () => {
    if (!details.open || details.children.length > 1) return;
    details.append(scrollable('Prompts by configuration', table(['Prompt', ...runs.map((run) => run.name)],
      prompts.map((id, p) => [id, ...runs.map((_, run) => words(data.first.runs[run][p]))]), {class: 'sticky', rowHeads: true})));
  }}, h('summary', {}, 'The same as a table'));
  section('prompts', 'Every prompt in every configuration', 'One column a prompt. The darker, the earlier the answer parts from the reference’s; choose a square to read its tokens.',
    h('div', {class: 'controls'}, h('label', {}, 'Prompts', choice)), place,
    h('ul', {class: 'keys'}, key('equal', null, 'bit-equal'), key('same', null, 'same tokens, other bits'),
      key('flip', 0.3, 'parts late'), key('flip', 1, 'parts early'), key('none', null, 'not compared')), details);
  redraws.push(draw);
  let width = 0;
  new ResizeObserver(() => { if (Math.abs(place.clientWidth - width) > 2) { width = place.clientWidth; draw(); } }).observe(place);
}
