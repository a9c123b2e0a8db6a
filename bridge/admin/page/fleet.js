// Every bridge that shows itself in KV bridges.

import { ask, poll } from './api.js';
import { fillTable, say } from './dom.js';
import { age, count, rate, some } from './format.js';

export function startFleet(section) {
  const note = section.querySelector('.note');
  poll(2000, async () => {
    try {
      const fleet = await ask('/fleet');
      say(section.querySelector('.count'), fleet.known ? count(fleet.list.length) : '');
      const newest = {}; // revision of each bucket
      for (const b of fleet.list) newest[bucket(b)] = Math.max(newest[bucket(b)] ?? 0, b.rules.revision);
      fillTable(section.querySelector('table'), fleet.list, (b) => [
        b.bridge === fleet.self ? `${b.bridge} (this one)` : b.bridge, state(b, newest[bucket(b)], Date.parse(fleet.now)), count(b.rules.revision),
        rate(b.events.answered_rate), rate(b.events.denied_rate), count(b.spool.events), b.spool.oldest_ms > 0 ? age(b.spool.oldest_ms / 1000) : '–',
        count(b.events.lost), b.version,
      ]);
      say(note, fleet.trouble ? (fleet.known ? `May be old: ${fleet.trouble}.` : `Not known yet: ${fleet.trouble}.`) : '');
    } catch (error) {
      say(note, `Not known: ${error.message}`);
    }
  });
}

// bucket tells apart what bridges get their rules of: one made anew counts from 1 again.
const bucket = (b) => `${b.rules.bucket} ${b.rules.bucket_created}`;

const quiet = 20; // seconds; a bridge says something every 5

function state(b, newest, now) {
  const silent = (now - Date.parse(b.time)) / 1000;
  if (silent > quiet) return `silent for ${age(silent)}`;
  const troubles = [];
  if (b.shared) troubles.push('two of one name');
  if (b.rules.invalid_count > 0) troubles.push(some(b.rules.invalid_count, 'refused document'));
  if (b.rules.revision < newest) troubles.push(`behind: newest is ${count(newest)}`);
  if (b.rules.trouble) troubles.push(b.rules.trouble);
  if (b.rules.stale) troubles.push('rules are stale');
  if (b.events.lost_rate > 0) troubles.push('loses events');
  return troubles.join(', ') || 'well';
}
