// What speed costs in agreement: tokens/s against divergence, and which configurations no other beats in both.
function speedPlot() {
  const reference = data.reference.decode_speed;
  const judged = runs.map((run, i) => ({i, run, speed: run.decode_speed, kl: run.kl && run.kl.mean}));
  // Times of which nothing is claimed (costOf) are no place on an axis.
  const timed = judged.filter((one) => one.run.verdict && one.run.verdict.cost_range && one.speed > 0 && one.kl && one.kl[0] !== null);
  if (!timed.length || !(reference > 0)) return;
  const points = [{i: null, speed: reference, kl: [0]}, ...timed];
  const beats = (a, b) => a.speed >= b.speed && a.kl[0] <= b.kl[0] && (a.speed > b.speed || a.kl[0] < b.kl[0]);
  const front = (all) => all.filter((one) => !all.some((other) => beats(other, one))).sort((a, b) => a.speed - b.speed || a.kl[0] - b.kl[0]);
  // A staircase: for a speed between two of them, the next faster one is the nearest to be had.
  const stairs = (all) => front(all).flatMap((one, k, list) => (k ? [[list[k - 1].speed, one.kl[0]], [one.speed, one.kl[0]]] : [[one.speed, one.kl[0]]]));
  const drawn = () => points.filter((one) => one.i === null || shown.has(one.i));
  const tell = (one) => (p) => [[null, 'cost', `${text(one.run.verdict.cost_range[0])}× (${text(one.run.verdict.cost_range[1], 2)} to ${text(one.run.verdict.cost_range[2], 2)})`],
    [null, 'devices', text(devicesOf(one.run))]];

  // Names beside the marks, to whichever side has room, one below the other where marks are near.
  function names({front: layer, X, Y, w, h: height}) {
    if (w < 420) return;
    const kLine = 14;
    let lowest = -kLine;
    drawn().map((one) => ({one, px: X(one.speed), py: Y(one.kl[0])})).filter((at) => at.px >= 0 && at.px <= w).sort((a, b) => a.py - b.py).forEach((at) => {
      const y = lowest = Math.min(Math.max(at.py + 4, lowest + kLine), height - 2);
      const name = at.one.i === null ? data.reference.name : at.one.run.name;
      const left = at.px > w - 130;
      layer.append('text').attr('class', 'ending').attr('x', at.px + (left ? -9 : 9)).attr('y', y).attr('text-anchor', left ? 'end' : 'start')
        .text(name.length > 18 ? name.slice(0, 17) + '…' : name);
    });
  }

  const without = judged.filter((one) => !timed.includes(one)).map((one) => `${one.run.name} (${leftOut(one)})`);
  section('speed', 'Faster, but how far away?',
    'One mark a configuration: to the right it is faster, below it is nearer to the reference’s probabilities. Replicas run other prompts meanwhile, and count as one here.',
    plot({
      id: 'speed', what: 'Speed and divergence', height: 340, interval: kInterval,
      reading: 'Left of the reference and above it there is nothing to gain: slower, and other numbers. Dashed: what is left when all that another configuration beats in both is taken away ' +
        '(the Pareto front), by the middle of each estimate.',
      x: {label: 'tokens/s of one replica', kind: 'linear', low: 0, high: 1.08 * d3.max(points, (one) => one.speed)}, y: {label: 'mean KL divergence, nats', kind: 'log'},
      series: () => [
        {run: null, name: 'no other is both faster and nearer', kind: 'line', points: stairs(drawn()), dots: false, marked: false},
        {run: null, name: `${data.reference.name} (reference)`, kind: 'points', points: [[reference, 0]], radius: 5},
        ...timed.map((one) => ({run: one.i, name: one.run.name, kind: 'points', points: [[one.speed, ...one.kl]], symbol: 'run', radius: 4.5, whiskers: true, tell: tell(one)})),
      ],
      over: names,
      describe: () => `On the front: ${front(drawn()).map((one) => (one.i === null ? data.reference.name : one.run.name)).join(', ')}.`,
    }),
    without.length ? h('p', {class: 'small'}, `Left out: ${without.join('; ')}.`) : null);
}

// Why a configuration has no place in the plot above.
function leftOut({run, kl}) {
  if (!run.verdict) return 'its configuration is the reference’s';
  if (run.verdict.cost_unclear) return run.verdict.cost_unclear;
  if (run.verdict.cost_unknown) return run.verdict.cost_unknown;
  return kl ? 'no speed is known' : 'no divergence is known';
}
