// What every number means: one table. A word or a "?" that is chosen (finger, key, screen reader) shows it; on paper
// the words that this page used are listed at the end.
// Of every interval on this page, in percent as people write it: "99", "97.5".
const percentOf = (share) => String(Number((100 * share).toPrecision(4)));
const kConfidence = percentOf(data.confidence);
const kInterval = kConfidence + '% interval';

const kTerms = {
  changed: ['Answers that differ', 'Share of prompts whose text is not the reference’s any more after so many generated tokens (Kaplan-Meier: prompts end at different lengths). Tokens are counted from 1, the first generated one.'],
  interval: ['Ranges', kConfidence + '% intervals over prompts, two-sided: each end is passed with ' + percentOf((1 - data.confidence) / 2) + '% probability. Rows of one prompt are not independent, so intervals come from prompts, each with all its rows, and allow for a prompt unlike those seen; shares of prompts have exact intervals.'],
  bit_equal: ['Bit-equal', 'Every stored logit of every row of a prompt is the same word in both records. Counted in prompts: n of n.'],
  same_numbers: ['Same numbers', 'The two records store their logits in two dtypes, so there are no bits to compare: every number of every row of a prompt is the same in both. Counted in prompts.'],
  power: ['What could go unseen', 'With n prompts none of which differs, a smaller share of prompts could differ without having shown: it depends on n alone.'],
  first: ['First difference', 'The first token at which the two runs chose differently, counted from 1, the first generated one. In runs over given texts: the row of the text. After it free-running answers are different texts and are no longer compared.'],
  median: ['Medians', '“Median of the n that changed”: of the prompts that part, half part by this token. “Half of all by token m”: half of all prompts have parted by then, those that stay the same included.'],
  tie: ['Exact tie', 'In one of the runs the highest logit stood there more than once. The lowest id is then taken, and the smallest change of rounding decides. A tie that turns still changes the text.'],
  flip: ['Flips', 'Rows at which another token is chosen, of all rows compared, exact ties included; the number at exact ties stands beside. Clear flips are those without a tie in either run.'],
  top1: ['Same choice', 'Share of compared rows with the same most likely token.'],
  kl: ['KL divergence', 'How far the distribution over the next token moves, KL(reference ‖ candidate) in nats, mean over rows. 0: not at all. 0.01 nats is what serving between two kinds of GPU is allowed here.'],
  kl_p99: ['KL, 99th percentile', 'One row in a hundred moves further than this, in nats.'],
  max_abs: ['max |Δlogit|', 'The largest change of a single logit in any row compared.'],
  delta_p: ['Change of a probability', 'By how many percentage points the probability of the reference’s chosen token changes.'],
  margin: ['Closest call', 'The token at which the reference’s highest logit led its second by least: there another token was nearest. 0: an exact tie.'],
  tv: ['Total variation', 'The largest difference in probability that any set of tokens has between the two runs, in percent.'],
  policy: ['Policy', 'The limits of the chosen preset or file: what one is willing to accept. pass: every limit is kept, with the asked confidence; fail: one is broken; inconclusive: neither can be said. It is not the answer to whether anything changes. Flips: rows with another token; clear: without an exact tie. Regret: how much better the reference liked its own token there, in nats. The key of a limit in a thresholds file stands beside it in the list of limits.'],
  not_judged: ['Not judged', 'It was asked for, but did not run to its end or its record cannot be used. Nothing is known of it, so this page is no pass.'],
  predicted: ['Predicted', 'Computed on fewer devices in the order in which the devices it stands for would add; not run on them.'],
  extrapolated: ['Extrapolated', 'Beyond the longest text that was compared: a model says it, no run does.'],
  nan: ['NaN', 'Logits that are no number or infinite. No distribution can be made of such a row, so numbers over all rows have no value.'],
  noise: ['Noise floor', 'The reference’s configuration run once more. Expected: the same bits. What it differs by is the machine’s own.'],
  yardstick: ['Times a yardstick', 'Mean KL in units of that of a change that people already accept (another dtype, a quantization). 0.05x: it moves the model a twentieth as much.'],
  truth: ['Times the reference’s own error', 'Error against the same prompts in higher precision, in units of the reference’s error. 1: the candidate is as far from exact arithmetic as the reference is.'],
  cost: ['Cost', 'Device time for a token (devices × seconds) in units of the reference’s, on that machine under that load; below it the range that single passes and repeats leave open. Not clear: they leave too much open for any claim, see the remarks.'],
  devices: ['Devices', 'That the plan needs, also where fewer predicted it.'],
  speed: ['tokens/s', 'Tokens decoded in a second by one replica, on that machine under that load.'],
  same_text: ['Same text', 'Prompts whose tokens are the reference’s as far as both go, of those compared.'],
  probability: ['p', 'The probability that the run itself gave the token it chose, in percent.'],
  id: ['id', 'The number of the token in the vocabulary.'],
  position: ['Position', 'Of the token fed, in the whole text: prompt and answer, counted from 1.'],
  law: ['Flip law', 'How likely another token is, by how close the call was; fitted on the rows of this run.'],
  held_out: ['On held-out prompts', 'Every prompt’s flips predicted by a law fitted on other prompts, beside those that happened.'],
  brier: ['Brier score', 'Mean squared error of the predicted probabilities; in brackets that of always predicting the average. Smaller is better.'],
};

const note = document.getElementById('note');
const used = new Set();
let opener = null;

function closeNote() {
  if (!opener) return;
  opener.setAttribute('aria-expanded', 'false');
  note.hidden = true;
  opener = null;
}

function openNote(button, keys) {
  const again = opener === button;
  closeNote();
  if (again) return;
  opener = button;
  button.setAttribute('aria-expanded', 'true');
  note.replaceChildren(h('dl', {}, keys.map((key) => h('div', {}, h('dt', {}, kTerms[key][0]), h('dd', {}, kTerms[key][1])))),
    h('button', {type: 'button', class: 'close', onclick: () => { const back = opener; closeNote(); back.focus(); }}, 'Close'));
  note.hidden = false;
  placeNote();
}

// Below the button, within the page's width. It is announced where it lies: the body clips nothing.
function placeNote() {
  if (!opener) return;
  note.style.left = note.style.top = '0';
  const box = opener.getBoundingClientRect();
  const most = document.documentElement.clientWidth - note.offsetWidth - 8;
  note.style.left = Math.max(8, Math.min(box.left, most)) + window.scrollX + 'px';
  note.style.top = box.bottom + 6 + window.scrollY + 'px';
}

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !opener) return;
  const back = opener;
  closeNote();
  back.focus();
});
document.addEventListener('click', (event) => { if (opener && !note.contains(event.target) && !event.target.closest('.why')) closeNote(); });
window.addEventListener('resize', placeNote);

// The "?" beside a number.
function why(...keys) {
  keys.forEach((key) => used.add(key));
  return h('button', {type: 'button', class: 'why', 'aria-expanded': 'false', 'aria-controls': 'note',
    'aria-label': 'What is this? ' + keys.map((key) => kTerms[key][0]).join(', '), onclick: (event) => openNote(event.currentTarget, keys)}, '?');
}

// Words of the page's HTML that explain themselves.
function explain() {
  document.querySelectorAll('[data-terms]').forEach((node) => node.append('\u00a0', why(...node.dataset.terms.split(' '))));
}

function glossary() {
  document.getElementById('glossary').append(h('h2', {}, 'What the numbers mean'),
    h('dl', {}, Object.keys(kTerms).filter((key) => used.has(key)).map((key) => h('div', {}, h('dt', {}, kTerms[key][0]), h('dd', {}, kTerms[key][1])))));
}
