// The line at the top: is all well, and if not, what is wrong and what to do.

import { say } from './dom.js';
import { age, bytes, clock, count, rate } from './format.js';

const todo = {
  spool: () => 'Make room on the disk of BRIDGE_DATA_DIR, or look why it fails; if NATS is away for long, raise BRIDGE_SPOOL_MAX_BYTES. Nothing needs a restart.',
  rules: () => 'Start NATS if it is down, or push rules with bridgectl rules put. Until then BRIDGE_DEFAULT_PUBLISH and BRIDGE_DEFAULT_PLAY decide.',
};

const mend = {
  nats: (s) => `Start the NATS server, or look at NATS_URL and the network between. Nothing is lost meanwhile: webhooks are answered, and the spool has room for ${bytes(Math.max(0, s.spool_max_bytes - s.spool.unacked_bytes))} more.`,
  forward: (s) => `NATS is there and takes no events: look at the stream EVENTS, its limits and the bridge’s permissions. The spool has room for ${bytes(Math.max(0, s.spool_max_bytes - s.spool.unacked_bytes))} more.`,
  rules: (s) => (s.rules.invalid_count > 0
    ? 'Mend the refused documents, which are listed under Checks, and push them again with bridgectl rules put. Their last good versions stay in force.'
    : 'Look at the bucket and at the bridge’s permission to read it. The last rules that were seen stay in force.'),
  streams: () => 'Run bridgectl setup --check, or have an administrator make the streams and buckets as they should be.',
  keys: () => 'Mend the file that BRIDGE_KEYS_FILE names; it is read again by itself. Tokens of missing keys are refused.',
  spool: () => 'Look at bridgectl spool verify, then export --lost and redrive, and move the damaged files away.',
};

const broken = { rules: 'No rules were ever seen', spool: 'Events are lost: the spool takes none' };
const limps = {
  nats: 'NATS cannot be reached', forward: 'Events do not get to NATS', rules: 'The rules need attention',
  streams: 'Streams or buckets are not as they should be', keys: 'The keys need attention', spool: 'The spool needs attention',
};
const order = ['nats', 'forward', 'rules', 'streams', 'keys', 'spool']; // causes before what they cause

// judge returns level (good, warn or bad), what it says and what to do.
export function judge(s) {
  const failed = s.checks.filter((c) => !c.ok && !c.degraded);
  const degraded = s.checks.filter((c) => c.degraded).sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const besides = (n) => (n > 0 ? ` And ${n} more, see Checks.` : '');
  const more = besides(failed.length + degraded.length - 1);
  const first = failed[0] ?? degraded[0];
  if (failed.length) {
    return { level: 'bad', says: `${broken[first.name] ?? `${first.name} has failed`}.${more}`, todo: todo[first.name]?.(s) ?? first.detail };
  }
  if (s.recent.lost > 0) {
    return { level: 'bad', says: `Events are lost: ${rate(s.recent.lost)} a second.${besides(degraded.length)}`, todo: todo.spool(s) };
  }
  if (first) {
    const invalid = s.rules.invalid_count;
    let says = limps[first.name] ?? `${first.name} needs attention`;
    if (first.name === 'rules' && invalid > 0) says = invalid === 1 ? 'One rule document is refused' : `${count(invalid)} rule documents are refused`;
    if (['nats', 'forward'].includes(first.name) && s.spool.events > 0) says += `: ${count(s.spool.events)} events wait, the oldest for ${age(s.spool.oldest_age_ns / 1e9)}`;
    return { level: 'warn', says: `${says}.${more}`, todo: mend[first.name]?.(s) ?? first.detail };
  }
  const answers = (s.recent.allowed ?? 0) + (s.recent.refused ?? 0) + (s.recent.told ?? 0) + (s.recent.others ?? 0);
  return { level: 'good', says: `All is well. ${rate(answers)} answers a second, events reach NATS, rules are at revision ${count(s.rules.revision)}.`, todo: '' };
}

// showVerdict says it, and in the tab's title. since is when the bridge last answered, 0
// when it does.
export function showVerdict(page, status, since) {
  let v;
  if (since) {
    v = { level: 'bad', says: `The bridge does not answer since ${clock(since)}. What is shown is old.`, todo: 'Is the process running, and can this browser reach it? Look at its log, at /livez and at /readyz?verbose.' };
  } else {
    v = judge(status);
  }
  const node = page.getElementById('verdict');
  node.dataset.level = v.level;
  say(node.querySelector('.says'), v.says);
  say(node.querySelector('.todo'), v.todo);
  const mark = { good: '', warn: '⚠ ', bad: '✖ ' }[v.level];
  page.title = `${mark}bridge ${status?.bridge ?? ''}`;
  if (!status) return;
  say(page.getElementById('name'), status.bridge);
  say(page.getElementById('about'), `version ${status.version} · up ${age((Date.now() - Date.parse(status.started)) / 1000)}`);
}
