// The page: a tile for each camera of /api/cameras, its annotated video by WHEP, and one camera large by the URL's hash.
// Whatever comes from the server is inserted as text. Nothing is asked of any other host.

const POLL_MS = 1000; // between two questions for the cameras
const GATHER_MS = 2000; // longest wait for ICE candidates; what was found by then is offered
const SILENT_MS = 12000; // a session without a new picture for so long is made anew
const UNSEEN_MS = 10000; // a tile out of sight for so long stops its video, so the server need not draw it
const BACKOFF_MS = [1000, 2000, 4000, 8000, 15000, 30000];

const find = (id) => document.getElementById(id);

// --- talking to the server ------------------------------------------------------------------------------------------

const access = {
  token: stored(),
  refused: new EventTarget(), // "refused": the server wants a token, or another one

  async fetch(url, options = {}) {
    const headers = { ...options.headers };
    const sent = this.token;
    if (sent) headers.Authorization = `Bearer ${sent}`;
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(10000), ...options, headers });
    // An answer to a token that was replaced in the meantime says nothing of the new one.
    if (answer.status === 401 && sent === this.token) this.refused.dispatchEvent(new Event("refused"));
    return answer;
  },

  keep(token) {
    this.token = token;
    try { sessionStorage.setItem("sightline-token", token); } catch { /* storage is off: it lasts as long as the page */ }
  },
};

function stored() {
  try { return sessionStorage.getItem("sightline-token") ?? ""; } catch { return ""; }
}

// --- one WHEP session after another ---------------------------------------------------------------------------------

class Player {
  // show(state, text) is called at every change; state: idle, connecting, playing, waiting.
  constructor(name, video, show) {
    Object.assign(this, { name, video, show, wanted: false, session: null, failures: 0, timer: 0, times: [], lastFrame: 0 });
    this.frames();
  }

  start() {
    if (this.wanted) return;
    this.wanted = true;
    this.failures = 0;
    this.connect();
  }

  stop() {
    if (!this.wanted) return;
    this.wanted = false;
    this.end();
    this.show("idle", "");
  }

  // hurry ends a wait: there is news that makes another try worth while.
  hurry() {
    if (!this.wanted || this.session) return;
    this.failures = 0;
    this.connect();
  }

  // watch makes the session anew when pictures should come but do not.
  watch(now) {
    if (this.session && now - Math.max(this.lastFrame, this.session.since) > SILENT_MS) this.fail(this.session, "no picture comes");
  }

  async connect() {
    this.end();
    const session = this.session = { pc: new RTCPeerConnection(), url: null, since: performance.now(), over: false };
    this.show("connecting", "Connecting…");
    try {
      await this.negotiate(session);
    } catch (fault) {
      this.fail(session, fault.name === "TimeoutError" ? "no answer" : fault.message, fault.after);
    }
  }

  async negotiate(session) {
    const { pc } = session;
    pc.addTransceiver("video", { direction: "recvonly" });
    pc.ontrack = (event) => { if (!session.over) this.video.srcObject = new MediaStream([event.track]); };
    pc.onconnectionstatechange = () => this.changed(session);
    await pc.setLocalDescription();
    await gathered(pc);
    if (session.over) return;
    const answer = await access.fetch(`${encodeURIComponent(this.name)}/annotated/whep`, {
      method: "POST", headers: { "Content-Type": "application/sdp" }, body: pc.localDescription.sdp,
    });
    if (answer.status !== 201) throw await refusal(answer);
    session.url = resource(answer);
    if (session.over) return discard(session.url);
    await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    const { transport } = pc.getReceivers()[0]; // connectionState stays "connected" when the server hangs up: only DTLS tells
    if (transport) transport.onstatechange = () => { if (transport.state === "closed") this.fail(session, "the server ended it"); };
  }

  changed(session) {
    const state = session.pc.connectionState;
    clearTimeout(session.grace);
    if (state === "failed" || state === "closed") this.fail(session, "the connection broke");
    if (state === "disconnected") session.grace = setTimeout(() => this.fail(session, "the connection broke"), 4000);
  }

