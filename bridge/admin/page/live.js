// Who is live now: KV live, which consumers/sessions keeps.

import { ask, poll } from './api.js';
import { fillTable, say } from './dom.js';
import { age, count } from './format.js';

export function startLive(section) {
  const form = section.querySelector('form');
  const note = section.querySelector('.note');
  async function turn() {
    try {
      const live = await ask('/live', { q: form.elements.q.value });
      const more = live.partial ? 'more than ' : '';
      say(section.querySelector('.count'), live.known ? `${more}${count(live.streams)} with ${more}${count(live.viewers)} viewers` : '');
      fillTable(section.querySelector('table'), live.list, (s) => [
        s.name, s.app, s.addr, count(s.viewers), age((Date.now() - Date.parse(s.since)) / 1000), count(s.reconnects), s.rule,
      ]);
      say(note, about(live));
    } catch (error) {
      say(note, `Not known: ${error.message}`);
    }
  }
  const now = poll(2000, turn);
  form.addEventListener('submit', (e) => e.preventDefault());
  form.addEventListener('input', now);
}

function about(live) {
  if (live.trouble) return live.known ? `May be old: ${live.trouble}.` : `Not known yet: ${live.trouble}.`;
  if (live.partial) return `Only ${count(live.streams)} of the streams are looked at here, and there are more.`;
  if (live.streams === 0) return 'Nobody is live, or no consumer keeps the list: it is made by consumer sessions.';
  if (live.found > live.list.length) return `The ${count(live.list.length)} with most viewers of ${count(live.found)}.`;
  return live.found < live.streams ? `${count(live.found)} of ${count(live.streams)}.` : '';
}
