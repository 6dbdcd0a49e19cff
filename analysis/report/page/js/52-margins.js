// Why tokens flip: the reference was nearly undecided there.
const kFewRows = 10;  // say nothing about a share

function margins() {
  const {scatter, laws} = data.margins;
  if (!scatter.length) return;
  const name = (run) => runs[run].name;
  const first = plot({
    id: 'margins', what: 'Margin and difference of every row', height: 360,
    reading: 'One dot a row. Crosses: another token was chosen; rings: the same, but with an exact tie in one of the runs. In the shaded corner no flip is possible: two logits ' +
      'can close a gap only if together they move by as much, so a flip needs max |Δlogit| ≥ margin / 2.',
    x: {label: 'margin of the reference: top-1 minus top-2 logit', kind: 'log'}, y: {label: 'max |Δlogit| of the row', kind: 'log'},
    series: () => scatter.flatMap((one) => {
      const tell = (p) => [[null, 'prompt', p[3]], [null, data.reference.mode === 'score' ? 'row' : 'token', text(p[4] + 1)]];
      return [
        {run: one.run, name: name(one.run), kind: 'points', points: one.kept, radius: 2, opacity: 0.35},
        {run: one.run, name: name(one.run) + ': another token', kind: 'points', points: one.flips.filter((p) => !p[2]), symbol: 'cross', radius: 3.5, tell},
        {run: one.run, name: name(one.run) + ': another token, tie', kind: 'points', points: one.flips.filter((p) => p[2]), symbol: 'ring', radius: 4, tell},
      ];
    }),
    under: ({body, X, Y, w, h: height, x}) => {
      const steps = d3.range(0, w + 1, 4).map((px) => [px, x.from(px)]).filter(([, v]) => v > 0);
      if (!steps.length) return;
      body.append('path').attr('class', 'zone').attr('d', 'M' + steps.map(([, v]) => `${X(v)},${Math.min(Y(v / 2), height)}`).join('L') +
        `L${X(steps[steps.length - 1][1])},${height}L${X(steps[0][1])},${height}Z`);
    },
    describe: () => scatter.filter((one) => shown.has(one.run)).map((one) =>
      `${name(one.run)}: ${one.flips.length} of ${one.rows} differing rows flip.`).join(' '),
  });
  const figures = [];
  const counts = (p) => [[null, 'rows', `${text(p[4])} of ${text(p[5])} flip`]];
  if (laws.some((law) => law.observed.length || law.fitted.length)) {
    figures.push(plot({
      id: 'flip-law', dodge: true, what: 'Probability of a flip by margin', interval: kInterval, height: 360,
      reading: 'Points: share of rows that flipped, side by side where they have one margin. Line: the flip law, for a row whose difference is of the usual size. Exact ties are left out.',
      x: {label: 'margin of the reference, logits', kind: 'log'}, y: {label: 'share of rows that flip', kind: 'linear', low: 0, format: percent},
      series: () => laws.flatMap((law) => [
        {run: law.run, name: name(law.run) + ', law', kind: 'line', points: law.fitted, dots: false, marked: false},
        {run: law.run, name: name(law.run) + ', counted', kind: 'points', points: law.observed, symbol: 'run', radius: 3.5, whiskers: true, tell: counts},
      ]),
    }));
  }
  if (laws.some((law) => law.calibration.length)) {
    figures.push(plot({
      id: 'calibration', square: true, what: 'Is the law right? Predicted against counted', interval: kInterval, height: 360,
      reading: `Every prompt predicted by a law fitted on others. On the diagonal: what it says happens as often as it says. Groups of fewer than ${kFewRows} rows are not drawn.`,
      x: {label: 'predicted probability of a flip', kind: 'linear', low: 0, format: percent},
      y: {label: 'counted share', kind: 'linear', low: 0, format: percent},
      series: () => laws.map((law) => ({run: law.run, name: name(law.run), kind: 'points', points: law.calibration.filter((p) => p[5] >= kFewRows), symbol: 'run', whiskers: true, radius: 3.5, tell: counts})),
      under: ({body, X, Y}) => body.append('path').attr('class', 'rule').attr('d', `M${X(0)},${Y(0)}L${X(1)},${Y(1)}`),
    }));
  }
  const sampled = scatter.some((one) => one.rows > one.kept.length + one.flips.length);
  const node = section('margins', 'Why tokens flip: near-ties',
    'A token changes where the reference hardly preferred it and the difference was large enough to turn the choice.' +
    (sampled ? ' Of rows that keep their token, an even sample is drawn; all flips are.' : ''),
    first, figures.length ? h('div', {class: 'plots'}, figures) : null);
  if (!laws.length) return;
  const rows = laws.map((law) => [runLabel(law.run), h('code', {}, law.formula), `${text(law.tie_flips[0])} of ${text(law.tie_flips[1])}`,
    law.held_out ? `${text(law.held_out.expected)} / ${text(law.held_out.flips)}` : null,
    law.held_out ? `${text(law.held_out.brier)} (${text(law.held_out.brier_base)})` : null]);
  node.append(h('details', {}, h('summary', {}, 'The fitted laws'), scrollable('Flip laws', table(
    ['Configuration', {text: 'Law', why: 'law'}, {text: 'flips at exact ties', n: true, why: 'tie'}, {text: 'flips expected / seen on held-out prompts', n: true, why: 'held_out'},
      {text: 'Brier score (of the base rate)', n: true, why: 'brier'}], rows, {rowHeads: true, cards: true}))));
}
