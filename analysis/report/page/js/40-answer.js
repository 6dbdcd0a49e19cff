// Facts, what lies below the answer, and the table of configurations.
const runLabel = (run) => h('span', {}, swatch(run), ' ', runs[run].name);

function facts() {
  const r = data.reference;
  const list = [
    ['Reference', `${r.name} (${r.plan})`],
    ['Prompts', `${text(r.prompts)}, ${r.mode}`],
    ['Devices', r.devices],
    ['Run', r.created ? r.created.slice(0, 10) : ''],
  ];
  document.getElementById('facts').append(...list.filter(([, value]) => value).map(([name, value]) =>
    h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

// Neutral: what a policy says of a change is not whether there is one. Green is for equal bits alone.
const kStates = {pass: ['pass', 'policy: pass'], fail: ['fail', '▲ policy: fail'], inconclusive: ['open', '? policy: inconclusive']};
const stateTag = (state) => h('span', {class: 'tag ' + kStates[state][0]}, kStates[state][1]);

function answer() {
  const node = document.getElementById('answer');
  const verdict = data.verdict;
  if (!node || !verdict) return;
  const detail = (title, content) => node.append(h('details', {}, h('summary', {}, title), content));
  const apart = runs.filter((run) => run.verdict && run.verdict.not_comparable.length);
  if (apart.length) {
    node.prepend(h('details', {open: ''}, h('summary', {}, 'Not comparable, or only in part'), h('ul', {class: 'lists'},
      apart.flatMap((run) => run.verdict.not_comparable.map((one) => h('li', {}, h('strong', {}, run.name), ': ' + one))))));
  }
  if (verdict.ranking.length > 1) {
    detail('Ranking, and why', h('ol', {}, verdict.ranking.map((one) =>
      h('li', {}, h('strong', {}, runs[one.run].name), ' ', stateTag(runs[one.run].verdict.state), ' ' + one.why.replace(/^(pass|fail|inconclusive), /, '')))));
  }
  const judged = runs.filter((run) => run.verdict);
  const measured = (one) => h('div', {}, stateTag(one.state), h('div', {class: 'small'}, one.reason +
    (one.state === 'inconclusive' && one.prompts_needed ? `; about ${text(one.prompts_needed)} prompts would decide` : '')));
  const cells = (limit) => judged.map((run) => run.verdict.criteria.find((one) => one.limit === limit)).map((one) => (one ? measured(one) : null));
  const limits = [...new Map(judged.flatMap((run) => run.verdict.criteria).map((one) => [one.limit, one.allowed]))];
  const named = (limit, allowed) => h('span', {}, allowed, h('code', {class: 'key', title: 'its key in a thresholds file'}, limit));
  if (limits.length) {
    detail(`The limits, one by one (${verdict.thresholds})`, scrollable('Limits by candidate', table(
      [{text: 'Limit', why: ['policy', 'interval']}, ...judged.map((run) => run.name)], limits.map(([limit, allowed]) => [named(limit, allowed), ...cells(limit)]), {rowHeads: true, class: 'limits', cards: true})));
  }
  const remarks = judged.filter((run) => run.verdict.remarks.length);
  if (remarks.length) {
    detail('Remarks', h('ul', {class: 'lists'}, remarks.map((run) => h('li', {}, h('strong', {}, run.name), ': ' + run.verdict.remarks.join('; ')))));
  }
}

function verdictTag(run) {
  if (run.verdict) return stateTag(run.verdict.state);
  return run.role === 'candidate' ? null : h('span', {class: 'tag off'}, run.role);
}

// Rows may be missing on one side: then no difference is not yet the same bits.
const equalityTag = (run) => (run.equality === 'same-numbers' ? h('span', {class: 'tag good'}, `= same numbers in ${text(run.compared)} of ${text(run.compared)}, another dtype`)
  : run.equality === 'bit-equal' ? h('span', {class: 'tag good'}, `✓ bit-equal in ${text(run.prompts_bit_equal)} of ${text(run.compared)}`)
  : run.equality === 'differs' ? h('span', {class: 'tag off'}, '≠ ' + (run.steps_measured ? share(run.steps_differ, run.steps_measured) + ' of rows differ' : 'bits differ'))
    : h('span', {class: 'tag open'}, `? equal in ${text(run.prompts_bit_equal)} of ${text(run.compared)}, not all is there`));

// What the runs have no number for is said, not left out of a maximum.
const orNaN = (run, shownValue) => (run.without_value ? `NaN in ${plural(run.without_value, 'row')}` : run.not_finite ? 'infinite' : shownValue);

// "0.0021" and its interval in small print.
function estimate(value, unit = '') {
  if (!value) return null;
  return h('span', {}, text(value[0]) + unit, value.length > 1 && value[2] > value[1]
    ? h('span', {class: 'interval'}, `${text(value[1], 2)} to ${text(value[2], 2)}`) : null);
}

// Of its plan: a prediction needs fewer.
const devicesOf = (run) => (run.verdict && run.verdict.devices) || run.ranks || null;  // an engine may not say

const times = (value) => (value && value[0] !== null ? text(value[0]) + '×' : null);

// Where timings leave it open, no claim is made; the remarks say why.
const costOf = (verdict) => (!verdict ? null : verdict.cost_range ? estimate(verdict.cost_range, '×')
  : verdict.cost_unclear ? 'not clear' : null);

function configurations() {
  // Columns that only some reports have: how far against runs that people know.
  const compared = (data.verdict ? data.verdict.yardsticks : []).map((name, i) =>
    ['vs ' + name, 'yardstick', (verdict) => verdict.yardsticks[i]]);
  if (runs.some((run) => run.verdict && run.verdict.excess_error)) {
    compared.push(['vs truth', 'truth', (verdict) => verdict.excess_error]);
  }
  const columns = ['Configuration', {text: 'Bits and policy', why: ['bit_equal', 'policy']},
    {text: 'Same text', n: true, why: 'same_text'},
    {text: 'First difference: median of the changed (earliest)', n: true, class: 'wide', why: ['first', 'median']},
    {text: 'Same choice', n: true, why: 'top1'},
    {text: 'Flips (of them at ties)', n: true, why: ['flip', 'tie']},
    {text: 'max |\u2060Δlogit|', n: true, why: ['max_abs', 'nan']}, {text: 'KL mean, nats', n: true, why: ['kl', 'interval']}, {text: 'KL p99, nats', n: true, why: 'kl_p99'},
    {text: 'max |\u2060Δp|', n: true, why: 'delta_p'},
    ...compared.map(([name, key]) => ({text: name, n: true, why: key})),
    {text: 'Devices', n: true, why: 'devices'}, {text: 'tokens/s', n: true, why: 'speed'},
    {text: 'Cost', n: true, why: 'cost'}];
  const rows = runs.map((run, i) => [
    h('span', {}, swatch(i), run.name, h('span', {class: 'plan'}, run.plan)),
    h('span', {class: 'tags'}, equalityTag(run), verdictTag(run)), `${text(run.prompts_same_text)} of ${text(run.compared)}`,
    run.flip_median === null ? 'none' : `${text(run.flip_median + 1)} (${text(run.flip_first + 1)})`,
    share(run.same_choice, run.steps), run.tie_flips === null ? text(run.flips) : `${text(run.flips)} (${text(run.tie_flips)})`,
    orNaN(run, text(run.max_abs && run.max_abs.max)), orNaN(run, estimate(run.kl && run.kl.mean)), orNaN(run, text(run.kl && run.kl.p99[0])),
    orNaN(run, chance(run.delta_p && run.delta_p.max)), ...compared.map(([, , of]) => times(run.verdict && of(run.verdict))), text(devicesOf(run)),
    text(run.decode_speed), costOf(run.verdict),
  ]);
  const absent = (data.verdict ? data.verdict.not_judged : []).map((one) => ({class: 'absent', cells: [
    h('span', {}, one.name, h('span', {class: 'plan'}, one.plan)), {node: h('span', {class: 'tag absent'}, '– not judged')}, {node: one.why, span: columns.length - 2}]}));
  rows.push(...absent);
  const order = ['pass', 'inconclusive', 'fail'];
  const first = (value) => (value ? value[0] : null);
  const keys = runs.map((run) => [run.name, run.verdict ? order.indexOf(run.verdict.state) : null,
    run.compared ? run.prompts_same_text / run.compared : null, run.flip_median, run.steps ? run.same_choice / run.steps : null,
    run.flips, run.max_abs && run.max_abs.max, first(run.kl && run.kl.mean), first(run.kl && run.kl.p99), run.delta_p && run.delta_p.max,
    ...compared.map(([, , of]) => first(run.verdict && of(run.verdict))), devicesOf(run), run.decode_speed, run.verdict && run.verdict.cost]);
  keys.push(...absent.map((one, i) => columns.map((_, column) => (column ? null : data.verdict.not_judged[i].name))));
  const [choice, sorted] = sortable(table(columns, rows, {class: 'sticky runs', rowHeads: true, cards: true}), keys);
  const node = section('configurations', 'Configurations compared',
    `Each against the reference (${data.reference.name}). Bits: whether stored logits are the same words. A flip is a row at which ` +
    'another token is chosen; after it a free-running answer is another text and is no longer compared.',
    choice, scrollable('Configurations compared', sorted));
  node.classList.add('runs');
}
