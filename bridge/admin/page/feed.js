// The event feed: a sample, the newest first, of a bounded number of rows.

import { el, say } from './dom.js';
import { clock, count } from './format.js';

const kept = 500; // events that a filter looks at
const rows = 100; // of them shown
const perTurn = 250; // ms between two changes of the rows

export function startFeed(section) {
  new Feed(section).start();
}

class Feed {
  constructor(section) {
    this.form = section.querySelector('form');
    this.note = section.querySelector('.note');
    this.list = section.querySelector('.events');
    this.pauseButton = this.form.elements.pause;
    this.events = []; // the newest first
    this.fresh = []; // not shown yet, likewise
    this.leftOut = 0; // in the last second or so
    this.came = 0;
    this.paused = false;
    this.frame = 0; // that is going to show more of them
    this.state = 'connecting';
  }

  start() {
    this.form.addEventListener('submit', (e) => e.preventDefault());
    this.form.addEventListener('input', () => this.render());
    this.pauseButton.addEventListener('click', () => this.pause(!this.paused));
    const follow = () => (document.hidden ? this.close() : this.open());
    document.addEventListener('visibilitychange', follow);
    follow();
    setInterval(() => this.turn(), perTurn);
    setInterval(() => this.tell(), 1000);
  }

  open() {
    this.close();
    this.source = new EventSource('/events');
    this.source.onopen = () => { this.state = 'open'; };
    this.source.onerror = () => {
      this.state = 'lost';
      if (this.source.readyState === EventSource.CLOSED) setTimeout(() => { if (!document.hidden) this.open(); }, 5000);
    };
    this.source.onmessage = (message) => this.take(JSON.parse(message.data));
  }

  close() {
    this.source?.close();
  }

  take({ left_out: leftOut, events }) {
    this.leftOut += leftOut;
    this.came += events.length;
    this.fresh.unshift(...events.map(read).reverse());
    this.fresh.length = Math.min(this.fresh.length, kept);
  }

  pause(yes) {
    this.paused = yes;
    this.pauseButton.setAttribute('aria-pressed', String(yes));
    say(this.pauseButton, yes ? 'Go on' : 'Pause');
    this.tell();
  }

  // turn shows what is fresh, in one frame.
  turn() {
    if (this.paused || this.frame || this.fresh.length === 0 || document.hidden) return;
    const fresh = this.fresh;
    this.fresh = [];
    this.events = [...fresh, ...this.events].slice(0, kept);
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.list.prepend(...fresh.filter((e) => this.wants(e)).slice(0, rows).map((e) => this.row(e)));
      while (this.list.children.length > rows) this.list.lastElementChild.remove();
    });
  }

  // render shows anew what was kept, after the filter has changed.
  render() {
    cancelAnimationFrame(this.frame); // what it was to show is among the events
    this.frame = 0;
    this.list.replaceChildren(...this.events.filter((e) => this.wants(e)).slice(0, rows).map((e) => this.row(e)));
  }

  wants(e) {
    const { text, outcome, call } = this.form.elements;
    return (!outcome.value || e.outcome === outcome.value) && (!call.value || e.event.call === call.value) &&
      (!text.value || e.text.includes(text.value.toLowerCase()));
  }

  // row is closed until somebody opens it, and then holds the feed.
  row(e) {
    const { event } = e;
    const cells = [
      el('span', { class: 'time' }, clock(event.received_at)), el('span', { class: 'outcome' }, e.outcome), el('span', { class: 'call' }, event.call || '–'),
      el('span', { class: 'stream' }, event.name || '–'), el('span', { class: 'addr' }, event.addr), el('span', { class: 'why' }, e.why),
    ];
    const row = el('details', { 'data-outcome': e.outcome }, el('summary', {}, ...cells));
    row.addEventListener('toggle', () => {
      if (!row.open || row.children.length > 1) return;
      const cut = e.cut ? 'This event is too large for the page; what the client sent is left out.\n' : '';
      row.append(el('pre', {}, cut + JSON.stringify(event, null, 2)));
      this.pause(true);
    });
    return row;
  }

  // tell says what is going on, once a second.
  tell() {
    if (this.paused) {
      const waiting = this.fresh.length;
      say(this.note, `Paused${waiting > 0 ? `; ${waiting === kept ? `${kept} or more` : count(waiting)} events came since` : ''}.`);
    } else if (this.state !== 'open') {
      say(this.note, this.state === 'lost' ? 'The feed is interrupted; it comes back by itself.' : 'Opening the feed…');
    } else if (this.leftOut > 0) {
      say(this.note, `A sample: ${count(this.came)} of ${count(this.came + this.leftOut)} events of the last second. Counts and plots have all.`);
    } else {
      say(this.note, this.events.length === 0 ? 'No event yet.' : 'Every event is shown.');
    }
    this.leftOut = 0;
    this.came = 0;
  }
}

const asked = ['publish', 'play', 'update_publish', 'update_play', 'connect'];

// read says in the page's words what became of an event, and keeps its text for the filter.
function read({ outcome, cut, seq, event }) {
  const word = outcome === 'happened' ? (asked.includes(event.call) ? 'allowed' : 'told') : outcome;
  const d = event.decision;
  const why = d ? d.rule || d.reason : '';
  delete event.id; // it gets one on the way to NATS
  return { outcome: word, cut, event: { seq, ...event }, why, text: JSON.stringify(event).toLowerCase() };
}
