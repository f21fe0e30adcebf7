// The Realtime connection: JSON in, JSON out, and coming back after a break. Knows nothing of sound or pages.

const RETRY = new Set([1001, 1005, 1006, 1011, 1012, 1013]);
const LONGEST_WAIT = 8000;

export class Wire {
  constructor({ onEvent, onState }) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.resume = null;
    this.wanted = false;
    this.tries = 0;
  }

  open({ token, persona, person }) {
    this.wanted = true;
    this.asked = { token, persona, person };
    const query = new URLSearchParams({ model: "poise-1", poise: "all", judgements: "all" });
    if (persona) query.set("persona", persona);
    if (person) query.set("person", person);
    if (this.resume) query.set("session", this.resume);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const protocols = token ? ["realtime", `openai-insecure-api-key.${token}`] : ["realtime"];
    this.onState(this.tries ? "again" : "opening");
    this.socket = new WebSocket(`${scheme}://${location.host}/v1/realtime?${query}`, protocols);
    this.socket.addEventListener("message", (message) => this.#take(JSON.parse(message.data)));
    this.socket.addEventListener("close", (close) => this.#closed(close));
  }

  close() {
    this.wanted = false;
    this.resume = null;
    this.socket?.close(1000);
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  // Bytes the network has not taken yet; audio is not piled up on a stuck connection.
  get isStuck() {
    return this.socket.bufferedAmount > 1_000_000;
  }

  send(event) {
    if (this.isOpen) this.socket.send(JSON.stringify(event));
  }

  #take(event) {
    if (event.type === "session.created") {
      this.tries = 0;
      this.resume = event.session.poise?.resume ?? null;
      this.onState("open");
    }
    this.onEvent(event);
  }

  #closed(close) {
    if (!this.wanted || !RETRY.has(close.code) || this.tries >= 5) {
      this.onState("off", this.wanted ? close : null);
      this.wanted = false;
      return;
    }
    this.tries += 1;
    this.onState("again");
    setTimeout(() => this.wanted && this.open(this.asked), Math.min(LONGEST_WAIT, 400 * 2 ** this.tries));
  }
}