  fail(session, cause, after = 0) {
    if (session.over || session !== this.session) return;
    this.end();
    const step = BACKOFF_MS[Math.min(this.failures++, BACKOFF_MS.length - 1)];
    const wait = Math.max(after, step * (0.75 + Math.random() / 2)); // many pages shall not return in one moment
    this.show("waiting", `No video: ${cause}. Trying again in ${Math.round(wait / 1000)} s`);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  end() {
    clearTimeout(this.timer);
    const session = this.session;
    this.session = null;
    if (!session) return;
    session.over = true;
    clearTimeout(session.grace);
    session.pc.close();
    this.times.length = 0;
    discard(session.url);
  }

  frames() {
    const onFrame = (now) => {
      this.video.requestVideoFrameCallback(onFrame);
      if (!this.session) return; // the last picture of a session that is over
      if (this.lastFrame < this.session.since) this.show("playing", "");
      this.failures = 0;
      this.lastFrame = now;
      this.times.push(now);
      while (now - this.times[0] > 2000) this.times.shift();
    };
    this.video.requestVideoFrameCallback?.(onFrame);
  }

  // fps counts the pictures shown in the last two seconds.
  fps(now) {
    const { times } = this;
    if (times.length < 2 || now - times.at(-1) > 2000) return 0;
    return ((times.length - 1) * 1000) / (times.at(-1) - times[0]);
  }
}

function gathered(pc) {
  if (pc.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    setTimeout(resolve, GATHER_MS);
    pc.addEventListener("icegatheringstatechange", () => { if (pc.iceGatheringState === "complete") resolve(); });
  });
}

// resource is where the session is ended; never another origin, which must not learn the token.
function resource(answer) {
  const location = answer.headers.get("Location");
  if (!location) return null;
  const url = new URL(location, answer.url);
  return url.origin === window.location.origin ? url.href : null;
}

async function refusal(answer) {
  const said = await answer.json().catch(() => ({}));
  const fault = new Error(typeof said.error === "string" ? said.error.slice(0, 200) : `answer ${answer.status}`);
  fault.after = Math.min(Number(answer.headers.get("Retry-After")) || 0, 60) * 1000;
  return fault;
}

function discard(url) {
  if (url) access.fetch(url, { method: "DELETE", keepalive: true }).catch(() => {}); // the server reaps what is not ended
}

// --- one tile -------------------------------------------------------------------------------------------------------

class Tile {
  constructor(name) {
    this.name = name;
    this.root = find("tile").content.firstElementChild.cloneNode(true);
    this.root.dataset.camera = name;
    this.link = this.root.querySelector(".picture");
    this.video = this.root.querySelector("video");
    this.video.dataset.camera = name;
    this.video.muted = true; // the attribute alone does not count for a cloned element
    this.video.setAttribute("aria-label", `Video of ${name}`);
    this.set("name", name);
    this.link.addEventListener("dragstart", (event) => event.preventDefault());
    this.player = new Player(name, this.video, (state, text) => this.playback(state, text));
    this.seen = false;
    this.unseen = 0; // timer
    this.playback("idle", "");
  }

  field(name) { return this.root.querySelector(`[data-field="${name}"]`); }

  set(name, text) {
    const element = this.field(name);
    if (element.textContent !== text) element.textContent = text;
  }

  playback(state, text) {
    this.root.dataset.playback = state;
    this.set("playback", text || (this.root.dataset.state === "offline" ? "Offline" : ""));
  }

  enlarge(large) {
    this.root.classList.toggle("large", large);
    this.link.href = large ? "#/" : `#/${encodeURIComponent(this.name)}`;
    this.link.setAttribute("aria-label", large ? `${this.name}, large. Back to all cameras` : `Show ${this.name} large`);
  }

