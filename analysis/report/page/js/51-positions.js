// How far apart logits are, by place in the sequence.
const kMetrics = {
  kl: ['KL divergence', 'KL(reference ‖ candidate), nats'],
  max_abs: ['Largest |Δlogit|', 'max |Δlogit| of a row'],
  rms: ['RMS Δlogit', 'RMS Δlogit of a row'],
  max_ulp: ['Largest distance in ULP', 'ULP, largest of a row'],
  tv: ['Total variation', 'total variation, 0 to 1'],
  delta_p: ['|Δp| of the chosen token', '|Δp| of the reference’s token'],
};

function positions() {
  if (!data.positions.step.runs.length) return;
  let axis = 'step';
  const figures = [];

  function figure(first) {
    const choice = h('select', {'aria-label': 'What is drawn', onchange: () => restart()},
      Object.entries(kMetrics).map(([key, [name]]) => h('option', {value: key, selected: key === first}, name)));
    const holder = h('div', {});
    let now = null;
    function restart() {
      if (now) redraws.splice(redraws.indexOf(now.draw), 1);
      const metric = choice.value;
      const node = plot({
        id: 'position-' + metric, what: kMetrics[metric][0] + (axis === 'step' ? ' by row' : ' by position'), interval: '10th to 90th percentile',
        x: {label: axis === 'step' ? 'row of the record' : 'position in the sequence', kind: 'linear', whole: true},
        y: {label: kMetrics[metric][1], kind: 'log'},
        series: () => data.positions[axis].runs.map((one) => ({run: one.run, name: runs[one.run].name, kind: 'line', points: points(one[metric])})),
      });
      now = {draw: redraws[redraws.length - 1]};
      holder.replaceChildren(h('div', {class: 'controls'}, h('label', {}, 'Show', choice)), node);
    }
    restart();
    return {holder, restart};
  }
  function points(values) {
    const {begin, width} = data.positions[axis];
    return values.median.map((median, bin) => [begin + bin * width + (width - 1) / 2, median, values.low[bin], values.high[bin]])
      .filter((p) => p[1] !== null);
  }

  figures.push(figure('kl'), figure('max_abs'));
  const select = h('select', {onchange: () => { axis = select.value; figures.forEach((one) => one.restart()); }},
    h('option', {value: 'step'}, 'row (generated token)'), h('option', {value: 'position'}, 'position in the sequence'));
  const {width} = data.positions.step;
  section('positions', 'How far apart, and where',
    'Line: median over prompts; shaded: 10th to 90th percentile. Both axes of size are logarithmic; rows of exactly equal bits lie on 0.' +
    (width > 1 ? ` Rows are drawn in groups of ${width}.` : ''),
    h('div', {class: 'controls'}, h('label', {}, 'Along', select)),
    h('div', {class: 'plots'}, figures.map((one) => one.holder)));
}
