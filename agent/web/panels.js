// The lists beside the conversation: decisions with reasons, memory, times of the last turn, the floor.

const KEPT = 60;
const FLOOR = {
  user: "You hold the floor",
  agent: "The agent holds the floor",
  both: "Both speak",
  nobody: "Nobody holds the floor",
};

export function showFloor(root, said, floor) {
  if (root.dataset.floor === floor) return;
  root.dataset.floor = floor;
  said.textContent = FLOOR[floor];
}

export class DecisionLog {
  constructor(list) {
    this.list = list;
  }

  add({ chunk, action, move, reasons, flip }) {
    this.list.querySelector(".none")?.remove();
    const item = document.createElement("li");
    item.className = move === "listen" || move === "go_on" ? "quiet" : "loud";
    const head = document.createElement("p");
    const name = element("b", action);
    name.dataset.action = action;
    head.append(element("time", clock(chunk * 0.16)), name, element("span", move.replaceAll("_", " "), "move"));
    item.append(head);
    for (const reason of reasons.slice(0, 3)) item.append(element("p", reason, "reason"));
    if (flip) item.append(element("p", `Would have changed it: ${flip}`, "flip"));
    this.list.prepend(item);
    while (this.list.children.length > KEPT) this.list.lastChild.remove();
  }
}

export class MemoryPanel {
  constructor(list) {
    this.list = list;
  }

  add(texts, kind) {
    this.list.querySelector(".none")?.remove();
    for (const text of texts) {
      const key = `${kind}:${text}`;
      for (const old of [...this.list.children]) if (old.dataset.key === key) old.remove();
      const item = element("li", text, kind);
      item.dataset.key = key;
      item.prepend(element("span", kind === "written" ? "kept" : "recalled", "badge"));
      this.list.prepend(item);
    }
    while (this.list.children.length > 12) this.list.lastChild.remove();
  }
}

export function showTimes(list, turn) {
  const rows = [
    ["Waited for the end of turn", turn.user_stopped_ms, turn.decided_ms],
    ["Decision to first sound", turn.decided_ms, turn.first_audio_ms],
    ["Stop to first sound", turn.user_stopped_ms, turn.first_audio_ms],
    ["Barge-in to silence", turn.barge_in_ms, turn.silent_ms],
  ].filter(([, from, to]) => from !== null && to !== null && from !== undefined && to !== undefined);
  if (!rows.length) return;
  list.replaceChildren(
    ...rows.flatMap(([name, from, to]) => [element("dt", name), element("dd", `${Math.round(to - from)} ms`)]),
  );
}

function element(tag, text, kind = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
}