  // update shows what the server says of the camera, and who looks at it where there are several detectors.
  update(camera, detectors) {
    const before = this.root.dataset.state;
    const state = String(camera.state || "unknown");
    this.root.dataset.state = state;
    this.set("state", state);
    this.set("cause", String(camera.cause ?? ""));
    this.field("cause").hidden = !camera.cause;
    this.set("detector", String(camera.detector ?? ""));
    this.field("detector").hidden = detectors < 2 || !camera.detector;
    this.set("detection-fps", rate(camera.detection_fps));
    this.set("fps", rate(camera.fps));
    this.set("latency", span(camera.latency_ms));
    this.set("size", camera.width > 0 ? `${camera.width} × ${camera.height}` : "–");
    this.set("dropped", whole(camera.dropped));
    this.set("viewers", whole(camera.viewers));
    this.counts(Object.entries(camera.counts ?? {}), state === "online");
    this.places(list(camera.zones), list(camera.lines));
    if (before && before !== state) find("news").textContent = `${this.name} is ${state}`;
    if (before !== state && state === "online") this.player.hurry();
    if (!this.player.wanted) this.playback("idle", "");
    this.steer();
    return state === "online";
  }

  counts(entries, online) {
    const list = this.field("counts");
    entries.sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
    const key = JSON.stringify([entries, online]);
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(...(entries.length ? entries.map(chip) : [nothing(online)]));
  }

  // places shows how many are in each zone and how often each line was crossed.
  places(zones, lines) {
    const field = this.field("places");
    const key = JSON.stringify([zones, lines]);
    if (field.dataset.key === key) return;
    field.dataset.key = key;
    field.hidden = !zones.length && !lines.length;
    field.replaceChildren(...zones.map(zoneChip), ...lines.map(lineChip));
  }

  // steer starts and stops the video: it plays while somebody can see it and the camera is not known to be away.
  steer() {
    const seen = this.seen && !document.hidden, away = this.root.dataset.state === "offline";
    if (seen || away) { clearTimeout(this.unseen); this.unseen = 0; }
    if (away) this.player.stop();
    else if (seen) this.player.start();
    else this.unseen ||= setTimeout(() => { this.unseen = 0; this.player.stop(); }, UNSEEN_MS);
  }

  tick(now, online) {
    this.set("video-fps", this.player.session ? rate(this.player.fps(now)) : "–");
    if (online && !document.hidden) this.player.watch(now);
  }

  remove() {
    clearTimeout(this.unseen);
    this.player.stop();
    this.root.remove();
  }
}

function chip([label, count]) {
  const item = document.createElement("li");
  const number = document.createElement("b");
  number.textContent = whole(count);
  item.dataset.label = label;
  item.dataset.count = String(count);
  item.append(label, " ", number);
  return item;
}

function zoneChip({ name, objects }) {
  const item = place("zone", name);
  item.append(name, " ", bold(whole(objects)));
  return item;
}

function lineChip({ name, counts }) {
  const item = place("line", name);
  item.append(name, " in ", bold(whole(counts?.in)), " out ", bold(whole(counts?.out)));
  return item;
}

function place(kind, name) {
  const item = document.createElement("li");
  item.className = kind;
  item.dataset[kind] = name;
  return item;
}

function bold(text) {
  const element = document.createElement("b");
  element.textContent = text;
  return element;
}

function nothing(online) {
  const item = document.createElement("li");
  item.className = "none";
  item.textContent = online ? "Nothing in view" : "–";
  return item;
}

const list = (value) => (Array.isArray(value) ? value : []);
const whole = (n) => (Number.isFinite(n) ? n.toLocaleString("en") : "–");
const rate = (n) => (Number.isFinite(n) && n > 0 ? `${n.toFixed(n < 99.95 ? 1 : 0)} fps` : "–");
const span = (ms) => (!(ms > 0) ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

// --- the page -------------------------------------------------------------------------------------------------------

const tiles = new Map(); // by name, in the order of the page
const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const tile = tiles.get(entry.target.dataset.camera);
    if (tile) { tile.seen = entry.isIntersecting; tile.steer(); }
  }
}, { rootMargin: "200px" });

