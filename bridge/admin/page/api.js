// Asking the bridge.

const patience = 5000; // ms

// ask fetches JSON. With a form it posts: what was typed stands in nobody's history.
export async function ask(path, form) {
  const response = await fetch(path, {
    method: form ? 'POST' : 'GET',
    body: form && new URLSearchParams(form),
    signal: AbortSignal.timeout(patience),
  });
  if (response.status === 401) location.assign('/login'); // the session has ended
  if (!response.ok) throw new Error((await response.text()).trim() || response.statusText);
  return response.json();
}

// poll calls work at once and then every interval (ms) while the page can be seen, one
// call after the other. What it returns makes the next call come at once.
export function poll(interval, work) {
  let timer, running = false, again = false;
  async function turn() {
    clearTimeout(timer);
    again = running;
    if (running) return;
    running = true;
    await work();
    running = false;
    if (again) turn();
    else if (!document.hidden) timer = setTimeout(turn, interval);
  }
  document.addEventListener('visibilitychange', () => { if (!document.hidden) turn(); });
  turn();
  return turn;
}
