// The five probabilities: bars for now, a curve for the last twenty seconds. Knows nothing of the wire.

export const ACTIONS = ["interrupt", "refuse", "deflect", "silence", "respond"];
const SPAN = 125; // chunks of 160 ms

export class JudgementView {
  #rows = new Map();
  #past = [];
  #queued = false;

  constructor(bars, curve, lateness) {
    this.curve = curve;
    this.lateness = lateness;
    for (const action of ACTIONS) {
      const term = document.createElement("dt");
      term.textContent = action;
      term.dataset.action = action;
      const detail = document.createElement("dd");
      const meter = document.createElement("span");
      meter.className = "bar";
      meter.setAttribute("role", "meter");
      meter.setAttribute("aria-label", action);
      meter.setAttribute("aria-valuemin", "0");
      meter.setAttribute("aria-valuemax", "100");
      meter.setAttribute("aria-valuenow", "0");
      const fill = document.createElement("i");
      fill.dataset.action = action;
      meter.append(fill);
      const value = document.createElement("output");
      value.textContent = "–";
      detail.append(meter, value);
      bars.append(term, detail);
      this.#rows.set(action, { term, meter, fill, value });
    }
    new ResizeObserver(() => this.#draw()).observe(curve);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  show(event) {
    for (const action of ACTIONS) {
      const { term, meter, fill, value } = this.#rows.get(action);
      const percent = Math.round(100 * event.p[action]);
      fill.style.transform = `scaleX(${event.p[action]})`;
      value.textContent = `${percent}%`;
      meter.setAttribute("aria-valuenow", String(percent));
      term.classList.toggle("chosen", action === event.choice);
    }
    if (event.stage_ms?.late !== undefined) this.lateness.textContent = lateness(event.stage_ms.late);
    this.#past.push({ p: event.p, move: event.move });
    if (this.#past.length > SPAN) this.#past.shift();
    this.#drawSoon();
  }

  #drawSoon() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.#draw();
    });
  }

  #draw() {
    const scale = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.curve;
    if (this.curve.width !== Math.round(width * scale) || this.curve.height !== Math.round(height * scale)) {
      this.curve.width = Math.round(width * scale);
      this.curve.height = Math.round(height * scale);
    }
    const pen = this.curve.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(document.documentElement);
    const x = (i) => width - 2 - ((this.#past.length - 1 - i) * (width - 4)) / (SPAN - 1);
    const y = (p) => height - 3 - p * (height - 6);
    this.#grid(pen, style, width, y);
    this.#past.forEach(({ move }, i) => {
      if (move !== "take_floor" && move !== "yield_floor") return;
      pen.fillStyle = style.getPropertyValue(move === "take_floor" ? "--agent" : "--user");
      pen.globalAlpha = 0.35;
      pen.fillRect(x(i) - 1, 0, 2, height);
      pen.globalAlpha = 1;
    });
    pen.lineWidth = 1.8;
    pen.lineJoin = "round";
    for (const action of ACTIONS) {
      pen.strokeStyle = style.getPropertyValue(`--${action}`);
      pen.beginPath();
      this.#past.forEach(({ p }, i) => pen.lineTo(x(i), y(p[action])));
      pen.stroke();
    }
  }

  #grid(pen, style, width, y) {
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.lineWidth = 1;
    for (const p of [0, 0.5, 1]) {
      pen.beginPath();
      pen.moveTo(0, Math.round(y(p)) + 0.5);
      pen.lineTo(width, Math.round(y(p)) + 0.5);
      pen.stroke();
    }
  }
}

function lateness(ms) {
  return ms < 1000 ? `judged within ${Math.round(ms)} ms` : `judged ${(ms / 1000).toFixed(1)} s late`;
}
