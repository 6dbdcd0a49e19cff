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
    [`${same} of ${list.length}`, list.length === 1 ? 'configuration is bit-equal to the reference' : 'configurations are bit-equal to the reference'],
    [share(sum('prompts_same_text'), sum('compared')), 'of answers have the same tokens to the end'],
    [share(sum('same_choice'), sum('steps')), 'of compared steps choose the same token'],
    [first ? 'token ' + text(first.flip_first + 1) : 'none', first ? `is the earliest that differs (${first.name}, ${first.flip_prompt})` : 'of the tokens differ'],
    [text(largest), 'nats: the largest mean KL divergence of a configuration'],
  ];
  return h('div', {class: 'tiles'}, items.map(([value, label]) => h('div', {class: 'tile'}, h('b', {}, value), h('span', {}, label))));
}

function answer() {
  let node = document.getElementById('answer');
  if (!node) {
    node = h('section', {id: 'answer', class: 'answer plain', 'aria-label': 'In short'},
      h('p', {class: 'headline'}, 'In short'));
    main.prepend(node);
  }
  node.append(tiles());
  const a = data.answer;
  if (!a) return;
  if (a.ranking.length > 1) {
    node.append(h('details', {open: a.ranking.length <= 4}, h('summary', {}, 'Configurations, best first'),
      h('ol', {}, a.ranking.map((choice) => h('li', {}, h('strong', {}, runs[choice.run].name), ': ' + choice.why)))));
  }
  for (const line of [a.thresholds, a.power]) if (line) node.append(h('p', {class: 'small'}, line));
}

function verdictTag(run) {
  if (run.state === 'within') return h('span', {class: 'tag good', title: run.reason}, '✓ within limits');
  if (run.state === 'beyond') return h('span', {class: 'tag bad', title: run.reason}, '≠ beyond limits');
  if (run.state === 'inconclusive') return h('span', {class: 'tag', title: run.reason}, '? not decided');
  return run.role === 'candidate' ? null : h('span', {class: 'tag off'}, run.role);
}

const equalityTag = (run) => (run.equality === 'bit-equal' ? h('span', {class: 'tag good'}, '✓ bit-equal')
  : run.equality === 'differs' ? h('span', {class: 'tag off'}, share(run.steps_differ, run.steps_measured) + ' of rows differ')
    : h('span', {class: 'tag'}, 'equal so far'));

// "0.0021" and its interval in small print.
function estimate(value) {
  if (!value) return null;
  return h('span', {}, text(value[0]), value.length > 1 && value[2] > value[1]
    ? h('span', {class: 'interval'}, `${text(value[1], 2)} to ${text(value[2], 2)}`) : null);
}

function configurations() {
  const columns = ['Configuration', 'Verdict and bits',
    {text: 'Same answer', n: true, title: 'prompts whose tokens are the same to the end'},
    {text: 'First flip', n: true, title: 'median token at which answers part, and the earliest'},
    {text: 'Top-1', n: true, title: 'share of compared steps with the same chosen token'},
    {text: 'Flips (ties)', n: true, title: 'steps with another chosen token; in brackets those at an exact tie'},
    {text: 'max |Δlogit|', n: true}, {text: 'KL mean', n: true, title: 'nats'}, {text: 'KL p99', n: true, title: 'nats'},
    {text: 'max |Δp|', n: true, title: 'largest change of the probability of the chosen token'},
    {text: 'Devices', n: true}, {text: 'tokens/s', n: true, title: 'decode'}];
  const rows = runs.map((run, i) => [
    h('span', {}, swatch(i), run.name, h('span', {class: 'plan'}, run.plan)),
    h('span', {class: 'tags'}, verdictTag(run), equalityTag(run)), `${text(run.prompts_same_text)} / ${text(run.compared)}`,
    run.flip_median === null ? 'none' : `${text(run.flip_median + 1)} (${text(run.flip_first + 1)})`,
    share(run.same_choice, run.steps), `${text(run.flips + run.tie_flips)} (${text(run.tie_flips)})`,
    text(run.max_abs && run.max_abs.max), estimate(run.kl && run.kl.mean), text(run.kl && run.kl.p99[0]),
    text(run.delta_p && run.delta_p.max), text(run.ranks),
    text(run.decode_speed),
  ]);
  const node = section('configurations', 'Configurations compared',
    `Each against the reference ${data.reference.name}. Bits: whether stored logits are the same words. A flip is a step at which ` +
    'another token is chosen; after it a free-running answer is another text and is no longer compared.',
    scrollable('Configurations compared', table(columns, rows, {class: 'sticky runs', rowHeads: true})));
  node.classList.add('runs');
}
