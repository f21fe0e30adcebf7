// What both sides say: sure and unsure words of the user, heard and unheard words of the agent.

export class Captions {
  #user = null; // the open line of the user
  #agent = new Map(); // item -> {line, words, text}

  constructor(list) {
    this.list = list;
  }

  hearing(stable, tentative) {
    if (!stable && !tentative) return;
    this.#user ??= this.#line("user");
    this.#user.replaceChildren(span(stable, "sure"), span(tentative ? ` ${tentative}` : "", "unsure"));
    this.#follow();
  }

  heard(transcript, emotion) {
    const line = this.#user ?? (transcript ? this.#line("user") : null);
    this.#user = null;
    if (!line) return;
    if (!transcript) return line.parentElement.remove();
    line.replaceChildren(span(transcript, "sure"));
    if (emotion && emotion !== "neutral") line.append(badge(emotion, "feeling"));
    this.#follow();
  }

  typed(text) {
    this.#line("user").append(span(text, "sure"));
    this.#follow();
  }

  replyBegins(item, action, reason) {
    const line = this.#line("agent");
    if (action) line.append(badge(action, action, reason));
    const text = document.createElement("span");
    line.append(text);
    this.#agent.set(item, { line, text, words: [] });
    this.#follow();
  }

  replyWords(item, delta, startSeconds) {
    const reply = this.#agent.get(item);
    if (!reply) return;
    for (const word of delta.trim().split(/\s+/)) {
      const node = span(reply.words.length ? ` ${word}` : word, "coming");
      reply.text.append(node);
      reply.words.push({ node, at: startSeconds ?? 0 });
    }
    this.#follow();
  }

  played(item, ms) {
    for (const word of this.#agent.get(item)?.words ?? []) {
      if (word.at * 1000 <= ms) word.node.className = "was-heard";
    }
  }

  replyEnds(item, { cut, heardText, failed }) {
    const reply = this.#agent.get(item);
    if (!reply) return;
    const heard = cut ? heardText.split(/\s+/).filter(Boolean).length : reply.words.length;
    reply.words.forEach(({ node }, i) => (node.className = i < heard ? "was-heard" : "unheard"));
    if (cut) reply.line.append(badge("cut", "cut", "The agent was cut off here"));
    if (failed) reply.line.append(badge("failed", "cut"));
  }

  clear() {
    this.list.replaceChildren();
    this.#user = null;
    this.#agent.clear();
  }

  #line(who) {
    document.getElementById("hint")?.remove();
    const item = document.createElement("li");
    item.className = who;
    const name = document.createElement("b");
    name.textContent = who === "user" ? "You" : "Agent";
    const line = document.createElement("p");
    item.append(name, line);
    this.list.append(item);
    return line;
  }

  #follow() {
    const { scrollHeight, scrollTop, clientHeight } = this.list;
    if (scrollHeight - scrollTop - clientHeight < 200) this.list.scrollTop = scrollHeight;
  }
}

function span(text, kind) {
  const node = document.createElement("span");
  node.className = kind;
  node.textContent = text;
  return node;
}

function badge(text, kind, title = "") {
  const node = span(text, `badge ${kind}`);
  if (title) node.title = title;
  return node;
}
