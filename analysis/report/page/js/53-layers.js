// Where the difference comes from: growth through the layers, and the explanation ladder.
function layers() {
  const {growth, routes, ladders} = data.layers;
  if (growth.length) {
    section('growth', 'Where the difference grows', 'Relative to the size of the residual stream, after so many layers; 0 is the embedding, 1 is after layer 0.',
      plot({
        id: 'growth', what: 'Difference by layer', interval: '10th to 90th percentile', height: 340,
        reading: 'The first point above 0 is where bits first differ. A jump names a layer that amplifies.',
        x: {label: 'layers run', kind: 'linear', whole: true}, y: {label: 'RMS of the difference / RMS of the reference', kind: 'log'},
        series: () => growth.map((one) => ({run: one.run, name: runs[one.run].name, kind: 'line', points: one.layers})),
      }));
  }
  if (routes.length) {
    section('routes', 'Which experts tokens go to', 'The share of tokens that a layer sends to another set of experts than in the reference. Every token counts that both were fed alike, those of the prompts too.',
      plot({
        id: 'routes', what: 'Flipped routes by layer', height: 340,
        reading: 'A flipped route replaces a whole expert’s output: it moves more than drifted weights of the same experts do.',
        x: {label: 'layer', kind: 'linear', whole: true}, y: {label: 'tokens sent to other experts', kind: 'linear', low: 0, format: (v) => chance(v)},
        series: () => routes.map((one) => ({run: one.run, name: runs[one.run].name, kind: 'line', points: one.layers})),
      }),
      h('ul', {}, routes.map((one) => h('li', {}, runLabel(one.run), ': ' + chance(one.tokens) + ' of tokens in some layer; where the experts are the same, their weights differ by at most ' + text(one.drift)))));
  }
  if (!ladders.length) return;
  const blocks = ladders.map((ladder) => h('div', {}, h('h3', {}, runLabel(ladder.run)),
    ladder.rungs.map((rung) => h('div', {class: 'rung'}, h('span', {}, rung.name), barOf(rung.share),
      h('span', {class: 'n'}, rung.share === null ? '–' : percent(rung.share)), rung.meaning ? h('span', {class: 'small'}, rung.meaning) : null)),
    h('p', {class: 'small'}, 'Left over: ' + ladder.residue)));
  section('ladder', 'What causes it', 'One thing changed at a time, from the reference to the run. Bars: the square of each step, of the sum of all steps’ squares; steps do not add up to the whole difference.', ...blocks);
}

function barOf(part) {
  const fill = h('i', {});
  fill.style.width = 100 * Math.max(0, Math.min(1, part || 0)) + '%';
  return h('span', {class: 'bar', 'aria-hidden': 'true'}, fill);
}
