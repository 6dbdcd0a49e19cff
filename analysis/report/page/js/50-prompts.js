// Every prompt in every configuration: a square each, and what the chosen one stands for.
let pickTokens = null;  // (run, prompt): set by the token section, which has those of prompts that flip

// What a square is drawn as; the signs are those of the answer.
function kindOf(cell) {
  if (!cell) return 'none';
  if (cell[0] >= 0) return 'flip';
  return ['same', 'equal', 'open', 'open', 'numbers'][cell[1]];
}

const kCellMarks = {  // drawn in a box of 10 by 10
  equal: 'M2,5L4.2,7.5L8,2.5',
  numbers: 'M2,3.6L8,3.6M2,6.4L8,6.4',
  same: 'M2,4.1C4,2 6,5.5 8,3.6M2,7.1C4,5 6,8.5 8,6.6',
  open: 'M3.2,3.6C3.2,1.4 6.8,1.4 6.8,3.6C6.8,5 5,5 5,6.4M5,8L5,8.7',
};

function promptGrid() {
  const {prompts} = data.first;
  if (!prompts.length) return;
  const cellOf = (run, prompt) => data.first.runs[run][prompt];
  const row = data.reference.mode === 'score' ? 'row' : 'token';
  const longest = d3.max(data.first.runs, (cells) => d3.max(cells, (cell) => (cell ? cell[2] : 0))) || 1;
  const earliness = (cell) => (cell && cell[0] >= 0 ? 1 - cell[0] / longest : 0);
  const inFile = prompts.map((_, p) => p);
  const sums = inFile.map((p) => d3.sum(data.first.runs, (cells) => earliness(cells[p])));
  const byFlip = inFile.slice().sort((a, b) => sums[b] - sums[a] || a - b);
  let order = byFlip;
  let picked = null;  // {run, prompt}
  const place = h('div', {class: 'scroll'});

  function words(cell) {
    if (!cell) return 'not compared';
    // Free-running answers are not compared beyond it.
    if (cell[0] >= 0) return `another token at ${row} ${text(cell[0] + 1)}` + (cell[2] > cell[0] + 1 ? ` of ${text(cell[2])}` : '');
    return ['same tokens, other bits', 'bit-equal', 'no difference, but rows are missing on one side',
      'same tokens; bits are not known: not every logit was recorded', 'the same numbers, in another dtype'][cell[1]];
  }

  // -- the chosen square ---------------------------------------------------------------------------------------
  const kHint = 'Choose a square to see what it stands for. By keyboard: focus the squares, then arrow keys; Enter reads the tokens of an answer that parts.';
  const panel = h('div', {class: 'picked', role: 'status'}, h('p', {class: 'small hint'}, kHint));
  function numbersOf(cell) {
    const [,, rows, differ, far, farAt, kl, margin, marginAt] = cell;
    if (cell[1] === 1) return [[`${row}s compared`, text(rows), 'bit_equal']];
    if (cell[1] === 4) return [[`${row}s compared`, text(rows), 'same_numbers']];
    if (differ === undefined) return [[`${row}s compared`, text(rows)]];
    const at = (value, place_, unit) => (value === null ? 'NaN' : `${text(value)}${unit} at ${row} ${text(place_ + 1)}`);
    return [[`${row}s with other bits`, `${text(differ)} of ${text(rows)}`, 'bit_equal'], ['largest |Δlogit|', at(far, farAt, ''), 'max_abs'],
      ['mean KL', kl === null ? 'NaN' : text(kl) + ' nats', 'kl'], ['closest call of the reference', margin === 0 ? `exact tie at ${row} ${text(marginAt + 1)}` : at(margin, marginAt, ' logits'), 'margin']];
  }
  function tell() {
    const cell = cellOf(picked.run, picked.prompt);
    const readable = data.tokens.tables.some((one) => one.run === picked.run && one.prompt === prompts[picked.prompt]);
    panel.replaceChildren(
      h('p', {}, swatch(picked.run), ' ', h('strong', {}, `${runs[picked.run].name}, ${prompts[picked.prompt]}`), ': ' + words(cell) + '. ',
        readable ? h('button', {type: 'button', class: 'close', onclick: () => pickTokens(picked.run, prompts[picked.prompt])}, 'Read its tokens') : null),
      cell ? h('dl', {class: 'facts'}, numbersOf(cell).map(([name, value, term]) => h('div', {}, h('dt', {}, name), h('dd', {}, value), term ? ['\u00a0', why(term)] : null))) : '');
  }
  function pick(run, prompt) {
    picked = {run, prompt};
    tell();
    frame();
  }

  // -- the squares ---------------------------------------------------------------------------------------------
  const visible = () => runs.map((_, i) => i).filter((i) => shown.has(i));
  let drawn = null;  // {svg, names, size, line}
  function frame() {
    if (!drawn) return;
    const i = picked ? visible().indexOf(picked.run) : -1;
    drawn.frame.attr('display', i < 0 ? 'none' : null);
    if (i < 0) return;
    drawn.frame.attr('x', drawn.names + order.indexOf(picked.prompt) * drawn.size).attr('y', i * drawn.line + 2)
      .attr('width', drawn.size).attr('height', drawn.line - 2);
    drawn.frame.node().scrollIntoView({block: 'nearest', inline: 'nearest'});
  }
  function keyed(event) {
    const by = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]}[event.key];
    const rows = visible();
    if (by) {
      event.preventDefault();
      const i = picked ? rows.indexOf(picked.run) : -1;
      if (i < 0) return pick(rows[0], order[0]);
      const limited = (value, count) => Math.max(0, Math.min(count - 1, value));
      pick(rows[limited(i + by[1], rows.length)], order[limited(order.indexOf(picked.prompt) + by[0], order.length)]);
    } else if ((event.key === 'Enter' || event.key === ' ') && picked) {
      event.preventDefault();
      if (pickTokens) pickTokens(picked.run, prompts[picked.prompt]);
    }
  }

  function draw() {
    const rows = visible();
    const names = place.clientWidth < 500 ? 92 : 150;
    const letters = Math.floor(names / 7.2);
    const room = Math.max(place.clientWidth - names - 8, 120);
    const size = Math.max(12, Math.min(24, Math.floor(room / prompts.length)));
    const line = 24;
    const width = names + size * prompts.length + 4;
    place.classList.toggle('wide', width > place.clientWidth);
    const svg = d3.create('svg').attr('class', 'squares').attr('width', width).attr('height', rows.length * line + 6)
      .attr('role', 'application').attr('tabindex', 0).attr('aria-label', 'Squares, prompts by configuration. Arrow keys choose one. ' + rows.map((run) =>
        `${runs[run].name}: ${data.first.runs[run].filter((cell) => cell && cell[0] >= 0).length} of ${prompts.length} prompts flip`).join('; '));
    rows.forEach((run, i) => {
      const name = svg.append('text').attr('x', names - 8).attr('y', i * line + 17).attr('text-anchor', 'end')
        .text(runs[run].name.length > letters ? runs[run].name.slice(0, letters - 1) + '…' : runs[run].name);
      name.append('title').text(runs[run].name);
      const bars = [];
      const marks = [];
      order.forEach((prompt, column) => {
        const cell = cellOf(run, prompt);
        const kind = kindOf(cell);
        const [x, y] = [names + column * size, i * line + 2];
        svg.append('rect').attr('class', 'grid-cell ' + kind).attr('x', x).attr('y', y).attr('width', size).attr('height', line - 2)
          .on('pointermove', () => showTip(d3.event, null, prompts[prompt], [[run, runs[run].name, words(cell)]]))
          .on('pointerleave', hideTip)
          .on('click', () => { hideTip(); pick(run, prompt); });
        if (kind === 'flip') bars.push(barPath(x, y, size, line - 2, earliness(cell)));
        if (kCellMarks[kind]) marks.push(markPath(kind, x + size / 2 - 5, y + (line - 2) / 2 - 5));
      });
      svg.append('path').attr('class', 'grid-bar').attr('d', bars.join(''));
      svg.append('path').attr('class', 'grid-mark').attr('d', marks.join(''));
    });
    drawn = {names, size, line, frame: svg.append('rect').attr('class', 'grid-frame')};
    svg.on('keydown', () => keyed(d3.event)).on('focus', () => { if (!picked && rows.length) pick(rows[0], order[0]); });
    const focused = place.contains(document.activeElement);
    place.replaceChildren(svg.node());
    if (focused) svg.node().focus();
    frame();
  }

  const key = (kind, early, name) => {
    const svg = d3.create('svg').attr('width', 16).attr('height', 16).attr('aria-hidden', 'true');
    svg.append('rect').attr('class', 'grid-cell ' + kind).attr('width', 16).attr('height', 16);
    if (early) svg.append('path').attr('class', 'grid-bar').attr('d', barPath(0, 0, 16, 16, early));
    if (kCellMarks[kind]) svg.append('path').attr('class', 'grid-mark').attr('d', markPath(kind, 3, 3));
    return h('li', {}, svg.node(), name);
  };
  const seen = (kind) => data.first.runs.some((cells) => cells.some((cell) => kindOf(cell) === kind));
  const choice = h('select', {onchange: () => { order = choice.value === 'file' ? inFile : byFlip; draw(); }},
    h('option', {value: 'flip'}, 'earliest flips first'), h('option', {value: 'file'}, 'as in the prompts file'));
  const details = h('details', {ontoggle: () => {
    if (!details.open || details.children.length > 1) return;
    details.append(scrollable('Prompts by configuration', table(['Prompt', ...runs.map((run) => run.name)],
      prompts.map((id, p) => [id, ...runs.map((_, run) => words(cellOf(run, p)))]), {class: 'sticky', rowHeads: true})));
  }}, h('summary', {}, 'The same as a table'));
  section('prompts', 'Every prompt in every configuration', 'One column a prompt. A red bar: the answer parts from the reference’s; the higher, the earlier.',
    h('div', {class: 'controls'}, h('label', {}, 'Prompts', choice)), place,
    h('ul', {class: 'keys'}, key('equal', 0, 'bit-equal'), key('same', 0, 'same tokens, other bits'), seen('numbers') ? key('numbers', 0, 'same numbers, another dtype') : null, seen('open') ? key('open', 0, 'same tokens, bits not known') : null,
      key('flip', 0.1, 'parts late'), key('flip', 1, 'parts early'), seen('none') ? key('none', 0, 'not compared') : null), panel, details);
  redraws.push(draw);
  let width = 0;
  new ResizeObserver(() => { if (Math.abs(place.clientWidth - width) > 2) { width = place.clientWidth; draw(); } }).observe(place);
}

function markPath(kind, x, y) {
  let across = false;
  return kCellMarks[kind].replace(/[\d.]+/g, (value) => { across = !across; return (Number(value) + (across ? x : y)).toFixed(1); });
}

// From the bottom up, never so low that it is no bar.
function barPath(x, y, width, height, part) {
  const tall = Math.max(3, Math.round((height - 2) * (0.15 + 0.85 * part)));
  return `M${x + 1},${y + height - 1}v${-tall}h${width - 2}v${tall}z`;
}