function show(cameras) {
  const names = new Set(cameras.map((camera) => camera.name));
  for (const [name, tile] of tiles) if (!names.has(name)) { sight.unobserve(tile.root); tile.remove(); tiles.delete(name); }
  const detectors = new Set(cameras.map((camera) => camera.detector).filter(Boolean)).size;
  let online = 0, objects = 0;
  const now = performance.now();
  for (const camera of cameras) {
    const tile = tiles.get(camera.name) ?? add(camera.name);
    const up = tile.update(camera, detectors);
    tile.tick(now, up && camera.fps > 0);
    online += up;
    objects += up && Number.isFinite(camera.objects) ? camera.objects : 0;
  }
  find("grid").dataset.cameras = tiles.size;
  find("empty").hidden = tiles.size > 0;
  find("summary").textContent = tiles.size ? `${online} of ${tiles.size} online · ${objects} object${objects === 1 ? "" : "s"}` : "";
}

// add puts a new tile where its name belongs.
function add(name) {
  const tile = new Tile(name);
  const next = [...tiles.values()].find((other) => other.name > name);
  find("grid").insertBefore(tile.root, next?.root ?? null);
  tiles.set(name, tile);
  const sorted = [...tiles].sort(([a], [b]) => (a < b ? -1 : 1));
  tiles.clear();
  for (const [key, value] of sorted) tiles.set(key, value);
  sight.observe(tile.root);
  route();
  return tile;
}

// route makes large what the hash names; a camera that is not there (yet) leaves the grid.
function route() {
  let large = "";
  try { large = decodeURIComponent(location.hash.slice(2)); } catch { /* no name that anybody wrote */ }
  if (!tiles.has(large)) large = "";
  document.body.classList.toggle("large", large !== "");
  document.title = large ? `${large} · Sightline` : "Sightline";
  for (const tile of tiles.values()) tile.enlarge(tile.name === large);
  const names = [...tiles.keys()], at = names.indexOf(large);
  find("around").hidden = !large;
  find("before").hidden = find("after").hidden = names.length < 2;
  if (!large) return;
  find("before").href = `#/${encodeURIComponent(names.at(at - 1))}`;
  find("after").href = `#/${encodeURIComponent(names[(at + 1) % names.length])}`;
}

// Input may be handled before the hashchange that the input before it caused, so all input looks at the hash first.
function pressed(event) {
  route();
  if (!document.body.classList.contains("large") || find("locked").open || event.altKey || event.ctrlKey || event.metaKey) return;
  const link = { Escape: "all", ArrowLeft: "before", ArrowRight: "after" }[event.key];
  if (!link || find(link).hidden) return;
  const back = [...tiles.values()].find((tile) => tile.root.classList.contains("large"));
  location.hash = find(link).hash || "#/";
  if (event.key === "Escape") back.link.focus();
}

async function poll() {
  let trouble = "";
  try {
    const answer = await access.fetch("api/cameras");
    if (answer.ok) {
      const cameras = await answer.json();
      show(Array.isArray(cameras) ? cameras.filter((camera) => typeof camera?.name === "string") : []);
    } else if (answer.status !== 401) {
      trouble = `Sightline answers ${answer.status}. Trying again…`;
    }
  } catch {
    trouble = "Sightline does not answer. Trying again…";
  }
  find("trouble").hidden = !trouble;
  if (find("trouble").textContent !== trouble) find("trouble").textContent = trouble;
  await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  poll();
}

function lock() {
  const dialog = find("locked");
  if (dialog.open) return;
  find("refused").hidden = !access.token;
  find("token").value = "";
  dialog.showModal();
}

find("locked").addEventListener("submit", () => {
  access.keep(find("token").value.trim());
  for (const tile of tiles.values()) tile.player.hurry();
});
find("locked").addEventListener("cancel", (event) => event.preventDefault()); // there is nothing to see behind it
access.refused.addEventListener("refused", lock);
addEventListener("hashchange", route);
addEventListener("click", route, true); // before the link is followed, see pressed
addEventListener("keydown", pressed);
document.addEventListener("visibilitychange", () => tiles.forEach((tile) => tile.steer()));
addEventListener("pagehide", () => tiles.forEach((tile) => tile.player.stop()));
addEventListener("pageshow", () => tiles.forEach((tile) => tile.steer()));
poll();
