// How long answers stay the same.
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
  const drawn = () => data.survival.filter((one) => shown.has(one.run) && one.measured.length);
  // Lines that are the same from end to end, by name: dashes in turn do not say which.
  function alike() {
    const groups = new Map();
    for (const one of drawn()) {
      const curve = one.measured.map((p) => p.slice(0, 2)).join();
      groups.set(curve, [...(groups.get(curve) || []), one]);
    }
    return [...groups.values()].filter((group) => group.length > 1).map((group) => group.map((one) => runs[one.run].name).join(' = ') + ` (${percent(end(group[0])[1])} at the end)`);
  }
  // At the end of each line its name; those that end alike together, one below the other where ends are near.
  const kNames = 190;  // pixels, beside a plot that is wide enough for them
  const kLetters = 18;
  const beyond = data.survival.some((one) => one.predicted.some((p) => p[0] > longest));  // there is room in the plot
  function endings({front, X, Y, w, h: height}) {
    if (w < 500) return;
    const groups = new Map();
    for (const one of drawn()) {
      const place = end(one).slice(0, 2).join();
      groups.set(place, [...(groups.get(place) || []), one]);
    }
    const labels = [...groups.values()].map((group) => {
      const names = group.map((one) => runs[one.run].name).join(', ');
      const short = names.length + 1.5 * group.length <= kLetters + 2 ? names : group.length > 1 ? `${group.length} configurations` : names.slice(0, kLetters - 1) + '…';
      return {group, px: X(end(group[0])[0]), py: Y(end(group[0])[1]), words: `${short}: ${percent(end(group[0])[1])}`};
    }).filter((label) => label.px >= 0 && label.px <= w + 1).sort((a, b) => a.py - b.py);
    const kLine = 15;
    let lowest = -kLine;
    labels.forEach((label) => { label.y = lowest = Math.max(label.py + 4, lowest + kLine); });
    let highest = height;
    labels.reverse().forEach((label) => { label.y = highest = Math.min(label.y, highest); highest -= kLine; });
    for (const {group, px, y, words} of labels) {
      group.forEach((one, i) => front.append('path').attr('class', 'mark').style('fill', colour(one.run)).attr('d', markOf(one.run, px + 9 + 10 * i, y - 4, 4)));
      front.append('text').attr('class', 'ending').attr('x', px + 6 + 10 * group.length).attr('y', y).text(words);
    }
  }
  const same = h('p', {class: 'small same-lines', role: 'status'});
  const tellSame = () => {
    const list = alike();
    same.hidden = !list.length;
    same.textContent = 'On one line, drawn with dashes in turn: ' + list.join('; ') + '.';
  };
  redraws.push(tellSame);
  tellSame();
  const node = section('survival', 'How long do answers stay the same?',
    'The share of prompts whose tokens so far are all the reference’s. 100% to the end: scale-out changed no word.',
    plot({
      id: 'survival', what: 'Prompts still identical', height: 340, interval: kInterval, series,
      reading: 'A line that falls early: many answers part soon. Shaded: ' + kInterval + ' over prompts.' +
        (data.survival.some((one) => one.predicted.length) ? ' Dotted: what the flip law predicts from margins alone; thinly dotted: extrapolated, beyond the longest answer.' : ''),
      x: {label: 'tokens generated', kind: 'linear', whole: true}, y: {label: 'share of prompts', kind: 'linear', low: 0, high: 1, format: percent},
      over: endings, right: (width) => (width > 600 && !beyond ? kNames : 14),
      describe: () => drawn().map((one) => `${runs[one.run].name}: ${percent(end(one)[1])} after ${text(end(one)[0])} tokens.`).join(' '),
    }));
  node.querySelector('figure > details').before(same);
}
