// The page: joins the wire, the microphone, the speaker and the views. All decisions are the server's.

import { Captions } from "./captions.js";
import { JudgementView } from "./judgement.js";
import { DecisionLog, MemoryPanel, showFloor, showTimes } from "./panels.js";
import { Microphone, Speaker, toBase64 } from "./sound.js";
import { Wire } from "./wire.js";

const at = (id) => document.getElementById(id);
const STATES = { off: "Not connected", opening: "Connecting…", open: "Connected", again: "Reconnecting…" };

const captions = new Captions(at("captions"));
const judgement = new JudgementView(at("bars"), at("curve"), at("lateness"));
const decisions = new DecisionLog(at("log"));
const memory = new MemoryPanel(at("memory"));
const microphone = new Microphone();
const speaker = new Speaker();
const wire = new Wire({ onEvent: take, onState: connected });

let running = false;
let loudest = 0; // microphone level since it was shown last
let blocks = 0;
let cause = {}; // why the agent speaks
let playing = null; // item that is being played
const cutItems = new Set(); // items whose late audio must not be played

// Events of the server

const HANDLERS = {
  "session.created": ({ session }) => (at("persona").value = session.poise.persona),
  "session.updated": ({ session }) => (at("persona").value = session.poise.persona),
  "input_audio_buffer.speech_started": () => stopPlaying(),
  "conversation.item.input_audio_transcription.completed": ({ transcript, poise }) =>
    captions.heard(transcript, poise?.emotion),
  "response.created": ({ poise }) => (cause = poise ?? {}),
  "response.output_item.added": ({ item }) => captions.replyBegins(item.id, cause.action, cause.reason),
  "response.output_audio_transcript.delta": ({ item_id, delta, start_time }) =>
    captions.replyWords(item_id, delta, start_time),
  "response.output_text.delta": ({ item_id, delta }) => captions.replyWords(item_id, delta),
  "response.output_audio.delta": ({ item_id, delta }) => {
    if (cutItems.has(item_id)) return;
    playing = item_id;
    speaker.play(item_id, delta);
  },
  "response.done": ({ response, poise }) => {
    const cut = response.status === "cancelled";
    const details = { cut, heardText: poise?.heard_text ?? "", failed: response.status === "failed" };
    for (const { id } of response.output) captions.replyEnds(id, details);
    if (cut) stopPlaying();
  },
  "poise.judgement.created": (event) => {
    judgement.show(event);
    showFloor(at("floor"), at("floor-said"), event.floor);
    if (event.floor !== "agent") captions.hearing(event.transcript.stable, event.transcript.tentative);
  },
  "poise.decision.made": (event) => decisions.add(event),
  "poise.memory.recalled": ({ texts }) => memory.add(texts, "recalled"),
  "poise.memory.written": ({ texts }) => memory.add(texts, "written"),
  "poise.turn.timed": (event) => showTimes(at("times"), event),
  error: ({ error }) => problem(error.message),
};

function take(event) {
  HANDLERS[event.type]?.(event);
}

function stopPlaying() {
  if (playing === null || cutItems.has(playing)) return;
  cutItems.add(playing);
  speaker.flush();
  const fields = { item_id: playing, content_index: 0, audio_end_ms: speaker.playedMs(playing) };
  wire.send({ type: "conversation.item.truncate", ...fields });
  playing = null;
}

// States

function connected(state, close) {
  at("state").dataset.state = state;
  at("state").textContent = STATES[state];
  const on = state === "open";
  for (const id of ["mute", "cut", "text", "send"]) at(id).disabled = !on;
  if (state !== "off") return;
  if (running) stop();
  if (close) problem(close.reason ? `The server closed: ${close.reason}.` : "The connection to the server was lost.");
}

// A quarter of the blocks is enough for the eye; drawing more costs the model its time on a small machine.
function showLevel(level) {
  loudest = Math.max(loudest, level);
  blocks += 1;
  if (blocks % 4) return;
  at("level").style.transform = `scaleX(${loudest.toFixed(2)})`;
  loudest = 0;
}

function problem(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

async function start() {
  problem("");
  at("start").disabled = true;
  try {
    await speaker.start((item, ms, ended) => {
      captions.played(item, ms);
      if (!ended) wire.send({ type: "poise.playback.ack", item_id: item, played_ms: ms });
    });
    await microphone.start((pcm, level) => {
      showLevel(level);
      if (wire.isOpen && !wire.isStuck) wire.send({ type: "input_audio_buffer.append", audio: toBase64(pcm) });
    });
    running = true;
    at("start").textContent = "Stop";
    wire.open({ token: at("token").value, persona: at("persona").value });
  } catch (error) {
    await Promise.all([microphone.stop(), speaker.stop()]);
    const denied = error.name === "NotAllowedError" || error.name === "NotFoundError";
    problem(denied ? "No microphone: allow it in the browser, or plug one in." : `Sound failed: ${error.message}`);
  } finally {
    at("start").disabled = false;
  }
}

async function stop() {
  running = false;
  playing = null;
  wire.close();
  await Promise.all([microphone.stop(), speaker.stop()]);
  at("level").style.transform = "scaleX(0)";
  at("start").textContent = "Start talking";
  showFloor(at("floor"), at("floor-said"), "nobody");
}

function mute() {
  microphone.muted = !microphone.muted;
  at("mute").setAttribute("aria-pressed", String(microphone.muted));
}

function cut() {
  wire.send({ type: "response.cancel" });
  stopPlaying();
}

// Controls

at("start").addEventListener("click", () => (running ? stop() : start()));
at("mute").addEventListener("click", mute);
at("cut").addEventListener("click", cut);
at("persona").addEventListener("change", () => wire.send({ type: "poise.persona.set", persona: at("persona").value }));
at("typed").addEventListener("submit", (submit) => {
  submit.preventDefault();
  const text = at("text").value.trim();
  if (!text) return;
  at("text").value = "";
  captions.typed(text);
  const content = [{ type: "input_text", text }];
  wire.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  wire.send({ type: "response.create" });
});
at("token-form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  loadPersonas();
});
document.addEventListener("keydown", (key) => {
  if (!wire.isOpen || key.target.closest("input, select, button, textarea")) {
    if (key.key === "Escape" && wire.isOpen) cut();
    return;
  }
  if (key.key === " ") {
    key.preventDefault();
    mute();
  } else if (key.key === "Escape") cut();
});

async function loadPersonas() {
  const token = at("token").value;
  const answer = await fetch("/v1/personas", { headers: token ? { Authorization: `Bearer ${token}` } : {} });
  at("token-form").hidden = answer.status !== 401;
  if (!answer.ok) return;
  const { personas, default: chosen } = await answer.json();
  at("persona").replaceChildren(
    ...personas.map(({ name, stance }) => {
      const option = new Option(name[0].toUpperCase() + name.slice(1), name, false, name === chosen);
      option.title = stance;
      return option;
    }),
  );
}

loadPersonas();
