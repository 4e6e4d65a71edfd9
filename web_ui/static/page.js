// The control page: draws each snapshot that the speaker sends and passes on what a person asks for.
// Everything from outside becomes text by textContent; nothing here ever makes HTML of it.

const SILENCE_MS = 25_000; // the speaker is heard at least every 10 s
const FIRST_WORD_MS = 6_000; // the newest snapshot comes at once
const RETRY_MS = 4_000;
const ANSWER_MS = 8_000;
const SVG = "http://www.w3.org/2000/svg";
const LABEL_POINTS = {
  angry: [-0.6, 0.7], disgust: [-0.65, 0.3], fear: [-0.65, 0.65], happy: [0.8, 0.5],
  sad: [-0.7, -0.45], surprise: [0.3, 0.75], neutral: [0.1, -0.2],
};

const $ = (id) => document.getElementById(id);
let shown = null; // the newest snapshot
let shownAt = 0;
let volumeTouchedAt = -Infinity;

// ---- small things ----

function put(element, text) {
  if (element.textContent !== text) element.textContent = text; // no repeated announcement
}

function notice(id, text) {
  put($(id), text);
  $(id).hidden = !text;
}

function glyph(svg, name) {
  svg.firstElementChild.setAttribute("href", `#${name}`);
}

const isLabel = (mood) => mood in LABEL_POINTS; // the others, unknown and mixed, are no single look
const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);
const percent = (share) => `${Math.round((share ?? 0) * 100)} %`;
const joined = (...parts) => parts.filter(Boolean).join(" · ");

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const rest = String(whole % 60).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  return whole < 3600 ? `${minutes}:${rest}` : `${Math.floor(whole / 3600)}:${String(minutes).padStart(2, "0")}:${rest}`;
}

