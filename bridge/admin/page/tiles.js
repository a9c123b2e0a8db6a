// The figures of now.

import { el, say } from './dom.js';
import { age, bytes, count, micros, rate, some } from './format.js';

// tiles: title, figure, small print, and what is bad or a warning when it is so.
const tiles = [
  ['Allowed', (s) => `${rate(s.recent.allowed)}/s`, () => 'publish, play and updates let in'],
  ['Denied', (s) => `${rate(s.recent.refused)}/s`, () => 'refused by rule or default'],
  ['Told', (s) => `${rate(s.recent.told)}/s`, (s) => (s.recent.others > 0 ? `and ${rate(s.recent.others)}/s unknown or unreadable` : 'ends of streams and the like')],
  ['Answer, p99', (s) => micros(s.recent.answer_p99), (s) => `half within ${micros(s.recent.answer_p50)}`],
  ['Decision, p99', (s) => micros(s.recent.decide_p99), (s) => `half within ${micros(s.recent.decide_p50)}`],
  ['Waiting in the spool', (s) => count(s.spool.events), (s) => (s.spool.oldest_age_ns >= 1e9 ? `${bytes(s.spool.unacked_bytes)}, the oldest for ${age(s.spool.oldest_age_ns / 1e9)}` : s.spool.events > 0 ? `${bytes(s.spool.unacked_bytes)} on their way` : `all in NATS; ${bytes(s.spool.bytes)} on disk`), (s) => s.spool.oldest_age_ns > 30e9 && 'warn'],
  ['Lost', (s) => count(s.lost_events), () => 'answered, and not kept', (s) => s.lost_events > 0 && 'bad'],
  ['Rules', (s) => `rev ${count(s.rules.revision)}`, (s) => `${some(s.rules.rules, 'rule')} in ${some(s.rules.documents, 'document')}, confirmed ${age(s.rules.age_ms / 1000)} ago`, (s) => (s.rules.stale || s.rules.invalid_count > 0) && 'warn'],
  ['NATS', (s) => s.nats.publishing.toLowerCase(), (s) => (s.nats.embedded ? 'embedded' : s.nats.server || 'outside'), (s) => (s.nats.publishing !== 'CONNECTED' || s.nats.watching !== 'CONNECTED') && 'warn'],
];

export function showTiles(list, status) {
  tiles.forEach(([title, figure, print, sign], i) => {
    const tile = list.children[i] ?? list.appendChild(el('div', {}, el('dt', {}, title), el('dd', {}), el('dd', { class: 'print' })));
    say(tile.children[1], figure(status));
    say(tile.children[2], print(status));
    tile.dataset.sign = sign?.(status) || 'good';
  });
}
