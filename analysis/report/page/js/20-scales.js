// Axes as plain objects over D3's scales: to(value) -> pixel, from(pixel) -> value, ticks(low, high, count).
function linearScale(low, high, from, to, whole) {
  const scale = d3.scaleLinear().domain([low, high]).range([from, to]);
  return {
    to: scale,
    from: scale.invert,
    ticks: (a, b, count) => d3.ticks(a, b, count).filter((t) => !whole || Number.isInteger(t)),
    format: (t) => text(t, 6),
  };
}

// Logarithmic, with a place of its own for zero: bit-equal rows and exact ties are data, not gaps.
function logScale(low, high, hasZero, from, to) {
  const gutter = hasZero ? Math.sign(to - from) * 24 : 0;
  const zero = from + gutter / 3;
  const scale = d3.scaleLog().domain([low, high]).range([from + gutter, to]);
  return {
    to: (v) => (v > 0 ? scale(v) : zero),
    from: (px) => (hasZero && Math.abs(px - from) < Math.abs(gutter) * 0.7 ? 0 : scale.invert(px)),
    ticks: (a, b, count) => {
      const bottom = Math.max(a, low);
      const decades = Math.log10(b / bottom);
      const all = d3.scaleLog().domain([bottom, b]).ticks(count);
      const step = Math.max(1, Math.ceil(decades / count));
      const fits = (t) => {
        const exponent = Math.round(Math.log10(t));
        const power = Math.abs(t / 10 ** exponent - 1) < 1e-9;
        if (decades >= 2.5) return power && exponent % step === 0;
        return power || decades < 1.2 || Math.abs(t / 10 ** Math.floor(Math.log10(t)) - 3) < 1e-9;
      };
      const chosen = all.filter(fits);
      const round = (t) => [1, 2, 5].includes(Math.round(t / 10 ** Math.floor(Math.log10(t) + 1e-9)));
      const ticks = chosen.length > count + 2 ? chosen.filter(round) : chosen;
      return hasZero && a <= low ? [0, ...ticks] : ticks;
    },
    format: (t) => text(t, 3),
  };
}

// The axis that holds all values: {kind: 'linear' | 'log', whole, low, high}; from and to: pixels of its ends.
function scaleFor(axis, values, from, to) {
  const known = values.filter((v) => v !== null && Number.isFinite(v));
  if (axis.kind === 'log') {
    const positive = known.filter((v) => v > 0);
    const low = d3.min(positive) || 0.1;
    const high = d3.max(positive) || 1;
    const pad = Math.max((high / low) ** 0.04, 1.08);
    const scale = logScale(low / pad, high * pad, known.some((v) => v <= 0), from, to);
    return positive.length ? scale : {...scale, allZero: true, ticks: () => [0]};  // no sizes to tell
  }
  let low = axis.low !== undefined ? axis.low : d3.min(known) || 0;
  let high = axis.high !== undefined ? axis.high : d3.max(known) || 1;
  if (!(high > low)) { low -= 0.5; high += 0.5; }
  return linearScale(low, high, from, to, axis.whole);
}