function span(seconds) {
  if (seconds < 60) return "less than a minute";
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

// ---- drawing ----

function draw(snapshot) {
  shown = snapshot;
  shownAt = performance.now();
  drawMood(snapshot);
  drawPlayer(snapshot.player);
  drawOverride(snapshot.override);
  drawEvidence(snapshot);
  drawSense("face", snapshot.senses.face, snapshot.people);
  drawSense("voice", snapshot.senses.voice);
  drawGoal(snapshot);
  drawNeutral(snapshot);
  drawTroubles(snapshot);
  tick();
}

function drawMood({ mood, overridden, reason }) {
  document.body.dataset.mood = mood;
  glyph(document.querySelector(".hero-face svg"), `mood-${mood}`);
  put($("mood-kind"), overridden ? "Mood, set by hand" : "Mood now");
  put($("mood"), capital(mood));
  put($("reason"), reason);
  document.title = `${capital(mood)} · Moodify`;
}

function drawPlayer(player) {
  const there = player.connected && (player.title || player.uri);
  put($("title"), there ? player.title || player.uri.split("/").pop() : player.connected ? "Nothing is playing" : "No music player");
  put($("artist"), there ? joined(player.artist, player.album) : "");
  put($("why"), there ? capital(player.why) : "");
  document.querySelector(".progress").hidden = !there;
  const playing = player.state === "play";
  glyph($("play").firstElementChild, playing ? "i-pause" : "i-play");
  $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  for (const id of ["play", "next"]) $(id).disabled = !player.connected;
  for (const id of ["like", "dislike", "not-now", "correct"]) $(id).disabled = !there;
  put($("upcoming"), player.next_title ? `Next: ${joined(player.next_title, player.next_artist)}` : "");
  $("upcoming").hidden = !player.next_title;
  drawVolume(player.volume_percent);
}

function drawVolume(level) {
  $("volume-row").hidden = level === null;
  if (level === null || performance.now() - volumeTouchedAt < 1500) return; // a finger is on it
  $("volume").value = level;
  showVolume();
}

function showVolume() {
  const level = $("volume").value;
  $("volume").style.setProperty("--done", `${level}%`);
  put($("volume-text"), `${level} %`);
}

function drawOverride(override) {
  $("override-bar").hidden = !override;
  for (const button of document.querySelectorAll("[data-set]")) {
    button.setAttribute("aria-pressed", String(override?.mood === button.dataset.set));
  }
  $("automatic").setAttribute("aria-pressed", String(!override));
}

function drawEvidence({ posterior, affect, mood, overridden }) {
  const top = Object.keys(posterior).reduce((a, b) => (posterior[b] > posterior[a] ? b : a));
  const known = overridden || isLabel(mood);
  for (const row of document.querySelectorAll("[data-bar]")) {
    const share = posterior[row.dataset.bar];
    row.querySelector(".fill").style.width = `${share * 100}%`;
    put(row.lastElementChild, percent(share));
    row.classList.toggle("top-one", known && row.dataset.bar === top);
  }
  $("dot").style.transform = `translate(${affect.valence * 100}px, ${affect.arousal * -100}px)`;
  $("plane").setAttribute("aria-label", `Valence ${affect.valence.toFixed(2)}, arousal ${affect.arousal.toFixed(2)}`);
}

function drawSense(modality, { state, detail, label, probability, weight }, people = 1) {
  $(`sense-${modality}`).dataset.state = state;
  document.querySelector(`[data-sense="${modality}"]`).setAttribute("aria-checked", String(state !== "off"));
  const verb = modality === "face" ? "sees" : "hears";
  const nobody = modality === "face" ? "On, sees nobody" : "On, hears nobody";
  const look = weight > 0 && label !== "unknown" ? `${label} ${probability.toFixed(2)}` : "";
  const said = people > 1 ? `On, ${verb} ${`${people} people${look && `, together ${look}`}`}` : look ? `On, ${verb} ${look}` : nobody;
  const words = { on: said, off: "Off", starting: "Starting …", lost: "Not there, tried again" }[state];
  put($(`sense-${modality}-state`), detail ? `${words}: ${detail}` : words);
}

function drawTroubles({ player, broker, catalogue }) {
  const why = player.detail ? `: ${player.detail}` : "";
  notice("player-trouble", player.connected ? player.detail && `The music player refused${why}` : `The music player cannot be reached${why}`);
  notice("catalogue-trouble", catalogue.detail && `The music library: ${catalogue.detail}`);
  notice("broker-trouble", broker.connected ? "" : `The smart home is not connected${broker.detail ? `: ${broker.detail}` : ""}`);
  put($("library"), `${catalogue.track_count} ${catalogue.track_count === 1 ? "song" : "songs"} in the library`);
}

const GOAL_WORDS = {
  match: "Music as the room feels.",
  lift: "From where you are to something brighter, song by song.",
  calm: "From where you are to something calmer, song by song.",
  off: "It chooses nothing and plays what you queue.",
};

function drawGoal({ goal, offer, quiet }) {
  for (const choice of document.querySelectorAll("[name=goal]")) choice.checked = choice.value === goal;
  put($("goal-words"), joined(GOAL_WORDS[goal], quiet && "quiet hours"));
  $("offer").hidden = !offer;
}

// ---- the neutral face ----

function drawNeutral({ neutral: { learned, seconds_left: left, detail }, senses }) {
  const looking = left !== null;
  const known = learned ? "It knows how your faces look at rest." : "Does it take you for sad or angry when you are not? Show it your neutral face.";
  put($("neutral-words"), looking ? "Look at the camera, face at rest …" : detail ? `Not learned: ${detail}.` : known);
  $("neutral-progress").hidden = !looking;
  $("neutral-progress").value = looking ? $("neutral-progress").max - left : 0;
  $("neutral-learn").hidden = looking;
  $("neutral-learn").disabled = senses.face.state !== "on";
  put($("neutral-learn"), learned ? "Learn it anew" : "This is our neutral face");
  $("neutral-forget").hidden = !learned && !looking;
  put($("neutral-forget"), looking ? "Stop" : "Forget it");
}

// ---- the library, asked for now and then ----

const LIBRARY_MS = 15_000;

async function lookIntoLibrary() {
  try {
    const answer = await fetch("/library");
    if (answer.ok) drawLibrary(await answer.json());
  } catch {
    // the line to the speaker says that it is gone
  }
}

const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;

function drawLibrary({ origins, analysis, problems, problem_count: broken, unknown_words: words }) {
  const parts = { tag: "by their tags", analysis: "by listening", person: "by your word", none: "not known yet" };
  const known = Object.entries(parts).filter(([origin]) => origins[origin]);
  put($("library-moods"), known.length ? `How they feel: ${known.map(([origin, text]) => `${origins[origin]} ${text}`).join(", ")}.` : "");
  $("listening").hidden = analysis.done >= analysis.total;
  $("listening-progress").max = analysis.total || 1;
  $("listening-progress").value = analysis.done;
  const left = analysis.seconds_left === null ? "" : `about ${span(analysis.seconds_left)} left`;
  put($("listening-words"), joined(`Listening to songs without a mood: ${analysis.done} of ${analysis.total}`, left, analysis.detail));
  $("problems").hidden = !broken;
  put($("problems-title"), `${counted(broken, "file", "files")} could not be read`);
  list($("problem-list"), problems.map(({ uri, reason }) => `${uri}: ${reason}`));
  $("unknown").hidden = !words.length;
  put($("unknown-title"), `${counted(words.length, "mood word", "mood words")} nobody knows`);
  put($("unknown-words"), words.join(", "));
}

function list(element, lines) {
  element.replaceChildren(...lines.map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
}

// What moves by itself between two snapshots.
function tick() {
  if (!shown || document.body.dataset.link !== "live") return;
  const passed = (performance.now() - shownAt) / 1000;
  const { player, override, overridden, mood, confidence, since_seconds: since } = shown;
  const long = player.duration_seconds ?? 0;
  const elapsed = player.elapsed_seconds + (player.state === "play" ? passed : 0);
  $("progress").max = long || 1;
  $("progress").value = long ? Math.min(elapsed, long) : 0;
  put($("elapsed"), clock(long ? Math.min(elapsed, long) : elapsed));
  put($("duration"), long ? clock(long) : "");
  const people = shown.people > 1 ? `${shown.people} people` : "";
  const sure = overridden || !isLabel(mood) ? "" : `${percent(confidence)} sure`;
  const sensed = shown.sensed_mood === "unknown" ? "nothing sensed" : `senses say ${shown.sensed_mood}`;
  put($("facts"), overridden ? sensed : joined(sure, people, `for ${span(since + passed)}`));
  if (override) drawTimeLeft(Math.max(0, override.ends_in_seconds - passed));
}

function drawTimeLeft(seconds) {
  const end = new Date(Date.now() + seconds * 1000).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
  put($("override-left"), `${capital(span(seconds))} left, until ${end}`);
}

function drawPlaneMarks() {
  for (const [valence, arousal] of Object.values(LABEL_POINTS)) {
    const mark = document.createElementNS(SVG, "circle");
    mark.setAttribute("cx", valence * 100);
    mark.setAttribute("cy", arousal * -100);
    mark.setAttribute("r", 3);
    $("plane-marks").append(mark);
  }
}

// ---- the line to the speaker ----

let source = null;
let heardAt = 0;
let retry = 0;

function connect() {
  clearTimeout(retry);
  source?.close();
  heardAt = performance.now();
  if (document.body.dataset.link !== "lost") setLink("connecting", "connecting");
  source = new EventSource("/events");
  source.addEventListener("message", (event) => {
    heard();
    draw(JSON.parse(event.data));
  });
  source.addEventListener("beat", heard);
  source.addEventListener("error", lost);
}

function heard() {
  heardAt = performance.now();
  setLink("live", "live");
}

// EventSource comes back by itself after a broken line, but gives up when it was refused.
function lost() {
  setLink("lost", "no connection");
  if (source.readyState !== EventSource.CLOSED) return;
  clearTimeout(retry);
  retry = setTimeout(reconnect, RETRY_MS);
}

async function reconnect() {
  try {
    const answer = await fetch("/snapshot");
    if (answer.status === 401) return location.assign("/pair");
    if (answer.ok) draw(await answer.json());
  } catch {
    // still not there: connect() says so again
  }
  connect();
}

function setLink(state, words) {
  document.body.dataset.link = state;
  put($("link"), words);
  $("lost").hidden = state !== "lost";
}

function watch() {
  tick();
  const patience = document.body.dataset.link === "live" ? SILENCE_MS : FIRST_WORD_MS;
  if (document.hidden || performance.now() - heardAt < patience) return;
  setLink("lost", "no connection");
  connect();
}

// A page in a pocket needs no line.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return connect();
  clearTimeout(retry);
  source?.close();
});

