// How far apart logits are, by place in the sequence.
const kMetrics = {
  kl: ['KL divergence', 'KL(reference ‖ candidate), nats'],
  max_abs: ['Largest |Δlogit|', 'max |Δlogit| of a row'],
  rms: ['RMS Δlogit', 'RMS Δlogit of a row'],
  max_ulp: ['Largest distance in ULP', 'ULP, largest of a row'],
  tv: ['Total variation', 'total variation, percent', (v) => chance(v)],
  delta_p: ['|Δp| of the chosen token', '|Δp| of the reference’s token, percent', (v) => chance(v)],
};

// what, x axis
const kAlong = {
  step: ['token', {label: data.reference && data.reference.mode === 'score' ? 'row of the text' : 'generated token', kind: 'linear', whole: true}, 'by token'],
  position: ['position in the whole text', {label: 'position in the whole text', kind: 'linear', whole: true}, 'by position'],
  length: ['prompt length (the pass over the prompt)', {label: 'tokens of the prompt', kind: 'log'}, 'by prompt length'],
};

function positions() {
  if (!data.positions.step.runs.length) return;
  let axis = 'step';

  function figure(first) {
    const choice = h('select', {'aria-label': 'What is drawn', onchange: () => restart()},
      Object.entries(kMetrics).map(([key, [name]]) => h('option', {value: key, selected: key === first}, name)));
    const holder = h('div', {});
    let drawn = null;
    function restart() {
      if (drawn) redraws.splice(redraws.indexOf(drawn), 1);
      const metric = choice.value;
      const [name, label, format] = kMetrics[metric];
      const node = plot({
        id: 'position-' + metric, what: `${name} ${kAlong[axis][2]}`, interval: '10th to 90th percentile', x: kAlong[axis][1], y: {label, kind: 'log', format},
        series: () => data.positions[axis].runs.map((one) => ({run: one.run, name: runs[one.run].name, kind: 'line', points: points(one[metric])})),
      });
      drawn = redraws[redraws.length - 1];
      holder.replaceChildren(h('div', {class: 'controls'}, h('label', {}, 'Show', choice)), node);
    }
    restart();
    return {holder, restart};
  }
  const points = (values) => data.positions[axis].x.map((x, i) => [x, values.median[i], values.low[i], values.high[i]]).filter(hasPlace);

  const figures = [figure('kl'), figure('max_abs')];
  const offered = Object.keys(kAlong).filter((key) => data.positions[key].runs.length && (key !== 'length' || data.positions.length.x.length > 2));
  const select = h('select', {onchange: () => { axis = select.value; figures.forEach((one) => one.restart()); }},
    offered.map((key) => h('option', {value: key}, kAlong[key][0])));
  const {width} = data.positions.step;
  section('positions', 'How far apart, and where',
    'Line: median over prompts; shaded: 10th to 90th percentile. The size of the difference is on a logarithmic axis; rows of exactly equal bits lie on 0.' +
    ' Tokens and positions are counted from 1.' + (width > 1 ? ` Rows are drawn in groups of ${width}.` : ''),
    h('div', {class: 'controls'}, h('label', {}, 'Along', select)),
    h('div', {class: 'plots'}, figures.map((one) => one.holder)));
}
