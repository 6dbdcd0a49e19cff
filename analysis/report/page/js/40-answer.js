// Facts under the title, tiles of the verdict, and the table of configurations.
const runLabel = (run) => h('span', {}, swatch(run), ' ', runs[run].name);

function facts() {
  const r = data.reference;
  const list = [
    ['Reference', `${r.name} (${r.plan})`],
    ['Model', `${r.architecture}, ${r.dtype}${r.quantization && r.quantization !== 'none' ? ', ' + r.quantization : ''}`],
    ['Prompts', `${text(r.prompts)}, ${r.mode}`],
    ['Devices', r.devices],
    ['Run', r.created ? r.created.slice(0, 10) : ''],
  ];
  document.getElementById('facts').append(...list.filter(([, value]) => value).map(([name, value]) =>
    h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

function tiles() {
  const candidates = runs.filter((run) => run.role === 'candidate');
  const list = candidates.length ? candidates : runs;
  const sum = (key) => d3.sum(list, (run) => run[key]);
  const largest = d3.max(list, (run) => (run.kl ? run.kl.mean[0] : null));
  const same = list.filter((run) => run.equality === 'bit-equal').length;
  const first = list.filter((run) => run.flip_first !== null).sort((a, b) => a.flip_first - b.flip_first)[0];
  const items = [
    [`${same} of ${list.length}`, list.length === 1 ? 'candidate bit-equal to the reference' : 'candidates bit-equal to the reference'],
    [share(sum('prompts_same_text'), sum('compared')), 'of answers have the same tokens to the end'],
    [share(sum('same_choice'), sum('steps')), 'of compared steps choose the same token'],
    [first ? 'token ' + text(first.flip_first + 1) : 'none', first ? `is the earliest that differs (${first.name}, ${first.flip_prompt})` : 'of the tokens differ'],
    [text(largest), 'nats: the largest mean KL divergence of a candidate'],
  ];
  return h('div', {class: 'tiles'}, items.map(([value, label]) => h('div', {class: 'tile'}, h('b', {}, value), h('span', {}, label))));
}

const kStates = {pass: ['good', '✓ pass'], fail: ['bad', '✕ fail'], inconclusive: ['', '? inconclusive']};
const stateTag = (state, title) => h('span', {class: 'tag ' + kStates[state][0], title}, kStates[state][1]);

function answer() {
  let node = document.getElementById('answer');
  if (!node) {
    node = h('section', {id: 'answer', class: 'answer plain', 'aria-label': 'In short'}, h('p', {class: 'headline'}, 'In short'));
    main.prepend(node);
  }
  node.append(tiles());
  const verdict = data.verdict;
  if (!verdict) return;
  const detail = (open, title, content) => node.append(h('details', {open}, h('summary', {}, title), content));
  if (verdict.ranking.length > 1) {
    detail(verdict.ranking.length <= 4, 'Candidates, best first', h('ol', {}, verdict.ranking.map((one) =>
      h('li', {}, h('strong', {}, runs[one.run].name), ' ', stateTag(runs[one.run].verdict.state), ' ' + one.why.replace(/^(pass|fail|inconclusive), /, '')))));
  }
  const judged = runs.filter((run) => run.verdict);
  const measured = (one) => h('div', {}, stateTag(one.state), h('div', {class: 'small'}, one.reason +
    (one.prompts_needed ? `; about ${text(one.prompts_needed)} prompts would decide` : '')));
  const cells = (limit) => judged.map((run) => run.verdict.criteria.find((one) => one.limit === limit)).map((one) => (one ? measured(one) : null));
  const limits = [...new Map(judged.flatMap((run) => run.verdict.criteria).map((one) => [one.limit, one.allowed]))];
  detail(false, `The limits, one by one (${verdict.thresholds})`, scrollable('Limits by candidate', table(
    ['Limit', ...judged.map((run) => run.name)], limits.map(([limit, allowed]) => [allowed, ...cells(limit)]), {rowHeads: true, class: 'limits'})));
  const remarks = judged.filter((run) => run.verdict.remarks.length);
  if (remarks.length) {
    detail(false, 'Remarks', h('ul', {class: 'lists'}, remarks.map((run) => h('li', {}, h('strong', {}, run.name), ': ' + run.verdict.remarks.join('; ')))));
  }
}

function verdictTag(run) {
  if (run.verdict) return stateTag(run.verdict.state, run.verdict.reason);
  return run.role === 'candidate' ? null : h('span', {class: 'tag off'}, run.role);
}

const equalityTag = (run) => (run.equality === 'bit-equal' ? h('span', {class: 'tag good'}, '✓ bit-equal')
  : run.equality === 'differs' ? h('span', {class: 'tag off'}, share(run.steps_differ, run.steps_measured) + ' of rows differ')
    : h('span', {class: 'tag', title: 'no difference, but rows are missing on one side'}, '? inconclusive'));

// "0.0021" and its interval in small print.
function estimate(value) {
  if (!value) return null;
  return h('span', {}, text(value[0]), value.length > 1 && value[2] > value[1]
    ? h('span', {class: 'interval'}, `${text(value[1], 2)} to ${text(value[2], 2)}`) : null);
}

// Of its plan: a prediction needs fewer.
const devicesOf = (run) => (run.verdict && run.verdict.devices) || run.ranks;

const times = (value) => (value && value[0] !== null ? text(value[0]) + '×' : null);

function configurations() {
  // Columns that only some reports have: how far against runs that people know.
  const compared = (data.verdict ? data.verdict.yardsticks : []).map((name, i) =>
    ['vs ' + name, 'mean KL, times that of ' + name, (verdict) => verdict.yardsticks[i]]);
  if (runs.some((run) => run.verdict && run.verdict.excess_error)) {
    compared.push(['vs truth', 'its error against the truth, times the reference’s own', (verdict) => verdict.excess_error]);
  }
  const columns = ['Configuration', 'Verdict and bits',
    {text: 'Same text', n: true, title: 'prompts whose tokens are the same to the end'},
    {text: 'First flip', n: true, title: 'median token at which answers part, and the earliest'},
    {text: 'Top-1', n: true, title: 'share of compared steps with the same chosen token'},
    {text: 'Flips (ties)', n: true, title: 'steps with another chosen token; in brackets those at an exact tie'},
    {text: 'max |\u2060Δlogit|', n: true}, {text: 'KL mean', n: true, title: 'nats'}, {text: 'KL p99', n: true, title: 'nats'},
    {text: 'max |\u2060Δp|', n: true, title: 'largest change of the probability of the chosen token'},
    ...compared.map(([name, title]) => ({text: name, n: true, title})),
    {text: 'Devices', n: true}, {text: 'tokens/s', n: true, title: 'decode'},
    {text: 'Cost', n: true, title: 'device time for a token, times the reference’s: this machine, this load'}];
  const rows = runs.map((run, i) => [
    h('span', {}, swatch(i), run.name, h('span', {class: 'plan'}, run.plan)),
    h('span', {class: 'tags'}, verdictTag(run), equalityTag(run)), `${text(run.prompts_same_text)} / ${text(run.compared)}`,
    run.flip_median === null ? 'none' : `${text(run.flip_median + 1)} (${text(run.flip_first + 1)})`,
    share(run.same_choice, run.steps), `${text(run.flips + run.tie_flips)} (${text(run.tie_flips)})`,
    text(run.max_abs && run.max_abs.max), estimate(run.kl && run.kl.mean), text(run.kl && run.kl.p99[0]),
    text(run.delta_p && run.delta_p.max), ...compared.map(([, , of]) => times(run.verdict && of(run.verdict))), text(devicesOf(run)),
    text(run.decode_speed), times(run.verdict && [run.verdict.cost]),
  ]);
  const order = ['pass', 'inconclusive', 'fail'];
  const first = (value) => (value ? value[0] : null);
  const keys = runs.map((run) => [run.name, run.verdict ? order.indexOf(run.verdict.state) : null,
    run.compared ? run.prompts_same_text / run.compared : null, run.flip_median, run.steps ? run.same_choice / run.steps : null,
    run.flips + run.tie_flips, run.max_abs && run.max_abs.max, first(run.kl && run.kl.mean), first(run.kl && run.kl.p99), run.delta_p && run.delta_p.max,
    ...compared.map(([, , of]) => first(run.verdict && of(run.verdict))), devicesOf(run), run.decode_speed, run.verdict && run.verdict.cost]);
  const node = section('configurations', 'Configurations compared',
    `Each against the reference (${data.reference.name}). Bits: whether stored logits are the same words. A flip is a step at which ` +
    'another token is chosen; after it a free-running answer is another text and is no longer compared.',
    scrollable('Configurations compared', sortable(table(columns, rows, {class: 'sticky runs', rowHeads: true}), keys)));
  node.classList.add('runs');
}