// ---- what a person asks for ----

let toastTimer = 0;

function toast(text) {
  clearTimeout(toastTimer);
  put($("toast"), text);
  $("toast").hidden = false;
  toastTimer = setTimeout(() => ($("toast").hidden = true), 4000);
}

async function ask(name, values = {}, thanks = "") {
  try {
    const answer = await fetch(`/command/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(values),
      signal: AbortSignal.timeout(ANSWER_MS), // what is done a minute later is done to another song
    });
    if (answer.status === 401) return location.assign("/pair");
    if (!answer.ok) throw new Error((await answer.json()).error);
    if (thanks) toast(thanks);
  } catch (error) {
    const unreached = error instanceof TypeError || error.name === "TimeoutError";
    toast(unreached ? "Not done: the speaker cannot be reached." : `Not done: ${error.message}`);
    if (shown) draw(shown); // take back what was shown too early
  }
}

// About the song that is shown, though the next one may begin meanwhile.
function judge(name, values, thanks) {
  return ask(name, { ...values, uri: shown?.player.uri ?? "" }, thanks);
}

function onClick(id, what) {
  $(id).addEventListener("click", what);
}

function listen() {
  onClick("play", () => ask(shown?.player.state === "play" ? "pause" : "play"));
  onClick("next", () => ask("next"));
  onClick("like", () => judge("rate", { liked: true }, "Noted: you like this one."));
  onClick("dislike", () => judge("rate", { liked: false }, "Noted: this one will not come again."));
  onClick("not-now", () => judge("not-now", {}, "Noted: not in this mood."));
  listenToCorrections();
  for (const choice of document.querySelectorAll("[name=goal]")) {
    choice.addEventListener("change", () => ask("goal", { goal: choice.value }));
  }
  onClick("offer-take", () => ask("goal", { goal: "lift" }));
  onClick("offer-leave", () => ask("turn-down-offer"));
  onClick("neutral-learn", () => ask("learn-neutral"));
  onClick("neutral-forget", () => {
    if (shown?.neutral.seconds_left !== null) return ask("forget-neutral");
    if (confirm("Forget your neutral face?")) ask("forget-neutral", {}, "Forgotten.");
  });
  onClick("forget", () => {
    if (confirm("Forget everything that was learned from skips, likes and songs heard out?")) {
      ask("forget-taste", {}, "Forgotten.");
    }
  });
  onClick("override-cancel", () => ask("clear-override"));
  onClick("automatic", () => ask("clear-override"));
  for (const button of document.querySelectorAll("[data-set]")) {
    button.addEventListener("click", () => {
      const minutes = Number(document.querySelector("[name=minutes]:checked").value);
      ask("override", { mood: button.dataset.set, minutes });
    });
  }
  for (const button of document.querySelectorAll("[data-sense]")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-checked") !== "true";
      button.setAttribute("aria-checked", String(on)); // the next snapshot says how it really is
      ask("sense", { modality: button.dataset.sense, on });
    });
  }
  listenToVolume();
}

function listenToCorrections() {
  const list = $("correct");
  list.addEventListener("change", () => {
    const mood = list.value;
    if (mood) judge("correct", { mood }, `Noted: this song is ${mood}.`);
    list.value = "";
  });
  // A closed list would take each arrow key for a choice.
  list.addEventListener("keydown", (event) => {
    if (["Tab", "Escape", "Enter"].includes(event.key) || !list.showPicker) return;
    event.preventDefault();
    list.showPicker();
  });
}

function listenToVolume() {
  let timer = 0;
  $("volume").addEventListener("input", () => {
    volumeTouchedAt = performance.now();
    showVolume();
    clearTimeout(timer);
    timer = setTimeout(() => ask("volume", { percent: Number($("volume").value) }), 120);
  });
}

drawPlaneMarks();
listen();
connect();
lookIntoLibrary();
setInterval(watch, 1000);
setInterval(() => document.hidden || lookIntoLibrary(), LIBRARY_MS);
