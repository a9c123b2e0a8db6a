// How figures read.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const count = (n) => whole.format(n ?? 0);

// some is a number of things: 1 rule, 2 rules.
export const some = (n, thing) => `${count(n)} ${thing}${n === 1 ? '' : 's'}`;

// rate is a number per second: few need a fraction.
export const rate = (n) => ((n ?? 0) < 10 ? tenth : whole).format(n ?? 0);

// micros is a duration given in microseconds.
export function micros(us) {
  if (!us) return '–';
  if (us < 1) return `${whole.format(us * 1000)} ns`;
  if (us < 1000) return `${(us < 10 ? tenth : whole).format(us)} µs`;
  if (us < 1e6) return `${(us < 1e4 ? tenth : whole).format(us / 1000)} ms`;
  return `${tenth.format(us / 1e6)} s`;
}

// age is a duration in seconds, roughly.
export function age(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1023.5 && i < units.length - 1; i++) n /= 1024; // what rounds to 1,024 is 1 of the next
  return `${(n < 10 && i > 0 ? tenth : whole).format(n)} ${units[i]}`;
}

// clock is the time of day, in the reader's zone, to the second.
const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
export function clock(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? '' : time.format(date);
}
